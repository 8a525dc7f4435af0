package chaos

import (
	"net"
	"strings"
	"testing"
	"time"
)

// clockSteps are what somebody, or something, does to the clock of a host. The
// last of the steps stays until the test sets the clock right.
func clockSteps() map[string][]time.Duration {
	return map[string][]time.Duration{
		"an hour forward":    {time.Hour},
		"an hour back":       {-time.Hour},
		"ten seconds":        {10 * time.Second},
		"forward, then back": {time.Hour, -time.Hour},
	}
}

// wrong tells whether signatures of the right time are too old, or too young, by
// a clock that is off so much.
func wrong(off time.Duration) bool { return off.Abs() > 5*time.Minute }

// The clock of the gateway steps while the app works on calls. They are answered
// as ever. Calls that come while the clock is wrong are refused, and each costs an
// attempt; nothing else does.
func TestGateway_clockStepsWhileCallsRun(t *testing.T) {
	const runs = 60
	for name, steps := range clockSteps() {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			a := newApp(t, "shop", 300*time.Millisecond)
			g := newSteppedGateway(t, s, []*app{a}, "")
			a.start()
			g.start()
			s.register("shop", "t/shop", "http://"+g.inngest+"/shop")

			s.begin("shop", runs)
			until(t, "steps that run", func() bool { return a.did("step") >= runs/2 })
			for _, off := range steps {
				before, refused := a.did("answered"), g.expired()
				g.clock.set(off)
				if wrong(off) {
					until(t, "calls that the wrong clock refuses", func() bool { return g.expired() >= refused+runs/2 })
				} else {
					until(t, "calls that are answered", func() bool { return a.did("answered") >= before+runs })
				}
			}
			g.clock.set(0)
			s.ended(runs)
			judgeSteps(t, s, g, a, runs)
		})
	}
}

// expired counts the calls that the gateway refused for the time of their
// signature.
func (g *gateway) expired() int {
	return int(max(g.metric("inngest_gateway_inbound_refusals_total", `code="signature_expired"`), 0))
}

// judgeSteps checks that no run was lost to the clock, and no attempt but those
// of calls that came while it was wrong.
func judgeSteps(t *testing.T, s *server, g *gateway, a *app, runs int) {
	t.Helper()
	got, refused := s.tally("shop"), g.expired()
	if got.Completed != runs || got.Other != 0 || got.Burned != refused {
		t.Errorf("%+v; want %d runs completed, and the attempts burned of the %d calls that the clock refused", got, runs, refused)
	}
	for failure := range got.Failures {
		if !strings.HasPrefix(failure, "401 ") {
			t.Errorf("an attempt failed with %q", failure)
		}
	}
	if steps, again := a.repeated(); steps != runs*appSteps || again != 0 {
		t.Errorf("%d steps were executed, want %d; %d executions too many", steps, runs*appSteps, again)
	}
	t.Logf("%d calls refused", refused)
}

// A lookout is calls that wait, and whose callers hang up one after another: when
// one of them is missed, the room has looked at all that wait.
type lookout struct {
	g       *gateway
	callers []net.Conn
	missed  int
}

func newLookout(t *testing.T, g *gateway, looks int) *lookout {
	t.Helper()
	l := &lookout{g: g}
	for n := range looks {
		c, err := net.Dial("tcp", g.inngest)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		request := callOf("/shop", n, "", nil)
		if _, err := request.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		l.callers = append(l.callers, c)
	}
	return l
}

// waiting waits until so many calls wait beside those of the lookout.
func (l *lookout) waiting(n int) {
	l.g.tb.Helper()
	until(l.g.tb, "calls that wait", func() bool { return l.g.parked() == n+len(l.callers) })
}

// look waits until the room has looked.
func (l *lookout) look() {
	l.g.tb.Helper()
	l.callers[l.missed].Close()
	l.missed++
	until(l.g.tb, "a caller that is missed", func() bool {
		return int(l.g.metric("inngest_gateway_admission_parked_seconds_count", `outcome="gone"`)) == l.missed
	})
}

