package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

const testKey = "signkey-prod-1234567890abcdef1234567890abcdef"

// A world is a devserver, a host that it calls, and what lies between.
type world struct {
	t       testing.TB
	dev     *devserver.Server
	devURL  string
	clock   *devserver.Clock
	metrics *metrics.Metrics
	api     *apiClient
	front   *front
	appURL  string
}

// setup changes what newWorld starts with.
type setup struct {
	dev  func(*devserver.Options)
	host func(*functions.Options)
}

// newWorld starts a devserver and a host with functions, and syncs them.
func newWorld(t testing.TB, s setup, list ...functions.Function) *world {
	t.Helper()
	w := &world{t: t, clock: devserver.NewClock(), metrics: metrics.New(prometheus.NewRegistry())}
	o := devserver.Options{SigningKey: testKey, EventKeys: []string{"abc"}, Clock: w.clock, Dialect: devserver.InBandOnly}
	if s.dev != nil {
		s.dev(&o)
	}
	var err error
	if w.dev, err = devserver.New(o); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- w.dev.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("devserver: %v", err)
		}
	})
	server := httptest.NewServer(w.dev.Handler())
	t.Cleanup(server.Close)
	w.devURL = server.URL
	w.api = &apiClient{base: server.URL, key: parseKey(t), client: server.Client()}

	w.front = &front{t: t, open: map[int]context.CancelFunc{}, key: parseKey(t), host: w.newHost(s, list...)}
	app := httptest.NewServer(w.front)
	t.Cleanup(app.Close)
	w.appURL = app.URL + "/api/functions"
	if err := w.dev.Sync(soon(t), w.appURL, true); err != nil {
		t.Fatalf("sync: %v", err)
	}
	return w
}

// newHost builds a host as newWorld does: another one is a restart.
func (w *world) newHost(s setup, list ...functions.Function) *functions.Host {
	w.t.Helper()
	o := functions.Options{
		App: "shop", Version: "1.2.3", Functions: list, API: w.api, APITimeout: 5 * time.Second, APIAttempts: 3,
		APIBackoff: time.Millisecond, Yield: 10 * time.Second, MaxAnswer: 8 << 20,
		Metrics: w.metrics.Functions, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	if s.host != nil {
		s.host(&o)
	}
	h, err := functions.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// origin is the scheme and host at which the host is called.
func (w *world) origin() string { return strings.TrimSuffix(w.appURL, "/api/functions") }

// start sends an event and returns the run that it starts, when that has ended.
// The clock jumps over whatever the run waits for.
func (w *world) start(name string, data any) devserver.Run {
	w.t.Helper()
	return w.wait(w.send(name, data))
}

func (w *world) send(name string, data any) string {
	w.t.Helper()
	id, err := w.dev.SendEvent(soon(w.t), name, data)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// wait returns the one run of an event when it has ended.
func (w *world) wait(event string) devserver.Run {
	w.t.Helper()
	stop := w.jump()
	defer stop()
	runs, err := w.dev.WaitRunsOf(soon(w.t), event)
	if err != nil || len(runs) != 1 {
		w.t.Fatalf("runs of event %s: %v, %+v; all: %+v", event, err, runs, w.dev.Runs())
	}
	return runs[0]
}

// jump moves the scheduler's clock ahead until stop is called, so that nobody
// waits for sleeps and back-offs.
func (w *world) jump() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				w.clock.Advance(20 * time.Second)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// calls counts the call requests in a run's timeline.
func calls(r devserver.Run) int {
	type call struct {
		attempt, generation int
		at                  time.Time
	}
	seen := map[call]bool{}
	for _, c := range r.Calls {
		if !c.Checkpoint && c.Status != 0 {
			seen[call{c.Attempt, c.Generation, c.At}] = true
		}
	}
	return len(seen)
}

// A front is the listener before a host: it does what the gateway's call plane
// does in mode strip.
type front struct {
	t    testing.TB
	key  signature.Key
	mu   sync.Mutex
	host *functions.Host
	seen []exchange
	cut  func(n int) bool // the n-th call, from 0, is answered to nobody
	n    int
	open map[int]context.CancelFunc // calls that are being answered, by number

	blind atomic.Bool // hosts do not see that callers hung up
}

// An exchange is a call and its answer.
type exchange struct {
	target, body string
	status       int
	answer       string
	header       http.Header
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller hung up
	}
	var head bytes.Buffer
	for name, values := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", name, values[0])
	}
	f.mu.Lock()
	host, cut := f.host, false
	there, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	if r.Method == http.MethodPost {
		cut = f.cut != nil && f.cut(f.n)
		f.open[f.n] = hangUp
		defer func(n int) { f.mu.Lock(); delete(f.open, n); f.mu.Unlock() }(f.n)
		f.n++
	}
	f.mu.Unlock()
	done := make(chan struct{})
	var a *call.Answer
	go func() {
		defer close(done)
		a, err = host.Do(context.Background(), &call.Call{
			App: "shop", Method: r.Method, Target: []byte(r.URL.RequestURI()), Head: head.Bytes(), Body: body, Received: time.Now(),
			Gone: func() bool { return there.Err() != nil && !f.blind.Load() },
		})
	}()
	select {
	case <-done:
	case <-there.Done():
		panic(http.ErrAbortHandler)
	}
	if err != nil || cut {
		panic(http.ErrAbortHandler)
	}
	defer a.Release()
	for _, field := range a.Fields {
		w.Header().Set(string(field.Name), string(field.Value))
	}
	w.Header().Set(inngest.HeaderSignature, signature.Sign(f.key, a.Body, time.Now()))
	f.mu.Lock()
	f.seen = append(f.seen, exchange{r.URL.RequestURI(), string(body), a.Status, string(a.Body), w.Header().Clone()})
	f.mu.Unlock()
	w.WriteHeader(a.Status)
	w.Write(a.Body)
}

// posts returns the calls so far.
func (f *front) posts() []exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []exchange
	for _, x := range f.seen {
		if strings.Contains(x.target, "fnId=") {
			out = append(out, x)
		}
	}
	return out
}

