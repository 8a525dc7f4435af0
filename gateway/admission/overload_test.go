package admission

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

const narrowStep = 2 * time.Second

// A narrow app takes so many calls at once, for narrowStep each. The proxy before
// it answers 503 to what is more, and the breaker counts that.
type narrow struct {
	breaker *breaker.Breaker

	mu                 sync.Mutex
	capacity, running  int
	good, bad, outages int
}

// newNarrow has the breaker that an app has unless it is told otherwise.
func newNarrow(t *testing.T, capacity int) *narrow {
	n := &narrow{capacity: capacity}
	var err error
	n.breaker, err = breaker.New(breaker.Options{
		App: "shop", Endpoint: "e", ConsecutiveFailures: 5, FailureRatio: 0.5, MinCalls: 20, Window: 30 * time.Second,
		OpenFor: 5 * time.Second, HalfOpenProbes: 1, ProbeTimeout: 2 * time.Second, OnChange: n.changed,
		Metrics: metrics.New(prometheus.NewRegistry()).Breaker,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *narrow) changed(_, to breaker.State) {
	if to != breaker.Open {
		return
	}
	n.mu.Lock()
	n.outages++
	n.mu.Unlock()
	time.AfterFunc(5*time.Second, func() {
		if p, ok := n.breaker.AllowProbe(); ok {
			p.Done(breaker.Success)
		}
	})
}

func (n *narrow) Usable() bool                  { return n.breaker.Closed() }
func (n *narrow) Status() []pool.EndpointStatus { return nil }

func (n *narrow) Do(context.Context, *call.Call) (*call.Answer, error) {
	ticket, ok := n.breaker.Allow()
	if !ok {
		return nil, &pool.Error{Code: inngest.CodeUpstreamOpen}
	}
	n.mu.Lock()
	if n.running >= n.capacity {
		n.bad++
		n.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		ticket.Done(breaker.Failure)
		return &call.Answer{Status: 503}, nil
	}
	n.running++
	n.mu.Unlock()
	time.Sleep(narrowStep)
	ticket.Done(breaker.Success)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running--
	n.good++
	return answer(""), nil
}

// tally returns what became of the calls.
func (n *narrow) tally() (good, bad, outages int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.good, n.bad, n.outages
}

func (n *narrow) room(t *testing.T, most int) *Room {
	o := options(t, &fakeApp{})
	o.Callee, o.Health, o.Guard.Off = n, n, true
	o.Wait = Wait{Max: time.Hour, MaxCalls: 100_000, MaxBytes: 1 << 30}
	o.Concurrency = Concurrency{Min: 10, Max: most, Adaptive: true}
	return newRoom(t, o)
}

// offer makes calls for so long, three tenths more than the app can do.
func (n *narrow) offer(r *Room, all *sync.WaitGroup, capacity int, d time.Duration) {
	every := narrowStep / time.Duration(capacity) * 10 / 13
	for began := time.Now(); time.Since(began) < d; time.Sleep(every) {
		all.Go(func() { r.Do(context.Background(), newCall("run")) })
	}
}

// What an app cannot do costs few attempts, and what it can do is not lost, with
// the limits and the breaker that it has unless it is told otherwise.
func TestLimit_findsWhatTheAppCanDoAndKeepsIt(t *testing.T) {
	const long = 2 * time.Minute
	for _, most := range []int{1000, 200} {
		for _, capacity := range []int{20, 50, 200} {
			t.Run(fmt.Sprintf("%d of %d", capacity, most), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNarrow(t, capacity)
					r := n.room(t, most)
					var all sync.WaitGroup
					n.offer(r, &all, capacity, long)
					good, bad, outages := n.tally()
					if can := capacity * int(long/narrowStep); good*100 < can*85 {
						t.Errorf("%d calls answered in %v, want 85 %% of the %d that the app can do", good, long, can)
					}
					if bad > 20 {
						t.Errorf("%d attempts lost in %v, want 20 at most", bad, long)
					}
					if outages > 0 {
						t.Errorf("the breaker opened %d times, want never", outages)
					}
					r.Drain()
					all.Wait()
				})
			})
		}
	}
}

