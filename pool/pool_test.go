package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// options are those of an app on the given endpoints.
func options(t testing.TB, endpoints ...string) Options {
	t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	b, err := budget.New(budget.Options{Max: 256 << 20, Wait: 30 * time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		App: "shop", Endpoints: endpoints,
		DialTimeout: 2 * time.Second, AnswerTimeout: 30 * time.Second, MaxConns: 100, MaxIdle: 64,
		IdleTimeout: 4 * time.Second, MaxLifetime: 5 * time.Minute, Wait: 10 * time.Second,
		MaxHead: 64 << 10, MaxAnswer: 8 << 20, ResolveInterval: 30 * time.Second,
		Probe: ProbeSDK, ProbePath: "/api/inngest",
		Breaker: breaker.Options{
			ConsecutiveFailures: 1000, MinCalls: 1000, Window: 30 * time.Second, OpenFor: 5 * time.Second,
			HalfOpenProbes: 1, ProbeTimeout: 2 * time.Second, Metrics: m.Breaker,
		},
		Budget: b, Metrics: m.Pool, Log: slog.New(slog.DiscardHandler),
	}
}

// inMemory makes the options those of an upstream on that network.
func (o Options) inMemory(n *faultyapp.Network) Options {
	o.Dial = n.Dial
	return o
}

// run builds an upstream and runs it until the test ends, when nothing may be
// charged to the budget any more.
func run(t testing.TB, o Options) *Upstream {
	t.Helper()
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u.runUntilEnd(t)
	return u
}

func (u *Upstream) runUntilEnd(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if used := u.opt.Budget.Used(); used != 0 {
			t.Errorf("%d bytes are still charged", used)
		}
		for _, s := range u.Status() {
			if s.Calls != 0 || s.Connections != 0 {
				t.Errorf("%s still has %d calls and %d connections", s.Endpoint, s.Calls, s.Connections)
			}
		}
	})
}

func post(body string) *call.Call {
	return &call.Call{
		App: "shop", Method: "POST", Target: []byte("/api/inngest?fnId=shop-fn&stepId=step"),
		Head: []byte("Content-Type: application/json\r\nX-Run-Id: 01J\r\n"),
		Body: []byte(body), Signature: []byte("t=1&s=0"),
	}
}

// faulty is post with a fault for the app to make.
func faulty(body string, f faultyapp.Fault) *call.Call {
	cl := post(body)
	cl.Head = fmt.Appendf(cl.Head, "%s: %s\r\n", faultyapp.FaultHeader, f.Name)
	return cl
}

// mustDo makes a call that has to be answered, and returns the answer's body.
func mustDo(t testing.TB, u *Upstream, cl *call.Call) string {
	t.Helper()
	a, err := u.Do(t.Context(), cl)
	if err != nil {
		t.Fatalf("Do = %v", err)
	}
	return read(t, a)
}

// read returns the body of an answer and releases it.
func read(t testing.TB, a *call.Answer) string {
	t.Helper()
	defer a.Release()
	if a.Stream == nil {
		return string(a.Body)
	}
	body, err := io.ReadAll(a.Stream)
	if err != nil {
		t.Errorf("stream: %v", err)
	}
	return string(body)
}

// wantError checks that err is an *Error with that code.
func wantError(t testing.TB, err error, code inngest.Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error is %v, want code %s", err, code)
	}
	return e
}

func TestDo_usesOneConnectionForManyCalls(t *testing.T) {
	app := faultyapp.Start(t, faultyapp.Options{})
	u := run(t, options(t, app.URL()))
	for i := range 1000 {
		body := fmt.Sprint("call ", i)
		if got := mustDo(t, u, post(body)); got != faultyapp.Own(body) {
			t.Fatalf("answer %q to %q", got, body)
		}
	}
	if n := app.Accepted(); n != 1 {
		t.Errorf("%d connections for 1000 calls one after another", n)
	}
}

// bubble runs a test on an app in memory that answers as serve does.
func bubble(t *testing.T, serve func(*faultyapp.Exchange) bool, test func(*testing.T, *Upstream, *faultyapp.App), change ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
		if serve != nil {
			app.Make(faultyapp.Fault{Serve: serve})
		}
		o := options(t, "http://app:80").inMemory(&network)
		for _, c := range change {
			c(&o)
		}
		test(t, run(t, o), app)
		app.Stop()
	})
}
