package breaker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

func options() Options {
	return Options{
		App: "shop", Endpoint: "http://127.0.0.1:3000",
		ConsecutiveFailures: 3, FailureRatio: 0.5, MinCalls: 10, Window: 10 * time.Second,
		OpenFor: 5 * time.Second, HalfOpenProbes: 2, ProbeTimeout: 2 * time.Second,
		Metrics: metrics.New(prometheus.NewRegistry()).Breaker,
	}
}

func newBreaker(t testing.TB, change ...func(*Options)) *Breaker {
	t.Helper()
	o := options()
	for _, c := range change {
		c(&o)
	}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Breaker) wantState(t testing.TB, want State) {
	t.Helper()
	if got, _ := b.State(); got != want {
		t.Fatalf("state is %v, want %v", got, want)
	}
}

// call makes one call with that outcome.
func (b *Breaker) call(t testing.TB, o Outcome) {
	t.Helper()
	ticket, ok := b.Allow()
	if !ok {
		t.Fatal("the breaker refuses a call")
	}
	ticket.Done(o)
}

// open makes the breaker open.
func (b *Breaker) open(t testing.TB) {
	t.Helper()
	for range b.opt.ConsecutiveFailures {
		b.call(t, Failure)
	}
	b.wantState(t, Open)
}

func (b *Breaker) mustProbe(t testing.TB) *Probe {
	t.Helper()
	p, ok := b.AllowProbe()
	if !ok {
		t.Fatal("the breaker refuses a probe")
	}
	return p
}

func TestNew_refusesMissingValues(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"never opens":       func(o *Options) { o.ConsecutiveFailures, o.FailureRatio = 0, 0 },
		"negative failures": func(o *Options) { o.ConsecutiveFailures = -1 },
		"ratio above one":   func(o *Options) { o.FailureRatio = 1.1 },
		"no minimum":        func(o *Options) { o.MinCalls = 0 },
		"no window":         func(o *Options) { o.Window = 0 },
		"never half-open":   func(o *Options) { o.OpenFor = 0 },
		"no probes":         func(o *Options) { o.HalfOpenProbes = 0 },
		"endless probes":    func(o *Options) { o.ProbeTimeout = 0 },
		"no metrics":        func(o *Options) { o.Metrics = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			spoil(&o)
			if _, err := New(o); err == nil {
				t.Error("New took it")
			}
		})
	}
}

func TestBreaker_opens(t *testing.T) {
	const s, f, i = Success, Failure, Ignored
	for name, c := range map[string]struct {
		outcomes []Outcome
		want     State
	}{
		"three failures in a row":       {[]Outcome{s, s, f, f, f}, Open},
		"two failures in a row":         {[]Outcome{f, f, s, f, f, s}, Closed},
		"half of ten":                   {[]Outcome{f, s, f, s, f, s, f, s, s, f}, Open},
		"half of nine":                  {[]Outcome{f, s, f, s, f, s, f, s, f}, Closed},
		"fewer than half":               {[]Outcome{f, s, f, s, f, s, f, s, s, s}, Closed},
		"ignored ones do not count":     {[]Outcome{f, f, i, i, i, i, i, i, i, i, s}, Closed},
		"ignored ones end no sequence":  {[]Outcome{f, f, i, f}, Open},
		"successes alone never open it": {slices.Repeat([]Outcome{s}, 100), Closed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBreaker(t)
			for _, o := range c.outcomes {
				b.call(t, o)
			}
			b.wantState(t, c.want)
		})
	}
}

func TestBreaker_countsOnlyWhatIsSwitchedOn(t *testing.T) {
	b := newBreaker(t, func(o *Options) { o.ConsecutiveFailures = 0 })
	for range 9 {
		b.call(t, Failure)
	}
	b.wantState(t, Closed)
	b.call(t, Failure)
	b.wantState(t, Open)

	b = newBreaker(t, func(o *Options) { o.FailureRatio = 0; o.ConsecutiveFailures = 30 })
	for range 29 {
		b.call(t, Failure)
	}
	b.wantState(t, Closed)
}

func TestBreaker_forgetsWhatIsOlderThanTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		for range 4 {
			b.call(t, Failure)
			b.call(t, Success)
		}
		time.Sleep(11 * time.Second)
		b.call(t, Success)
		b.call(t, Failure)
		b.call(t, Failure)
		b.wantState(t, Closed)
	})
}

func TestBreaker_countsFailuresInARowHoweverFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		for range 3 {
			b.wantState(t, Closed)
			b.call(t, Failure)
			time.Sleep(time.Minute)
		}
		if b.Closed() {
			t.Error("three failures in a row, a minute apart, did not open it")
		}
	})
}