func TestLimit_followsAnAppThatCanDoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarrow(t, 20)
		r := n.room(t, 1000)
		var all sync.WaitGroup
		n.offer(r, &all, 20, 2*time.Minute)
		if got := r.Status().Limit; got > 20 {
			t.Errorf("limit = %d, want the app's 20 or less", got)
		}
		_, before, _ := n.tally()
		n.mu.Lock()
		n.capacity = 200
		n.mu.Unlock()
		n.offer(r, &all, 200, 2*time.Minute)
		if got := r.Status().Limit; got < 140 || got > 200 {
			t.Errorf("limit = %d two minutes after the app could do more, want from 140 to 200", got)
		}
		n.mu.Lock()
		n.capacity = 5000
		n.mu.Unlock()
		n.offer(r, &all, 1000, 2*time.Minute)
		if got := r.Status().Limit; got != 1000 {
			t.Errorf("limit = %d two minutes after the app had no bound, want the maximum", got)
		}
		if _, bad, outages := n.tally(); bad-before > 20 || outages > 0 {
			t.Errorf("%d attempts lost on the way up, the breaker opened %d times; want 20 at most, and never", bad-before, outages)
		}
		r.Drain()
		all.Wait()
	})
}

// When most of the app is gone at once, the places that are too many are not
// given away again and again.
func TestLimit_givesNoPlaceAwayThatTheAppRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		var mu sync.Mutex
		capacity, running, bad := 200, 0, 0
		app.step = func(*call.Call) (*call.Answer, error) {
			mu.Lock()
			running++
			over := running > capacity
			if over {
				bad++
			}
			mu.Unlock()
			defer func() {
				mu.Lock()
				running--
				mu.Unlock()
			}()
			if over {
				time.Sleep(5 * time.Millisecond)
				return &call.Answer{Status: 503}, nil
			}
			time.Sleep(time.Second)
			return answer(""), nil
		}
		r := newRoom(t, adaptive(t, app)) // 200
		stop := make(chan struct{})
		load(r, 400, stop)
		time.Sleep(10 * time.Second)
		mu.Lock()
		capacity = 50
		mu.Unlock()
		time.Sleep(10 * time.Second)
		mu.Lock()
		if bad > 400 { // tens of thousands where they are
			t.Errorf("%d attempts lost, want about one for each of the 200 places", bad)
		}
		mu.Unlock()
		if got := r.Status().Limit; got < 20 || got > 60 {
			t.Errorf("limit = %d, want about the app's 50", got)
		}
		close(stop)
		time.Sleep(time.Minute)
	})
}

// The first call after an outage meets a proxy that has nobody behind it yet.
// That one is all that may pass says nothing about a thousand.
func TestLimit_learnsLittleFromTheFirstCallAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true, step: func(*call.Call) (*call.Answer, error) { return &call.Answer{Status: 503}, nil }}
		o := adaptive(t, app)
		o.Concurrency = Concurrency{Min: 10, Max: 1000, Adaptive: true}
		r := newRoom(t, o)
		done := send(r, newCall("run"))
		time.Sleep(5 * time.Second)
		app.set(func(a *fakeApp) { a.open = false })
		if got := <-done; got.err != nil || r.Status().Limit != 700 {
			t.Errorf("Do = %v, limit = %d; want an answer and three tenths less than 1000", got.err, r.Status().Limit)
		}
	})
}

// The limit grows above what is known where it is in force, and no other does.
func TestLimit_growsWhereItIsInForceAndUsed(t *testing.T) {
	for name, test := range map[string]struct {
		load, pool float64
		running    int
		want       [2]float64 // load and pool, after a second
	}{
		"all of it is used":               {load: 20, pool: 1000, running: 20, want: [2]float64{24, 1000}},
		"a fraction of a call is not":     {load: 5.6, pool: 1000, running: 5, want: [2]float64{9.6, 1000}},
		"half of it is used":              {load: 20, pool: 1000, running: 10, want: [2]float64{20, 1000}},
		"connections are what is missing": {load: 20, pool: 10, running: 10, want: [2]float64{20, 11}},
		"connections are not":             {load: 10, pool: 20, running: 10, want: [2]float64{14, 20}},
	} {
		l := newLimiter(Concurrency{Min: 1, Max: 1000, Adaptive: true})
		now := time.Now()
		l.load.now, l.load.known, l.load.foundAt = test.load, test.load, now.Add(-5*time.Minute)
		l.pool.now, l.pool.known, l.pool.foundAt = test.pool, test.pool, now.Add(-5*time.Minute)
		l.apply()
		l.raised = now.Add(-time.Second)
		l.raise(now, test.running)
		if got := [2]float64{l.load.now, l.pool.now}; got != test.want {
			t.Errorf("%s: load and pool = %v, want %v", name, got, test.want)
		}
	}
}
