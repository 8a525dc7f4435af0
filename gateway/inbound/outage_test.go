package inbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// away is an app that is away from one time to another.
type away struct {
	from, to time.Time
	calls    atomic.Int64 // that reached it
}

func (a *away) out() bool {
	now := time.Now()
	return !now.Before(a.from) && now.Before(a.to)
}

func (a *away) Usable() bool { return !a.out() }

func (a *away) Status() []pool.EndpointStatus {
	e := pool.EndpointStatus{Endpoint: "http://127.0.0.1:3000"}
	if a.out() {
		e.DownSince = a.from
	}
	return []pool.EndpointStatus{e}
}

func (a *away) Do(_ context.Context, c *call.Call) (*call.Answer, error) {
	if a.out() {
		return nil, &pool.Error{Code: inngest.CodeUpstreamRefused, Endpoint: "http://127.0.0.1:3000", Err: errors.New("connection refused")}
	}
	a.calls.Add(1)
	time.Sleep(20 * time.Millisecond)
	return &call.Answer{Status: 200, Body: []byte(`"done"`), Fields: []call.Field{{Name: []byte(inngest.HeaderSDK), Value: []byte("js:v4")}}}, nil
}

// attempts is how often the model of Inngest calls at most: four retries.
const attempts = 5

// finish is what an Inngest server does with a run of one step: it calls until
// an attempt succeeds or none is left. Between them it waits as long as the
// answer says or, if it says nothing, 15 s, 30 s, 1 min, 2 min, each plus up to
// 30 s, as the real one was seen to.
func finish(try func(attempt int) (ok bool, retryAfter time.Duration)) (ok bool, burned int) {
	for attempt := range attempts {
		ok, wait := try(attempt)
		if ok {
			return true, attempt
		}
		if wait == 0 {
			wait = 15*time.Second<<attempt + time.Duration(rand.Int64N(int64(30*time.Second)))
		}
		time.Sleep(wait)
	}
	return false, attempts
}

// line is the pipeline behind the listener: pass, refusal, answer.
type line struct {
	server *Server
	route  *route
}

func newLine(t *testing.T, app *away) *line {
	t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := budget.New(budget.Options{Max: 64 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	room, err := admission.New(admission.Options{
		App: "shop", Callee: app, Health: app,
		Names:       admission.Names{Wait: "apps[].wait", Concurrency: "apps[].concurrency.max", Connections: "apps[].upstream.connections.max"},
		Wait:        admission.Wait{Auto: true, MaxCalls: 10_000, MaxBytes: 64 << 20},
		Concurrency: admission.Concurrency{Min: 10, Max: 1000, Adaptive: true},
		Guard:       admission.Guard{MaxAnswer: 8 << 20},
		Tolerance:   5 * time.Minute,
		Budget:      b, Now: time.Now, Metrics: m.Admission, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := room.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	server, err := New(Options{
		MaxHead: 16 << 10, MaxURI: 8 << 10, MaxBody: 8 << 20, MaxAnswer: 8 << 20, MaxConnections: 10_000, MinBodyRate: 16 << 10,
		HeadTimeout: time.Minute, IdleTimeout: time.Minute, WriteTimeout: time.Minute, LogEvery: 100,
		Budget: b, Metrics: m.Inbound, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := NewTable([]Route{{
		App: "shop", Path: "/api/inngest", UpstreamPath: "/api/inngest", OutageBudget: 24 * time.Hour,
		Pair: &pairDouble{}, Callee: room, Syncer: &syncDouble{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server.Swap(table)
	found, _ := table.find([]byte("/api/inngest"))
	return &line{server, found}
}

// try makes one attempt of a run.
func (l *line) try(run string, attempt int) (ok bool, retryAfter time.Duration) {
	now := time.Now()
	x := &exchange{server: l.server, route: l.route, kind: kindCall, received: now}
	x.call = call.Call{
		App: "shop", Method: "POST", Target: []byte("/api/inngest?fnId=shop-order&stepId=step"),
		Body:     []byte(`{"ctx":{}}`),
		Identity: inngest.Identity{RunID: run, JobID: "job-" + run, Attempt: attempt, Generation: attempt, MaxAttempts: attempts},
		Received: now, Signed: now, Waits: true, Gone: func() bool { return false },
	}
	if r := l.server.pass(context.Background(), x); r != nil {
		x.refuse(r)
	}
	defer x.answer.Release()
	if x.answer.Status == 200 {
		return true, 0
	}
	seconds, err := strconv.Atoi(string(x.answer.Get("Retry-After")))
	if err != nil || x.answer.Status != 503 || x.answer.FromSDK() {
		return false, 0
	}
	return false, time.Duration(seconds) * time.Second
}

// outage runs 300 runs that begin from ten minutes before an outage until its
// end, and counts those that complete and the attempts that it cost.
func outage(lasts time.Duration, app *away, try func(run string, attempt int) (bool, time.Duration)) (completed, burned int) {
	const runs = 300
	var all sync.WaitGroup
	var mu sync.Mutex
	app.from = time.Now().Add(10 * time.Minute)
	app.to = app.from.Add(lasts)
	for i := range runs {
		all.Go(func() {
			time.Sleep(time.Duration(i) * (lasts + 10*time.Minute) / runs)
			ok, cost := finish(func(attempt int) (bool, time.Duration) { return try(fmt.Sprint("run", i), attempt) })
			mu.Lock()
			defer mu.Unlock()
			burned += cost
			if ok {
				completed++
			}
		})
	}
	all.Wait()
	return completed, burned
}

// The claim: an outage of a day costs no run. Connected directly, every run that
// begins more than a few minutes before its end is dead.
func TestOutage_ofADayCostsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &away{}
		l := newLine(t, app)
		if completed, burned := outage(24*time.Hour, app, l.try); completed != 300 || app.calls.Load() != 300 {
			t.Errorf("behind the gateway: %d of 300 runs completed with %d calls at the app and %d attempts burned; want all, each once",
				completed, app.calls.Load(), burned)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		app := &away{}
		completed, _ := outage(24*time.Hour, app, func(string, int) (bool, time.Duration) {
			_, err := app.Do(context.Background(), nil)
			return err == nil, 0
		})
		if completed > 6 { // those before it and at its very end
			t.Errorf("connected directly: %d of 300 runs completed; the comparison shows nothing", completed)
		}
	})
}

// A deployment costs no attempt at all.
func TestOutage_ofARestartBurnsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &away{}
		l := newLine(t, app)
		if completed, burned := outage(40*time.Second, app, l.try); completed != 300 || burned != 0 {
			t.Errorf("%d of 300 runs completed, %d attempts burned; want all and none", completed, burned)
		}
	})
}
