package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const (
	roleApp         = "app"
	addressVariable = "CHAOS_ADDRESS"
	stepVariable    = "CHAOS_STEP"    // how long a step takes, in milliseconds
	forgetsVariable = "CHAOS_FORGETS" // not empty: its connections end with it, as those of a host that stops do
)

// appSteps is how many steps each run has, one a call.
const appSteps = 3

// A line tells the test what an app does, before it does it: so it counts what
// was under way when the app was killed.
type line struct {
	Did     string `json:"did"` // read, call, step, answered, other (than a call), or dropped: see appConn
	Run     string `json:"run"`
	Step    string `json:"step,omitempty"`
	Attempt int    `json:"attempt"`

	Job        string `json:"job,omitempty"`
	Generation int    `json:"generation,omitempty"`
}

// runApp is an app's process. Its one function has appSteps steps in a row; it
// believes only what the server signed.
func runApp() {
	ln, err := net.Listen("tcp", os.Getenv(addressVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		panic(err)
	}
	verifier, err := signature.NewVerifier(signature.Options{
		Keys: []signature.Key{key}, Tolerance: 5 * time.Minute, MaxCanonical: 1 << 20, Now: time.Now,
	})
	if err != nil {
		panic(err)
	}
	ms, err := strconv.Atoi(os.Getenv(stepVariable))
	if err != nil {
		panic(err)
	}
	a := &appProcess{verifier: verifier, step: time.Duration(ms) * time.Millisecond}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute, ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}}
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		<-terminated.Done()
		drained <- server.Shutdown(context.Background())
	}()
	fmt.Println(`{"did":"listen"}`)
	if err := server.Serve(&appListener{ln, a}); !errors.Is(err, http.ErrServerClosed) {
		panic(err)
	}
	if err := <-drained; err != nil {
		panic(err)
	}
}

// appListener makes an appConn of each connection.
type appListener struct {
	net.Listener
	app *appProcess
}

func (l *appListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if os.Getenv(forgetsVariable) != "" {
		c.(*net.TCPConn).SetLinger(0)
	}
	return &appConn{Conn: c, app: l.app}, nil
}

type connKey struct{}

// An appConn tells of each request as soon as anything of it was read, and notices
// when the app closes a connection from which it has read a call and which it has
// not answered. A net/http server that shuts down does that to one whose call it
// had read in this very moment: it still counts as idle. Nobody can know then
// whether the call was worked on.
type appConn struct {
	net.Conn
	app        *appProcess
	unanswered atomic.Bool
}

func (c *appConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.unanswered.Swap(true) {
		c.app.tell(line{Did: "read"})
	}
	return n, err
}

func (c *appConn) Close() error {
	if c.unanswered.Swap(false) {
		c.app.tell(line{Did: "dropped"})
	}
	return c.Conn.Close()
}

type appProcess struct {
	verifier *signature.Verifier
	step     time.Duration
	mu       sync.Mutex
}

// tell writes one line, whole before anything else happens.
func (a *appProcess) tell(l line) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func (a *appProcess) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	w.Header().Set(inngest.HeaderSDK, "js:v4.24.0")
	w.Header().Set(inngest.HeaderRequestVersion, "2")
	w.Header().Set("Content-Type", "application/json")
	told := a.serve(w, r, body)
	// Before it is sent: the next request may be read at once.
	r.Context().Value(connKey{}).(*appConn).unanswered.Store(false)
	http.NewResponseController(w).Flush()
	a.tell(told)
}

// serve answers a request, and returns what is to be told of it then.
func (a *appProcess) serve(w http.ResponseWriter, r *http.Request, body []byte) line {
	if r.Method != http.MethodPost {
		io.WriteString(w, `{}`)
		return line{Did: "other"}
	}
	if err := a.verifier.Verify([]byte(r.Header.Get(inngest.HeaderSignature)), body); err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{}`)
		return line{Did: "other"}
	}
	var call inngest.CallRequest
	if err := json.Unmarshal(body, &call); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return line{Did: "other"}
	}
	told := line{Did: "call", Run: call.Ctx.RunID, Attempt: call.Ctx.Attempt, Job: call.Ctx.JobID, Generation: call.Ctx.GenerationID}
	a.tell(told)
	a.answer(w, call, told)
	told.Did = "answered"
	return told
}

// answer runs the first step that is not known, or says that there is no more.
func (a *appProcess) answer(w http.ResponseWriter, call inngest.CallRequest, told line) {
	for n := range appSteps {
		name := "step-" + strconv.Itoa(n)
		id := inngest.HashStepID(name, 0)
		if _, known := call.Steps[id]; known {
			continue
		}
		told.Did, told.Step = "step", name
		a.tell(told)
		<-time.After(a.step)
		text := fmt.Sprintf(`[{"id":%q,"op":"StepRun","name":%q,"displayName":%q,"data":%d}]`, id, name, name, n)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Length", "6")
	io.WriteString(w, `"done"`)
}

// An app is an app whose process may come and go; its address stays.
type app struct {
	tb       testing.TB
	id       string
	address  string
	endpoint string // what the gateway is told of its address, if not that itself
	upstream string // further settings of its upstream at the gateway
	settings string // further settings of the app itself there
	step     time.Duration
	forgets  bool // see forgetsVariable
	log      output
	process  *process

	mu      sync.Mutex
	rest    []byte // a line that has not come whole
	lines   []line
	listens int
}

func newApp(tb testing.TB, id string, step time.Duration) *app {
	tb.Helper()
	return &app{tb: tb, id: id, address: freeAddress(tb), upstream: "path: /api/inngest", step: step}
}

// start starts a process and waits until it listens.
func (a *app) start() {
	a.tb.Helper()
	a.mu.Lock()
	before := a.listens
	a.rest = nil // what a killed process began to say
	a.mu.Unlock()
	env := environ(roleVariable+"="+roleApp, addressVariable+"="+a.address, stepVariable+"="+strconv.Itoa(int(a.step.Milliseconds())))
	if a.forgets {
		env = append(env, forgetsVariable+"=1")
	}
	a.process = startProcess(a.tb, "app "+a.id, os.Args[0], env, &a.log, a)
	until(a.tb, "an app that listens", func() bool {
		if !a.process.running() {
			a.tb.Fatalf("app: %v", a.process.err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.listens > before
	})
}

// Write takes what a process tells.
func (a *app) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rest = append(a.rest, b...)
	for {
		text, rest, whole := bytes.Cut(a.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		a.rest = rest
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return 0, fmt.Errorf("app says %q: %w", text, err)
		}
		if l.Did == "listen" {
			a.listens++
			continue
		}
		a.lines = append(a.lines, l)
	}
}

// did counts what the app told of one kind.
func (a *app) did(what string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.lines {
		if l.Did == what {
			n++
		}
	}
	return n
}

// inHand is how many calls an app that was killed so many times had in its hands
// then, at most: those that it had read and not answered. One that was read a
// moment before may not be told yet, in each thread of the app.
func (a *app) inHand(kills int) int {
	return a.did("read") - a.did("answered") - a.did("other") + kills*runtime.NumCPU()
}

// executions counts how often each step of each run was executed.
func (a *app) executions() map[[2]string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[[2]string]int{}
	for _, l := range a.lines {
		if l.Did == "step" {
			out[[2]string{l.Run, l.Step}]++
		}
	}
	return out
}
