package devserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew_refuses(t *testing.T) {
	for name, o := range map[string]Options{
		"a server kind that is none":   {ServerKind: "prod"},
		"a dialect that is none":       {Dialect: 7},
		"in-band syncs without a key":  {Dialect: InBandOnly},
		"a key that is no hex":         {SigningKey: "signkey-prod-xyz"},
		"an app url that is none":      {AppURLs: []string{"localhost"}},
		"a negative sync interval":     {SyncInterval: -1},
		"a negative state limit":       {StateLimit: -1},
		"a negative number of runs":    {Keep: -1},
		"a negative time to wait":      {OutputWait: -1},
		"a negative time of the fence": {FenceAfter: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Error("New gave no error")
			}
		})
	}
}

func TestRun_goesOnWhereItWasStopped(t *testing.T) {
	s, err := New(Options{SigningKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	d := newDouble(t, map[string][]reply{"js-app-f": {result(`"cut off"`), result(`"again"`)}})
	d.hold["js-app-f"], d.came = make(chan struct{}), make(chan string, 9)
	d.register(serve(t, s), d.manifest("js-app-f", on("t/f"), 0, ""))
	event := send(t, s, "t/f", nil) // before Run: it waits

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	next(t, d.came)
	if err := s.Run(ctx); err == nil {
		t.Error("Run ran twice at the same time")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	d.mu.Lock()
	delete(d.hold, "js-app-f")
	d.mu.Unlock()
	ctx, stop = context.WithCancel(context.Background())
	go func() { ended <- s.Run(ctx) }()
	run := runOf(t, s, event)
	stop()
	<-ended
	// The attempt that the server cut off is none: there are no retries.
	if run.Status != Completed || string(run.Output) != `"again"` || run.Calls[len(run.Calls)-1].Generation != 2 {
		t.Errorf("run = %+v", run)
	}
}

func TestForget_leavesNothing(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": {ops(sleep("s", "1h")), result("1")}, "js-app-cron": {}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""), d.manifest("js-app-cron", `{"cron":"* * * * *"}`, 0, ""))
	send(t, s, "t/f", nil)
	until(t, s, "js-app-f", "Sleep", 1)
	id := s.Runs()[0].ID
	waited := make(chan Status, 1)
	ctx := soon(t)
	go func() {
		run, _ := s.WaitRun(ctx, id)
		waited <- run.Status
	}()
	s.Forget()
	next(t, waited)
	if len(s.Apps()) != 0 || len(s.Runs()) != 0 {
		t.Errorf("apps %v, runs %v", s.Apps(), s.Runs())
	}
	clock.Advance(2 * time.Hour)
	quiet(t, s, base)
	if n := len(d.callsOf("js-app-f")) + len(d.callsOf("js-app-cron")); n != 1 {
		t.Errorf("%d calls, want the one before", n)
	}
}

func TestForget_hasTheAddressesOfTheSettingsSyncedAgain(t *testing.T) {
	puts := make(chan struct{}, 99)
	d := newDouble(t, nil)
	d.front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case puts <- struct{}{}:
		default:
		}
		result("{}").write(w)
	})
	s, _ := newServer(t, Options{AppURLs: []string{d.front.URL}, SyncInterval: time.Millisecond})
	next(t, puts)
	s.Forget()
	next(t, puts)
}

func TestStore_keepsABoundedNumberOfRuns(t *testing.T) {
	s, base := newServer(t, Options{Keep: 10})
	d := newDouble(t, map[string][]reply{"js-app-f": many(99, result("1")), "js-app-w": {ops(sleep("s", "1h"))}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""), d.manifest("js-app-w", on("t/w"), 0, ""))
	send(t, s, "t/w", nil)
	until(t, s, "js-app-w", "Sleep", 1)
	for range 40 {
		runOf(t, s, send(t, s, "t/f", nil))
	}
	runs := s.Runs()
	if len(runs) > 13 || runs[0].Function != "js-app-w" {
		t.Errorf("%d runs, the first of %s: want about 10, and the one that runs among them", len(runs), runs[0].Function)
	}
}