// hangUp loses the connections of all calls that are being answered: what a
// gateway that was killed does to them.
func (f *front) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cut := range f.open {
		cut()
	}
}

// stay has hosts go on when callers hang up.
func (f *front) stay() { f.blind.Store(true) }

// swap puts another host in the place of the one that answers.
func (f *front) swap(h *functions.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host = h
}

// An apiClient asks the devserver. before may answer in its place.
type apiClient struct {
	base   string
	key    signature.Key
	client *http.Client

	mu     sync.Mutex
	asked  []string
	before func(method, path string) (status int, ok bool)
}

func (c *apiClient) Ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	c.mu.Lock()
	c.asked = append(c.asked, method+" "+path)
	before := c.before
	c.mu.Unlock()
	if before != nil {
		if status, ok := before(method, path); ok {
			if status == 0 {
				return 0, nil, io.ErrUnexpectedEOF
			}
			return status, nil, nil
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+signature.BearerToken(c.key))
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// A lossyAPI asks, and loses every second answer.
type lossyAPI struct {
	*apiClient
	asks atomic.Int32
}

func (c *lossyAPI) Ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	status, answer, err := c.apiClient.Ask(ctx, method, path, body)
	if c.asks.Add(1)%2 == 1 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return status, answer, err
}

// until waits for something that tells nobody.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := soon(t); !holds(); {
		select {
		case <-tick.C:
		case <-late.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// leave begins a host's end and tells when it has ended.
func leave(t testing.TB, h *functions.Host) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	until(t, "the host leaves", func() bool { return h.Status().Leaving })
	return ended
}

func (c *apiClient) count(method, part string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.asked {
		if strings.HasPrefix(a, method) && strings.Contains(a, part) {
			n++
		}
	}
	return n
}

// newUpstream is the pool's way to a server.
func newUpstream(t testing.TB, m *metrics.Metrics, address string) *pool.Upstream {
	t.Helper()
	memory, err := budget.New(budget.Options{Max: 256 << 20, Reserve: 1 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.New(pool.Options{
		App: "shop", Endpoints: []string{address}, DialTimeout: 5 * time.Second, MaxConns: 64, MaxIdle: 64,
		IdleTimeout: 4 * time.Second, MaxLifetime: time.Minute, Wait: 20 * time.Second, MaxHead: 64 << 10, MaxAnswer: 8 << 20,
		Probe: pool.ProbeTCP, Budget: memory, Metrics: m.Pool, Log: slog.New(slog.DiscardHandler),
		Breaker: breaker.Options{
			ConsecutiveFailures: 1000, MinCalls: 1000, Window: 10 * time.Second, OpenFor: time.Second, HalfOpenProbes: 1,
			ProbeTimeout: time.Second, Metrics: m.Breaker,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("upstream: %v", err)
		}
	})
	return u
}

// newBackend serves a handler and returns how to call it.
func newBackend(t testing.TB, handler http.Handler) functions.Backend {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return functions.Backend{
		App: "shop", Callee: newUpstream(t, metrics.New(prometheus.NewRegistry()), server.URL), Target: "/work",
		Timeout: 20 * time.Second, Now: time.Now,
	}
}

// function makes a function that the event "t/<id>" starts.
func function(id string, d run.Driver, checkpoint bool, retries int) functions.Function {
	return functions.Function{
		Config: inngest.Function{
			ID: "shop-" + id, Name: id, Triggers: []inngest.Trigger{{Event: "t/" + id}},
			Steps: map[string]inngest.Step{"step": {Retries: &inngest.StepRetries{Attempts: retries}}},
		},
		Driver: d, Kind: "conversation", Checkpoint: checkpoint,
	}
}

func parseKey(t testing.TB) signature.Key {
	t.Helper()
	key, err := signature.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// soon is a context that ends before a test's patience does.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wantJSON compares JSON by its meaning.
func wantJSON(t testing.TB, what string, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s = %q: %v", what, got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gotText, _ := json.Marshal(g)
	wantText, _ := json.Marshal(w)
	if !bytes.Equal(gotText, wantText) {
		t.Errorf("%s = %s, want %s", what, gotText, wantText)
	}
}
