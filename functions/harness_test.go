package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
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

// newBudget returns a budget that must be whole again when the test ends.
func newBudget(t testing.TB, bytes int64) *budget.Budget {
	t.Helper()
	b, err := budget.New(budget.Options{Max: bytes, Wait: time.Millisecond, Metrics: metrics.New(prometheus.NewRegistry()).Budget})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used := b.Used(); used != 0 {
			t.Errorf("%d bytes of the budget were not given back", used)
		}
	})
	return b
}

// newHost builds a host as newWorld does: another one is a restart.
func (w *world) newHost(s setup, list ...functions.Function) *functions.Host {
	w.t.Helper()
	o := functions.Options{
		App: "shop", Version: "1.2.3", Functions: list, API: w.api, APITimeout: 5 * time.Second, APIAttempts: 3,
		APIBackoff: time.Millisecond, Yield: 10 * time.Second, MaxAnswer: 8 << 20, MaxState: 8 << 20, Budget: newBudget(w.t, 64<<20),
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
