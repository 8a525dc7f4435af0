package admission

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// memory is a store.
type memory struct {
	state State
	saves int
}

func (m *memory) Load() (State, error) { return m.state, nil }
func (m *memory) Save(s State) error   { m.state, m.saves = s, m.saves+1; return nil }

// impatient is a call whose caller hangs up after that time.
func impatient(run string, after time.Duration) *call.Call {
	c := newCall(run)
	received := c.Received
	c.Gone = func() bool { return time.Since(received) >= after }
	return c
}

func learning(t testing.TB, app *fakeApp, kept *memory) Options {
	o := options(t, app)
	o.Wait.Max, o.Wait.Auto, o.Store = 0, true, kept
	return o
}

// arrive sends calls for that long, ten a second, whose callers all wait for so
// long.
func arrive(r *Room, patience, during time.Duration) {
	for i := range int(during / (100 * time.Millisecond)) {
		send(r, impatient(fmt.Sprint(time.Now().Unix(), "-", i), patience))
		time.Sleep(100 * time.Millisecond)
	}
}

func TestPatience_learnsUpToFourMinutesByOneCanaryAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, kept := &fakeApp{open: true}, &memory{}
		r := newRoom(t, learning(t, app, kept))
		if got := r.Status(); got.WaitSeconds != 50 || got.WaitLearnt {
			t.Errorf("at first calls are parked for %v s (learnt: %v), want 50, not learnt", got.WaitSeconds, got.WaitLearnt)
		}
		arrive(r, 2*time.Hour, 20*time.Minute)
		if got := r.Status(); got.WaitSeconds < 239 || got.WaitSeconds > 240 || !got.WaitLearnt {
			t.Errorf("after 20 min of patient callers: %v s (learnt: %v), want 4 min", got.WaitSeconds, got.WaitLearnt)
		}
		if kept.state.Wait.Limit < 239*time.Second {
			t.Errorf("kept = %+v, want what was learnt", kept.state)
		}
		again, err := New(learning(t, app, kept))
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Status().WaitSeconds; got < 239 {
			t.Errorf("after a restart: %v s, want what was learnt", got)
		}
	})
}

// A balancer cuts at 60 s: that costs one canary a day, and nobody else.
func TestPatience_findsWhereCallersGiveUpWithOneLostCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, kept := &fakeApp{open: true}, &memory{}
		r := newRoom(t, learning(t, app, kept))
		lost := 0
		var all []<-chan result
		for i := range 6000 { // 10 min
			all = append(all, send(r, impatient(fmt.Sprint(i), time.Minute)))
			time.Sleep(100 * time.Millisecond)
		}
		for _, one := range all {
			if got := <-one; got.after > 52*time.Second {
				lost++
			}
		}
		if s := r.Status(); lost != 1 || s.WaitSeconds != 50 || s.Cut < 60 || s.Cut > 62 {
			t.Errorf("%d calls were parked for longer than 50 s; status = %+v; want one, which found the cut at 60 s", lost, s)
		}
		time.Sleep(24 * time.Hour)
		arrive(r, 2*time.Hour, 5*time.Minute)
		if got := r.Status().WaitSeconds; got < 75 {
			t.Errorf("a day later with patient callers: %v s, want that it is learnt again", got)
		}
	})
}

func TestPatience_followsCallersThatGiveUpSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, kept := &fakeApp{open: true}, &memory{}
		r := newRoom(t, learning(t, app, kept))
		arrive(r, 30*time.Second, time.Minute)
		if got := r.Status().WaitSeconds; got < 25 || got > 28 {
			t.Errorf("callers that give up after 30 s: parked for %v s, want a little less than that", got)
		}
	})
}

func TestPatience_ignoresSingleCallersThatHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, kept := &fakeApp{open: true}, &memory{}
		r := newRoom(t, learning(t, app, kept))
		for i, after := range []time.Duration{3, 20, 40, 9, 31} {
			send(r, impatient(fmt.Sprint(i), after*time.Second))
		}
		time.Sleep(49 * time.Second)
		if got := r.Status().WaitSeconds; got != 50 {
			t.Errorf("calls are parked for %v s, want 50", got)
		}
	})
}

func TestPatience_sparesRunsThatCannotSpareTheAttempt(t *testing.T) {
	for name, change := range map[string]func(*call.Call){
		"the last attempt":                       func(c *call.Call) { c.Identity.Attempt = 4 },
		"whether its caller is there is unknown": func(c *call.Call) { c.Gone = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
				c := newCall("run")
				change(c)
				if got := <-send(r, c); got.after > 51*time.Second {
					t.Errorf("parked for %v, want 50 s: no canary", got.after)
				}
			})
		})
	}
}

func TestPatience_isPinnedByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &memory{state: State{Wait: WaitState{Limit: 3 * time.Minute}}}
		o := learning(t, &fakeApp{open: true}, kept)
		o.Wait.Auto, o.Wait.Max = false, 20*time.Second
		r := newRoom(t, o)
		arrive(r, 10*time.Second, time.Minute)
		if got := r.Status(); got.WaitSeconds != 20 || got.WaitLearnt {
			t.Errorf("calls are parked for %v s, want 20 as configured", got.WaitSeconds)
		}
	})
}

// die is when callers hung up, all at once.
type die struct{ at atomic.Pointer[time.Time] }

func (d *die) now() { t := time.Now(); d.at.Store(&t) }

// call is one whose caller goes then, however long it has waited.
func (d *die) call(run string) *call.Call {
	c := newCall(run)
	c.Gone = func() bool { at := d.at.Load(); return at != nil && !c.Received.After(*at) }
	return c
}

// A server that restarts gives up all its calls at one time: those that it sent
// together are of one age, and that means nothing.
func TestPatience_ignoresARestartOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		var server die
		for restart := range 3 {
			time.Sleep(10 * time.Minute)
			for i := range 30 { // in three bursts
				send(r, server.call(fmt.Sprint(restart, "-", i)))
				if i%10 == 9 {
					time.Sleep(7 * time.Second)
				}
			}
			server.now()
			time.Sleep(5 * time.Second)
			if s := r.Status(); s.WaitSeconds != 50 || s.Parked != 0 {
				t.Errorf("after %d restarts of the server calls are parked for %v s, %d still are; want 50 s, none", restart+1, s.WaitSeconds, s.Parked)
			}
		}
	})
}

func TestPatience_doesNotFollowCallersOfWhichOthersOutlastThem(t *testing.T) {
	for name, between := range map[string]func(*testing.T, *Room, int){
		"to the end of their wait": func(t *testing.T, r *Room, i int) {
			c := newCall(fmt.Sprint("stays-", i))
			c.Identity.Attempt = 4 // no canary
			if e := refusal(t, <-send(r, c)); e.Code != inngest.CodeUpstreamOpen {
				t.Errorf("code = %s", e.Code)
			}
		},
		"and are waiting now": func(_ *testing.T, r *Room, i int) {
			if i == 0 {
				send(r, newCall("stays"))
				time.Sleep(5 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
				for i := range 3 {
					between(t, r, i)
					refusal(t, <-send(r, impatient(fmt.Sprint(i), 10*time.Second)))
				}
				if got := r.Status().WaitSeconds; got != 50 {
					t.Errorf("calls are parked for %v s, want 50", got)
				}
			})
		})
	}
}

func TestPatience_forgetsCallersThatGaveUpLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		for i := range 3 {
			refusal(t, <-send(r, impatient(fmt.Sprint(i), 10*time.Second)))
			time.Sleep(40 * time.Minute)
		}
		if got := r.Status().WaitSeconds; got != 50 {
			t.Errorf("calls are parked for %v s, want 50", got)
		}
	})
}