func (g *gateway) parked() int { return int(g.metric("inngest_gateway_admission_parked_calls")) }

// What a call waits for, and how long, is measured with a clock that nobody sets:
// no step ends its wait, none holds it or its app's breaker for longer.
func TestGateway_clockStepsWhileCallsWait(t *testing.T) {
	const runs = 60
	for name, steps := range clockSteps() {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			a := newApp(t, "shop", time.Millisecond)
			g := newSteppedGateway(t, s, []*app{a}, "")
			g.start()
			s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
			l := newLookout(t, g, len(steps))
			s.begin("shop", runs)
			l.waiting(runs)
			for _, off := range steps {
				g.clock.set(off)
				l.look()
			}
			a.start()
			until(t, "the calls that waited", func() bool { return a.did("answered") >= runs })
			g.clock.set(0)
			s.ended(runs)
			judgeSteps(t, s, g, a, runs)
			if shed := g.metric("inngest_gateway_admission_shed_calls_total"); shed > 0 {
				t.Errorf("%v calls were shed", shed)
			}
		})
	}
}

// The wait of a call has its end, whatever the clock says by then.
func TestGateway_clockStepsUntilTheWaitIsOver(t *testing.T) {
	const calls = 60
	for name, off := range map[string]time.Duration{"an hour forward": time.Hour, "an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			a := newApp(t, "shop", time.Millisecond)
			a.settings = "wait: {max: 3s}"
			g := newSteppedGateway(t, s, []*app{a}, "")
			g.start()
			b := fire(t, g.inngest, "/shop", calls, 100)
			until(t, "calls that wait", func() bool { return g.parked() > 0 })
			g.clock.set(off)
			said := b.wait()
			shed := said["upstream_refused"] + said["upstream_open"]
			if shed+said["signature_expired"] != calls || shed == 0 {
				t.Errorf("callers were told %v; want all shed but those that came after the step", said)
			}
			if g.parked() != 0 {
				t.Errorf("%d calls still wait", g.parked())
			}
		})
	}
}

// A pause has the length that was asked for, whatever the clock does meanwhile.
func TestGateway_clockStepsDuringAPause(t *testing.T) {
	const runs = 40
	for name, c := range map[string]struct {
		length string
		steps  []time.Duration
		down   bool // the last step is made while the gateway is
		ends   bool // by itself, while the clock is wrong
	}{
		"an hour forward":          {"10m", []time.Duration{time.Hour}, false, false},
		"an hour back":             {"2s", []time.Duration{-time.Hour}, false, true},
		"forward, then back":       {"2s", []time.Duration{time.Hour, -time.Hour}, false, true},
		"an hour back, at a start": {"2s", []time.Duration{-time.Hour}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			a := newApp(t, "shop", time.Millisecond)
			g := newSteppedGateway(t, s, []*app{a}, "")
			a.start()
			g.start()
			s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
			g.command("pause", "shop", "--for", c.length)
			looks := 1
			if c.ends {
				looks = 0
			}
			l := newLookout(t, g, looks)
			s.begin("shop", runs)
			until(t, "calls that wait", func() bool { return g.parked() > looks })
			if c.down {
				g.kill()
			}
			for _, off := range c.steps {
				g.clock.set(off)
			}
			if c.down {
				g.start()
			}
			if !c.ends {
				l.look()
				if got := a.did("call"); got != 0 {
					t.Errorf("%d calls reached the app during a pause of %s", got, c.length)
				}
				g.command("resume", "shop")
			}
			until(t, "the end of the pause", func() bool {
				return a.did("answered") > 0 || c.down && g.metric("inngest_gateway_admission_pauses") == 0
			})
			g.clock.set(0)
			s.ended(runs)
			if c.down {
				if got := s.tally("shop"); got.Completed != runs || got.Other != 0 {
					t.Errorf("%+v; want %d runs completed", got, runs)
				}
				return
			}
			judgeSteps(t, s, g, a, runs)
		})
	}
}
