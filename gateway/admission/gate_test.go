package admission

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/pool"
)

// 1,000 calls wait for an app to come back. Its steps take a second, so what
// runs at once shows how fast it was loaded.
func TestGate_opensWithARampAndWithoutAStampede(t *testing.T) {
	for name, away := range map[string]func(*fakeApp, bool){
		"by its breaker":    func(a *fakeApp, away bool) { a.open, a.downSince = away, time.Now() },
		"refusing, no more": func(a *fakeApp, away bool) { a.down = away },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{step: takes(time.Second)}
				app.set(func(a *fakeApp) { away(a, true) })
				o := options(t, app)
				o.Concurrency, o.Wait.MaxCalls = Concurrency{Min: 1, Max: 2000}, 2000
				r := newRoom(t, o)
				var all []<-chan result
				for i := range 1000 {
					all = append(all, send(r, newCall(fmt.Sprint(i))))
				}
				time.Sleep(20 * time.Second)
				asked := app.refused()
				app.set(func(a *fakeApp) { away(a, false) })
				for _, one := range all {
					wantAnswer(t, <-one)
				}
				if asked > 40 { // once a second, after five faster ones
					t.Errorf("the app was asked %d times while it refused, want one call at a time", asked)
				}
				sentAt := app.times()
				began := sentAt[0]
				for at, bound := range map[time.Duration]int{100 * time.Millisecond: 1, 400 * time.Millisecond: 2, 600 * time.Millisecond: 4, 900 * time.Millisecond: 8} {
					n := 0
					for _, sent := range sentAt {
						if sent.Sub(began) <= at {
							n++
						}
					}
					if n > bound || n == 0 {
						t.Errorf("%v after its return the app had had %d calls, want at most %d", at, n, bound)
					}
				}
				if took := sentAt[999].Sub(began); took > 5*time.Second {
					t.Errorf("the last call was sent after %v: the ramp is too flat", took)
				}
			})
		})
	}
}

func TestGate_closesAgainWhenTheRampMeetsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{down: true, step: takes(time.Second)}
		r := newRoom(t, options(t, app))
		var all []<-chan result
		for i := range 100 {
			all = append(all, send(r, newCall(fmt.Sprint(i))))
		}
		time.Sleep(10 * time.Second)
		app.set(func(a *fakeApp) { a.down = false })
		time.Sleep(1500 * time.Millisecond) // inside the ramp
		app.set(func(a *fakeApp) { a.down = true })
		time.Sleep(5 * time.Second)
		if s := r.Status(); s.State != "closed" || s.Parked == 0 || s.Running > 1 {
			t.Errorf("status = %+v, want closed with parked calls", s)
		}
		app.set(func(a *fakeApp) { a.down = false })
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if n := len(app.seen()); n != 100 {
			t.Errorf("the app had %d calls, want 100", n)
		}
	})
}

// Steps that were running when the app went away do not fill the ramp.
func TestGate_countsCallsOfTheRampAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Hour)}
		o := options(t, app)
		o.Health = nil
		r := newRoom(t, o)
		for i := range 50 {
			send(r, newCall(fmt.Sprint("old", i)))
		}
		synctest.Wait()
		app.set(func(a *fakeApp) { a.down, a.step = true, nil })
		done := send(r, newCall("new"))
		time.Sleep(5 * time.Second)
		app.set(func(a *fakeApp) { a.down = false })
		got := <-done
		wantAnswer(t, got)
		if got.after > 7*time.Second {
			t.Errorf("answered after %v, want within a second or so of the app's return", got.after)
		}
		time.Sleep(time.Hour)
	})
}

func TestStatus_tellsWhatCallsWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		r := newRoom(t, options(t, app))
		state := func() string { return r.Status().State }
		if got := state(); got != "open" {
			t.Errorf("state = %q, want open", got)
		}
		app.set(func(a *fakeApp) { a.open, a.step = true, takes(time.Second) })
		var all []<-chan result
		for i := range 20 {
			all = append(all, send(r, newCall(fmt.Sprint(i))))
		}
		time.Sleep(time.Second)
		if got := r.Status(); got.State != "closed" || got.Since.IsZero() || got.Parked != 20 || got.Functions[0].Parked != 20 {
			t.Errorf("status = %+v, want closed with 20 parked calls", got)
		}
		app.set(func(a *fakeApp) { a.open = false })
		time.Sleep(200 * time.Millisecond)
		if got := state(); got != "ramp" {
			t.Errorf("state = %q, want ramp", got)
		}
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		time.Sleep(5 * time.Second)
		if got := r.Status(); got.State != "open" || got.Parked != 0 || got.ParkedBytes != 0 || got.Running != 0 {
			t.Errorf("status = %+v, want open and empty", got)
		}
	})
}

var _ health = (*pool.Upstream)(nil)