// Three callers that gave up by chance cost a short wait for minutes, not a day.
func TestPatience_recoversWithinMinutesFromALimitThatWasTooLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &memory{}
		r := newRoom(t, learning(t, &fakeApp{open: true}, kept))
		for i := range 3 {
			refusal(t, <-send(r, impatient(fmt.Sprint(i), 20*time.Second)))
		}
		if s := r.Status(); s.WaitSeconds != 17 || s.Cut < 20 || s.Cut > 21 || !s.WaitLearnt {
			t.Errorf("status = %+v, want 17 s, as callers gave up after 20 s", s)
		}
		arrive(r, 2*time.Hour, 20*time.Minute)
		if s := r.Status(); s.WaitSeconds < 200 || s.Cut != 0 {
			t.Errorf("20 min later calls are parked for %v s, callers gave up after %v s; want minutes, and that they did not", s.WaitSeconds, s.Cut)
		}
	})
}

// The canary is the oldest of those that a restart of the server takes along.
func TestPatience_sendsAnotherCanaryAfterOneThatWentWithAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		var server die
		for i := range 60 {
			send(r, server.call(fmt.Sprint(i)))
			time.Sleep(time.Second)
		}
		server.now()
		time.Sleep(2 * time.Second)
		if s := r.Status(); s.WaitSeconds != 50 || s.Cut != 0 || s.Parked != 0 {
			t.Errorf("status = %+v, want nothing learnt", s)
		}
		arrive(r, 2*time.Hour, 10*time.Minute)
		if got := r.Status().WaitSeconds; got < 75 {
			t.Errorf("10 min later calls are parked for %v s, want that it was learnt", got)
		}
	})
}

// The caller went in the second before the end: nobody has looked yet.
func TestPatience_learnsNothingFromACanaryWhoseCallerIsGoneAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		time.Sleep(300 * time.Millisecond)
		c := newCall("run")
		var gone atomic.Bool
		c.Gone = gone.Load
		w := &waiter{polled: polled{call: c}, began: time.Now().Add(-70 * time.Second), canary: true}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.patience.canary = w
		gone.Store(true)
		r.learn(w, time.Now())
		if r.patience.limit != 50*time.Second || r.patience.canary != nil {
			t.Errorf("the limit is %v, the canary %v; want 50 s and none", r.patience.limit, r.patience.canary)
		}
	})
}

// Whether somebody is there who cannot be looked for is not known: it proves
// nothing against a cut.
func TestPatience_takesNobodyForPatientOfWhomNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		for i := range 3 {
			c := newCall(fmt.Sprint("unknown-", i))
			c.Gone = nil
			refusal(t, <-send(r, c))
			refusal(t, <-send(r, impatient(fmt.Sprint(i), 10*time.Second)))
		}
		if got := r.Status().WaitSeconds; got != 8 {
			t.Errorf("calls are parked for %v s, want a little less than 10", got)
		}
	})
}

// No limit is as low as that: what callers do so soon changes nothing.
func TestPatience_ignoresCallersThatGiveUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{}))
		for i := range 10 {
			refusal(t, <-send(r, impatient(fmt.Sprint(i), 2*time.Second)))
			time.Sleep(10 * time.Second)
		}
		if got := r.Status().WaitSeconds; got != 50 {
			t.Errorf("calls are parked for %v s, want 50", got)
		}
	})
}

func TestPatience_looksAgainAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for again, want := range map[time.Duration]float64{365 * 24 * time.Hour: 75, 12 * time.Hour: 50} {
			r := newRoom(t, learning(t, &fakeApp{open: true}, &memory{state: State{Wait: WaitState{Limit: 50 * time.Second, Again: time.Now().Add(again)}}}))
			send(r, newCall("run"))
			time.Sleep(80 * time.Second)
			if got := r.Status().WaitSeconds; got < want || got > want+2 {
				t.Errorf("with the next canary in %v calls are parked for %v s, want %v", again, got, want)
			}
		}
	})
}
