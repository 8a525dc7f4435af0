package sdk

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/nodeapp"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/sdkapp"
)

// A mortal is an app whose process comes and goes; its address stays.
type mortal struct {
	start func()
	end   func(os.Signal) error
	steps func() []sdkapp.Step
	url   string
}

func mortalNode(tb testing.TB, o appOptions) *mortal {
	tb.Helper()
	address := freeAddress(tb)
	_, port, _ := net.SplitHostPort(address)
	n, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	var lives []*nodeapp.App
	return &mortal{
		url: "http://" + address + "/api/inngest",
		start: func() {
			lives = append(lives, nodeapp.Start(tb, nodeapp.Options{
				ID: appID, BaseURL: o.baseURL, SigningKey: o.signingKey, EventKey: o.eventKey, Port: n,
				Step: o.step, Linger: o.linger,
			}))
		},
		end: func(s os.Signal) error { return lives[len(lives)-1].End(s) },
		steps: func() (all []sdkapp.Step) {
			for _, life := range lives {
				for _, s := range life.Steps() {
					all = append(all, sdkapp.Step(s))
				}
			}
			return all
		},
	}
}

func mortalGo(tb testing.TB, o appOptions) *mortal {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "sdkapp")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/sdkapp").CombinedOutput(); err != nil {
		tb.Fatalf("build the app: %v\n%s", err, out)
	}
	m := &mortal{url: "http://" + freeAddress(tb) + "/api/inngest"}
	var mu sync.Mutex
	var steps []sdkapp.Step
	var process *os.Process
	var ended chan struct{}
	m.start = func() {
		address := m.url[len("http://") : len(m.url)-len("/api/inngest")]
		cmd := exec.Command(binary, "-id", appID, "-prefix", prefix, "-listen", address)
		cmd.Env = []string{"INNGEST_BASE_URL=" + o.baseURL, "INNGEST_SIGNING_KEY=" + o.signingKey, "INNGEST_EVENT_KEY=" + o.eventKey}
		out, err := cmd.StdoutPipe()
		if err != nil {
			tb.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		process, ended = cmd.Process, make(chan struct{})
		serving := make(chan struct{})
		go func(ended chan struct{}) {
			defer close(ended)
			told := sync.OnceFunc(func() { close(serving) })
			defer told()
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var s sdkapp.Step
				if json.Unmarshal(lines.Bytes(), &s) == nil && s.Run != "" {
					mu.Lock()
					steps = append(steps, s)
					mu.Unlock()
				}
				told()
			}
			io.Copy(io.Discard, out)
			cmd.Wait()
		}(ended)
		<-serving
	}
	m.end = func(s os.Signal) error {
		err := process.Signal(s)
		<-ended
		return err
	}
	m.steps = func() []sdkapp.Step {
		mu.Lock()
		defer mu.Unlock()
		return append([]sdkapp.Step(nil), steps...)
	}
	tb.Cleanup(func() {
		select {
		case <-ended:
		default:
			m.end(os.Kill)
		}
	})
	return m
}

// Apps on the real SDKs restart under load, 200 calls a second in the long form,
// and are away for a while. Terminated they burn no attempt, and each step runs
// once.
func TestRestart_burnsNoAttempt(t *testing.T) {
	const callsOfRun = 11
	rounds, away, runsPerSecond := 3, 2*time.Second, 4
	if *soakFor > 0 {
		rounds, away, runsPerSecond = 10, 20*time.Second, 18
	}
	for name, c := range map[string]struct {
		start func(testing.TB, appOptions) *mortal
		// net/http may close a connection as idle from which it has just read a
		// call; nobody can tell then whether it was worked on.
		dropped int
	}{
		"js": {mortalNode, 0},
		"go": {mortalGo, rounds},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, devserver.Register, productionKey)
			var app *mortal
			_, gw := startBehindGateway(t, s, sdk{start: func(tb testing.TB, o appOptions) runningApp {
				app = c.start(tb, o)
				app.start()
				return runningApp{url: app.url}
			}}, "passthrough")
			syncSigned(t, s, gw)

			over, begun := make(chan struct{}), make(chan []string, 1)
			go func() {
				var ids []string
				defer func() { begun <- ids }()
				every := time.NewTicker(time.Second / time.Duration(runsPerSecond))
				defer every.Stop()
				for {
					select {
					case <-over:
						return
					case <-every.C:
					}
					id, err := s.SendEvent(t.Context(), prefix+"many", map[string]any{"n": 1})
					if err != nil {
						t.Error(err)
						return
					}
					ids = append(ids, id)
				}
			}()
			for range rounds {
				app.waitForSteps(t, gw, runsPerSecond*callsOfRun)
				app.terminate(t)
				<-time.After(away) // that the app is away is what is tested
				app.start()
			}
			close(over)
			checkRestarted(t, s, <-begun, app.steps, c.dropped)
		})
	}
}

