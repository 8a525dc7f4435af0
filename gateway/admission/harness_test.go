package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// fakeApp is an upstream with its app.
type fakeApp struct {
	mu        sync.Mutex
	down      bool // refuses connections
	open      bool // its breaker is open, so it is not asked
	downSince time.Time
	capacity  int // calls at once before it is busy; 0: no bound
	step      func(*call.Call) (*call.Answer, error)
	status    []pool.EndpointStatus

	running  int
	calls    []string    // runs, in the order in which they were sent
	sentAt   []time.Time // when
	refusals int
}

func (a *fakeApp) Usable() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.open
}

func (a *fakeApp) Status() []pool.EndpointStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status != nil {
		return a.status
	}
	s := pool.EndpointStatus{Endpoint: "http://127.0.0.1:3000"}
	if a.open {
		s.State, s.DownSince = breaker.Open, a.downSince
	}
	return []pool.EndpointStatus{s}
}

func (a *fakeApp) Do(_ context.Context, c *call.Call) (*call.Answer, error) {
	a.mu.Lock()
	switch {
	case a.open:
		a.mu.Unlock()
		return nil, &pool.Error{Code: inngest.CodeUpstreamOpen, Since: a.downSince, Err: errors.New("open")}
	case a.down:
		a.refusals++
		a.mu.Unlock()
		return nil, &pool.Error{Code: inngest.CodeUpstreamRefused, Endpoint: "http://127.0.0.1:3000", Err: errors.New("connection refused")}
	case a.capacity > 0 && a.running >= a.capacity:
		a.refusals++
		a.mu.Unlock()
		return nil, &pool.Error{Code: inngest.CodeUpstreamBusy, Endpoint: "http://127.0.0.1:3000", Err: errors.New("busy")}
	}
	a.running++
	a.calls = append(a.calls, c.Identity.RunID)
	a.sentAt = append(a.sentAt, time.Now())
	step := a.step
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.running--
		a.mu.Unlock()
	}()
	if step == nil {
		return answer(c.Identity.RunID), nil
	}
	return step(c)
}

func (a *fakeApp) set(f func(*fakeApp)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

// seen returns the runs that reached the app.
func (a *fakeApp) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.calls...)
}

// refused returns how many calls it refused.
func (a *fakeApp) refused() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusals
}

// times returns when calls reached the app.
func (a *fakeApp) times() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Time(nil), a.sentAt...)
}

// answer is an SDK's.
func answer(body string) *call.Answer {
	return &call.Answer{
		Status: 206, Body: []byte(body),
		Fields: []call.Field{{Name: []byte(inngest.HeaderSDK), Value: []byte("js:v4")}},
	}
}

// takes is a step that lasts so long.
func takes(d time.Duration) func(*call.Call) (*call.Answer, error) {
	return func(c *call.Call) (*call.Answer, error) {
		<-time.After(d)
		return answer(c.Identity.RunID), nil
	}
}

func options(t testing.TB, a *fakeApp) Options {
	m := metrics.New(prometheus.NewRegistry())
	b, err := budget.New(budget.Options{Max: 64 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		App: "shop", Callee: a, Health: a,
		Names:       Names{Wait: "apps[].wait", Concurrency: "apps[].concurrency.max", Connections: "apps[].upstream.connections.max"},
		Wait:        Wait{Max: 50 * time.Second, MaxCalls: 1000, MaxBytes: 1 << 20},
		Concurrency: Concurrency{Min: 2, Max: 100},
		Guard:       Guard{MaxAnswer: 1 << 20},
		Budget:      b, Now: time.Now, Metrics: m.Admission, Log: slog.New(slog.DiscardHandler),
	}
}

// newRoom is a room that runs until the test ends.
func newRoom(t testing.TB, o Options) *Room {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		r.Drain() // what a failed test left
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if t.Failed() {
			<-time.After(3 * time.Hour) // the bubble's: until all steps have ended
		}
	})
	return r
}

// newCall is the first of five attempts, signed now.
func newCall(run string) *call.Call {
	return callOf("f", run)
}

func callOf(function, run string) *call.Call {
	now := time.Now()
	return &call.Call{
		App: "shop", Method: "POST", Target: []byte("/api/inngest?fnId=shop-" + function + "&stepId=step"),
		Body:     fmt.Appendf(nil, `{"ctx":{"run_id":%q},"steps":{}}`, run),
		Identity: inngest.Identity{RunID: run, JobID: "job-" + run, FunctionID: function, StepID: "step", MaxAttempts: 5},
		Received: now, Signed: now.Truncate(time.Second), Waits: true,
		Gone: func() bool { return false },
	}
}

// result is how a call ended.
type result struct {
	answer *call.Answer
	err    error
	after  time.Duration
}

// send makes a call in the background.
func send(r *Room, c *call.Call) <-chan result {
	done := make(chan result, 1)
	began := time.Now()
	go func() {
		a, err := r.Do(context.Background(), c)
		done <- result{a, err, time.Since(began)}
	}()
	return done
}

// refusal asks for the room's own error.
func refusal(t testing.TB, got result) *Error {
	t.Helper()
	var e *Error
	if !errors.As(got.err, &e) {
		t.Fatalf("Do = %v, %v, want an error of the room", got.answer, got.err)
	}
	return e
}

func wantAnswer(t testing.TB, got result) {
	t.Helper()
	if got.err != nil {
		t.Fatalf("Do = %v after %v, want an answer", got.err, got.after)
	}
}
