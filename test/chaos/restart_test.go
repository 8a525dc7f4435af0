package chaos

import (
	"context"
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// long has the tests of outages last as long as real ones do.
var long = flag.Bool("long", false, "run the long form of the tests of outages; make soak does")

// An outage is how often an app goes away, and for how long.
type outage struct {
	rounds int
	away   time.Duration
}

func outages() outage {
	if *long {
		return outage{rounds: 10, away: 20 * time.Second}
	}
	return outage{rounds: 3, away: 2 * time.Second}
}

// pass waits while something is away: what is tested is the time itself.
func pass(d time.Duration) { <-time.After(d) }

// steadily starts runs of an app's function, so many a second whether earlier
// ones have ended or not, until the returned function is called. That tells how
// many there were.
func steadily(tb testing.TB, s *server, app string, perSecond int) (stop func() int) {
	tb.Helper()
	over, begun := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { begun <- n }()
		every := time.NewTicker(time.Second / time.Duration(perSecond))
		defer every.Stop()
		for {
			select {
			case <-over:
				return
			case <-every.C:
			}
			if _, err := s.SendEvent(context.Background(), "t/"+app, nil); err != nil {
				tb.Errorf("event %d: %v", n, err)
				return
			}
			n++
		}
	}()
	return func() int {
		close(over)
		return <-begun
	}
}

// repeated counts the executions of steps that were one too many.
func (a *app) repeated() (steps, again int) {
	executions := a.executions()
	for _, n := range executions {
		again += n - 1
	}
	return len(executions), again
}

// An app restarts under 200 calls a second and is away for a while, again and
// again. Whatever ends it, no run fails. Terminated, it burns no attempt and
// repeats no step; killed, only those of calls that it had in its hands.
func TestApp_outageByRestartsUnderLoad(t *testing.T) {
	const callsPerSecond = 200
	for name, c := range map[string]struct {
		end syscall.Signal
		// burned is how many attempts may be, by what the app told.
		burned func(*app) int
	}{
		"SIGTERM": {syscall.SIGTERM, func(a *app) int { return a.did("dropped") }},
		"SIGKILL": {syscall.SIGKILL, func(a *app) int { return a.inHand(outages().rounds) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := outages()
			s := newServer(t)
			a := newApp(t, "shop", 5*time.Millisecond)
			g := newGateway(t, s, []*app{a}, "")
			a.start()
			g.start()
			s.register("shop", "t/shop", "http://"+g.inngest+"/shop")

			stop := steadily(t, s, "shop", callsPerSecond/(appSteps+1))
			for range o.rounds {
				until(t, "no call that waits", func() bool { return g.metric("inngest_gateway_admission_parked_calls") == 0 })
				before := a.did("answered")
				until(t, "calls that are answered", func() bool { return a.did("answered") > before+callsPerSecond })
				a.process.signal(c.end)
				a.process.wait()
				pass(o.away)
				a.start()
			}
			begun := stop()
			s.ended(begun)

			got, most := s.tally("shop"), c.burned(a)
			steps, again := a.repeated()
			if got.Completed != begun || got.Other != 0 || got.Burned > most {
				t.Errorf("of %d runs: %+v; want all completed, and at most %d attempts burned", begun, got, most)
			}
			if steps != begun*appSteps || again > most {
				t.Errorf("%d steps were executed, want %d; %d executions too many, want at most %d", steps, begun*appSteps, again, most)
			}
			t.Log(told(begun, got, again, g))
		})
	}
}

func told(runs int, got tally, again int, g *gateway) string {
	return fmt.Sprintf("%d runs; attempts burned: %d %v; steps repeated: %d; calls that came back: %v; shed: %v",
		runs, got.Burned, got.Failures, again,
		g.metric("inngest_gateway_admission_returned_calls_total"), g.metric("inngest_gateway_admission_shed_calls_total"))
}