// An app on server.close() of Node stops to listen and goes on to serve the
// connections in use. A run with one step after the other is always on one: it is
// used again and again, unless the gateway notices.
func TestRestart_endsAnAppThatServesConnectionsInUse(t *testing.T) {
	s := startServer(t, devserver.Register, productionKey)
	var app *mortal
	_, gw := startBehindGateway(t, s, sdk{start: func(tb testing.TB, o appOptions) runningApp {
		o.step, o.linger = 200*time.Millisecond, true
		app = mortalNode(tb, o)
		app.start()
		return runningApp{url: app.url}
	}}, "passthrough")
	syncSigned(t, s, gw)

	over, begun := make(chan struct{}), make(chan []string, 1)
	go func() {
		var ids []string
		defer func() { begun <- ids }()
		for {
			select {
			case <-over:
				return
			default:
			}
			id, err := s.SendEvent(t.Context(), prefix+"many", map[string]any{"n": 1})
			if err != nil {
				t.Error(err)
				return
			}
			ids = append(ids, id)
			if _, err := s.WaitRunsOf(t.Context(), id); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 3 {
		app.waitForSteps(t, gw, 15)
		app.terminate(t)
		app.start()
	}
	close(over)
	checkRestarted(t, s, <-begun, app.steps, 0)
}

// waitForSteps waits until the app has run so many more.
func (m *mortal) waitForSteps(t *testing.T, gw gatewayUnderTest, more int) {
	t.Helper()
	before := len(m.steps())
	for deadline := time.Now().Add(time.Minute); len(m.steps()) < before+more; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the app does not get on; %d steps\n%s", len(m.steps()), gw.log())
		}
	}
}

// terminate ends the app as Kubernetes does, which kills it after 30 s, with calls
// in its hands.
func (m *mortal) terminate(t *testing.T) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- m.end(syscall.SIGTERM) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the app does not end: its connections are used again and again")
	}
}

// checkRestarted waits for all runs and counts what went wrong.
func checkRestarted(t *testing.T, s *server, ids []string, steps func() []sdkapp.Step, dropped int) {
	t.Helper()
	done := make(chan struct{})
	defer close(done)
	go func() { // a burned attempt waits for long
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
				s.clock.Advance(time.Minute)
			}
		}
	}()
	burned := 0
	for _, id := range ids {
		runs, err := s.WaitRunsOf(t.Context(), id)
		if err != nil || len(runs) != 1 || runs[0].Status != devserver.Completed || string(runs[0].Output) != "45" {
			t.Fatalf("event %s: %v\n%s", id, err, timeline(runs))
		}
		for _, c := range runs[0].Calls {
			if c.Error != "" {
				burned++
				t.Logf("burned: %+v", c)
			}
		}
	}
	times := map[sdkapp.Step]int{}
	for _, s := range steps() {
		s.Attempt = 0
		times[s]++
	}
	again := 0
	for _, n := range times {
		again += n - 1
	}
	if burned > dropped || again > dropped || len(times) != 10*len(ids) {
		t.Errorf("%d runs: %d attempts burned, %d steps too many, want at most %d; %d steps, want %d", len(ids), burned, again, dropped, len(times), 10*len(ids))
	}
	t.Logf("%d runs, %d attempts burned, %d steps repeated", len(ids), burned, again)
}