func TestObserver_seesEachStep(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	last := make(chan struct{})
	s, base := newServer(t, Options{Backoff: fast, Observer: func(e StepEvent) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s %s %d", e.Function, e.Op, e.Step, e.Attempt))
		if e.Op == "RunCompleted" {
			close(last)
		}
	}})
	d := newDouble(t, map[string][]reply{"js-app-f": {{status: 500, body: "{}"}, ops(stepRun("a", "1")), result("1")}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 1, ""))
	send(t, s, "t/f", nil)
	select {
	case <-last:
	case <-soon(t).Done():
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{"js-app-f RunStarted  0", "js-app-f Error  0", "js-app-f StepRun a 1", "js-app-f RunCompleted  0"}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}

func TestWaitRun_ofNoRun(t *testing.T) {
	s, _ := newServer(t, Options{})
	if _, err := s.WaitRun(soon(t), "x"); err == nil || !strings.Contains(err.Error(), "no such run") {
		t.Errorf("WaitRun = %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.WaitRunsOf(ctx, "x"); err == nil {
		t.Error("WaitRunsOf gave no error")
	}
}

func TestDevAPI(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": {ops(stepRun("a", "1")), ops(sleep("s", "1h")), result("2")}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""))
	event := send(t, s, "t/f", map[string]any{"n": 1})
	until(t, s, "js-app-f", "Sleep", 1)
	if status, _, body := do(t, authorised(t, "POST", base+"/dev/clock", `{"advance":"1h"}`)); status != 200 || !strings.Contains(body, `"ahead": "1h0m0s"`) {
		t.Errorf("clock = %d %s", status, body)
	}
	run := runOf(t, s, event)
	for path, want := range map[string]string{
		"/dev/apps":           `"slug": "js-app-f"`,
		"/dev/runs":           run.ID,
		"/dev/runs/" + run.ID: `"op": "StepRun"`,
		"/dev/events":         event,
		"/dev/clock":          `"ahead"`,
		"/":                   run.ID,
	} {
		if status, _, body := do(t, authorised(t, "GET", base+path, "")); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %s, want %s in it", path, status, body, want)
		}
	}
	for path, c := range map[string]struct {
		method, body string
		status       int
	}{
		"/dev":                            {"GET", "", 404}, // as on a self-hosted server
		"/dev/runs/x":                     {"GET", "", 404},
		"/dev/clock":                      {"POST", `{"advance":"soon"}`, 400},
		"/dev/apps":                       {"POST", `{}`, 400},
		"/dev/runs/" + run.ID + "/cancel": {"POST", ``, 404},
		"/dev/runs/" + run.ID + "/rerun":  {"POST", `{"step":"x","input":[]}`, 400},
		"/e":                              {"POST", `{"name":"x"}`, 200}, // the page, as on the server
		"/nowhere":                        {"GET", "", 404},
	} {
		if status, _, body := do(t, authorised(t, c.method, base+path, c.body)); status != c.status {
			t.Errorf("%s %s = %d %s, want %d", c.method, path, status, body, c.status)
		}
	}
	if status, _, body := do(t, authorised(t, "POST", base+"/dev/apps", `{"url":"`+newSample(t, base)+`"}`)); status != 200 || !strings.Contains(body, "sample-hello") {
		t.Errorf("POST /dev/apps = %d %s", status, body)
	}
}

func TestServerKind_dev(t *testing.T) {
	_, base := newServer(t, Options{ServerKind: "dev"})
	status, h, _ := do(t, authorised(t, "GET", base+"/dev", ""))
	if status != 200 || h.Get("X-Inngest-Server-Kind") != "dev" {
		t.Errorf("GET /dev = %d, kind %q", status, h.Get("X-Inngest-Server-Kind"))
	}
}

func TestWithoutAKey_nothingIsSignedOrAsked(t *testing.T) {
	s, err := New(Options{ServerKind: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	base := serve(t, s)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() { stop(); <-ended }()
	d := newDouble(t, map[string][]reply{"js-app-f": {result("1")}})
	body := `{"url":"` + d.front.URL + `","appName":"a","functions":[` + d.manifest("js-app-f", on("t/f"), 0, "") + `]}`
	req, err := http.NewRequest("POST", base+"/fn/register", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, answer := do(t, req); status != 200 {
		t.Fatalf("register = %d %s", status, answer)
	}
	req, err = http.NewRequest("POST", base+"/e/any", strings.NewReader(`{"name":"t/f"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _, answer := do(t, req)
	var out struct{ IDs []string }
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatal(err)
	}
	runOf(t, s, out.IDs[0])
	if sig := d.callsOf("js-app-f")[0].header.Get("X-Inngest-Signature"); sig != "" {
		t.Errorf("signature %q", sig)
	}
}