func TestBreaker_countsVerdictsWhenTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		var tickets []Ticket
		for range 3 {
			ticket, _ := b.Allow()
			tickets = append(tickets, ticket)
		}
		time.Sleep(2 * time.Hour)
		for _, ticket := range tickets {
			ticket.Done(Failure)
		}
		b.wantState(t, Open)
	})
}

func TestBreaker_isClosedByProbesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		early, _ := b.Allow()
		b.open(t)
		if _, ok := b.AllowProbe(); ok {
			t.Error("an open breaker takes a probe")
		}
		early.Done(Success)
		b.wantState(t, Open)
		time.Sleep(5*time.Second - 1)
		b.wantState(t, Open)
		time.Sleep(time.Nanosecond)
		b.wantState(t, HalfOpen)
		if _, ok := b.Allow(); ok || b.Closed() {
			t.Error("a half-open breaker takes a call")
		}

		p := b.mustProbe(t)
		if _, ok := b.AllowProbe(); ok {
			t.Error("a second probe at once")
		}
		p.Done(Success)
		p.Done(Success)
		b.wantState(t, HalfOpen)
		b.mustProbe(t).Done(Success)
		b.wantState(t, Closed)
		b.call(t, Success)
	})
}

func TestBreaker_opensAgainAfterABadProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		b.open(t)
		time.Sleep(5 * time.Second)
		b.mustProbe(t).Done(Success)
		b.mustProbe(t).Done(Failure)
		b.wantState(t, Open)
		if _, since := b.State(); !since.Equal(time.Now()) {
			t.Errorf("open since %v, want now", since)
		}
		time.Sleep(5 * time.Second)
		b.mustProbe(t).Done(Success)
		b.wantState(t, HalfOpen)
	})
}

func TestBreaker_isNotLockedByAProbeWithoutVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		b.open(t)
		time.Sleep(5 * time.Second)
		lost := b.mustProbe(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.wantState(t, Open)
		time.Sleep(5 * time.Second)
		second := b.mustProbe(t)
		lost.Done(Success)
		lost.Done(Failure)
		b.wantState(t, HalfOpen)
		second.Done(Ignored)
		b.wantState(t, HalfOpen)
		b.mustProbe(t).Done(Success)
		b.mustProbe(t).Done(Success)
		b.wantState(t, Closed)
	})
}

func TestBreaker_ignoresVerdictsOfAnEarlierState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		var old []Ticket
		for range 5 {
			ticket, _ := b.Allow()
			old = append(old, ticket)
		}
		b.open(t)
		time.Sleep(5 * time.Second)
		b.mustProbe(t).Done(Success)
		b.mustProbe(t).Done(Success)
		for _, ticket := range old {
			ticket.Done(Failure)
		}
		b.wantState(t, Closed)
	})
}

func TestBreaker_tellsChangesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var b *Breaker
		b = newBreaker(t, func(o *Options) {
			o.OnChange = func(from, to State) {
				told = append(told, fmt.Sprint(from, ">", to))
				b.State() // must not lock up
			}
		})
		b.Enlist()
		b.Enlist()
		b.open(t)
		time.Sleep(5 * time.Second)
		b.mustProbe(t).Done(Failure)
		time.Sleep(5 * time.Second)
		b.mustProbe(t).Done(Success)
		b.mustProbe(t).Done(Success)
		want := []string{"closed>open", "open>half_open", "half_open>open", "open>half_open", "half_open>closed"}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		labels := []string{b.opt.App, b.opt.Endpoint}
		for state, want := range map[string]float64{"open": 2, "half_open": 2, "closed": 1} {
			if got := testutil.ToFloat64(b.opt.Metrics.Transitions.WithLabelValues(append(labels, state)...)); got != want {
				t.Errorf("transitions to %s = %v, want %v", state, got, want)
			}
		}
		for state, want := range map[string]float64{"open": 0, "half_open": 0, "closed": 1} {
			if got := testutil.ToFloat64(b.opt.Metrics.State.WithLabelValues(append(labels, state)...)); got != want {
				t.Errorf("breakers %s = %v, want %v", state, got, want)
			}
		}
		b.Retire()
		b.Retire()
		b.open(t)
		if got := testutil.ToFloat64(b.opt.Metrics.State.WithLabelValues(append(labels, "closed")...)); got != 0 {
			t.Errorf("a retired breaker is still counted: %v", got)
		}
	})
}

func TestBreaker_isSafeForManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, func(o *Options) { o.OnChange = func(_, _ State) {} })
		for i := range 50 {
			go func() {
				for j := range 200 {
					if ticket, ok := b.Allow(); ok {
						ticket.Done(Outcome((i + j) % 3))
					}
					if p, ok := b.AllowProbe(); ok {
						p.Done(Outcome(j % 3))
					}
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
		time.Sleep(time.Minute)
	})
}
