package admission

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// The app is away for 20 s, ten times over, under a steady load: first it
// refuses, then its breaker opens, then a probe finds it well.
func TestRoom_keepsEveryCallWhileTheAppRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(10 * time.Millisecond)}
		o := options(t, app)
		o.Wait.MaxCalls = 2000
		r := newRoom(t, o)
		var all []<-chan result
		for restart := range 10 {
			for i := range 20 * 50 { // 50 calls/s
				switch i {
				case 50:
					app.set(func(a *fakeApp) { a.down = true })
				case 60:
					app.set(func(a *fakeApp) { a.open, a.downSince = true, time.Now() })
				case 950:
					app.set(func(a *fakeApp) { a.down, a.open = false, false })
				}
				all = append(all, send(r, newCall(fmt.Sprint(restart, "-", i))))
				time.Sleep(20 * time.Millisecond)
			}
		}
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if seen := app.seen(); len(seen) != len(all) {
			t.Errorf("the app had %d calls, want %d: each once", len(seen), len(all))
		}
		if app.refused() == 0 {
			t.Error("no call was refused: nothing was tested")
		}
	})
}

func TestRoom_answersInTheOrderOfArrivalWithinAFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{down: true, step: takes(time.Millisecond)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		var all []<-chan result
		var want []string
		for i := range 20 {
			run := fmt.Sprint("r", i)
			want = append(want, run)
			all = append(all, send(r, newCall(run)))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		app.set(func(a *fakeApp) { a.down = false })
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if diff := cmp.Diff(want, app.seen()); diff != "" {
			t.Errorf("order of the calls (-want +got):\n%s", diff)
		}
	})
}

func TestRoom_givesFunctionsTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true, step: takes(time.Millisecond)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		var all []<-chan result
		park := func(function string, n int) {
			for i := range n {
				all = append(all, send(r, callOf(function, fmt.Sprint(function, i))))
				synctest.Wait()
			}
		}
		park("hog", 6)
		park("b", 2)
		park("c", 2)
		app.set(func(a *fakeApp) { a.open = false })
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		want := []string{"hog0", "b0", "c0", "hog1", "b1", "c1", "hog2", "hog3", "hog4", "hog5"}
		if diff := cmp.Diff(want, app.seen()); diff != "" {
			t.Errorf("order of the calls (-want +got):\n%s", diff)
		}
	})
}

// A hog's steps take hours: whoever else comes must not wait for one to end.
func TestRoom_keepsPlacesForFunctionsThatHaveLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: func(c *call.Call) (*call.Answer, error) {
			if strings.HasPrefix(c.Identity.RunID, "hog") {
				time.Sleep(2 * time.Hour)
			}
			return answer(""), nil
		}}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 40}
		o.Wait = Wait{Max: time.Hour, MaxCalls: 1000, MaxBytes: 1 << 20}
		r := newRoom(t, o)
		wantAnswer(t, <-send(r, callOf("other", "first"))) // it is known
		var hogs []<-chan result
		for i := range 100 {
			hogs = append(hogs, send(r, callOf("hog", fmt.Sprint("hog", i))))
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			got := <-send(r, callOf("other", fmt.Sprint("other", i)))
			wantAnswer(t, got)
			if got.after > time.Second {
				t.Errorf("a call of another function took %v beside the hog", got.after)
			}
		}
		if s := r.Status(); s.Running != 35 || s.Parked != 65 {
			t.Errorf("hog: %d running, %d parked; want 35 of 40 places", s.Running, s.Parked)
		}
		for _, one := range hogs {
			<-one
		}
	})
}

func TestRoom_turnsAwayWhatCannotWait(t *testing.T) {
	down := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // the bubble's first moment
	for name, c := range map[string]struct {
		change func(*Options)
		calls  func(i int) *call.Call
		n      int // calls that are parked before
		want   Error
		after  time.Duration
	}{
		"its time is over": {
			n:     0,
			want:  Error{Code: inngest.CodeUpstreamOpen, Detail: "The app shop cannot be reached at http://127.0.0.1:3000 since 00:00:00 UTC; the call was parked for 50 s (apps[].wait.max), nothing of it reached the app."},
			after: 50 * time.Second,
		},
		"the room is full of calls": {
			change: func(o *Options) { o.Wait.MaxCalls = 10 }, n: 9,
			want: Error{
				Code: inngest.CodeWaitingRoomFull, Limit: "10", Setting: "apps[].wait.max_calls",
				Detail: "The app shop cannot be reached at http://127.0.0.1:3000 since 00:00:00 UTC; 9 calls wait for that already, and there is room for 10 (apps[].wait.max_calls), the last tenth of it for runs without another attempt.",
			},
		},
		"the room is full of bytes": {
			change: func(o *Options) { o.Wait.MaxBytes = 100 }, n: 2,
			want: Error{
				Code: inngest.CodeWaitingRoomFull, Limit: "100B", Setting: "apps[].wait.max_bytes",
				Detail: "The app shop cannot be reached at http://127.0.0.1:3000 since 00:00:00 UTC; 66 bytes of calls wait for that already, and there is room for 100B (apps[].wait.max_bytes).",
			},
		},
		"nothing is parked": {
			change: func(o *Options) { o.Wait.Max = 0 },
			want:   Error{Code: inngest.CodeUpstreamOpen, Detail: "The app shop cannot be reached at http://127.0.0.1:3000 since 00:00:00 UTC; calls are not parked (apps[].wait.max), nothing of this one reached the app."},
		},
		"the app would not believe it any longer": {
			change: func(o *Options) { o.Wait.Max, o.Tolerance = 10*time.Minute, 5*time.Minute },
			want:   Error{Code: inngest.CodeUpstreamOpen, Detail: "The app shop cannot be reached at http://127.0.0.1:3000 since 00:00:00 UTC; the call was parked for 4 min 45 s, for longer the app would not believe its signature; nothing of it reached the app."},
			after:  285 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{open: true, downSince: down}
				o := options(t, app)
				if c.change != nil {
					c.change(&o)
				}
				r := newRoom(t, o)
				for i := range c.n {
					send(r, newCall(fmt.Sprint(i)))
				}
				synctest.Wait()
				got := <-send(r, newCall("last"))
				e := refusal(t, got)
				if got.after < c.after || got.after > c.after+time.Second {
					t.Errorf("turned away after %v, want %v", got.after, c.after)
				}
				e.Parked, e.Err = 0, nil
				if diff := cmp.Diff(&c.want, e); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				r.Drain()
			})
		})
	}
}

func TestRoom_keepsSeatsForOtherFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		o := options(t, app)
		o.Wait.MaxCalls = 100
		r := newRoom(t, o)
		wantAnswer(t, <-send(r, callOf("other", "known")))
		if err := r.Pause("hog", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for i := range 75 {
			send(r, callOf("hog", fmt.Sprint(i)))
		}
		synctest.Wait()
		e := refusal(t, <-send(r, callOf("hog", "over")))
		if want := "75 calls of this function wait already, and one function may have 75,"; e.Code != inngest.CodeWaitingRoomFull || !strings.Contains(e.Detail, want) {
			t.Errorf("error = %v, want waiting_room_full: %s", e, want)
		}
		app.set(func(a *fakeApp) { a.down = true })
		done := send(r, callOf("other", "run"))
		time.Sleep(time.Second)
		app.set(func(a *fakeApp) { a.down = false })
		wantAnswer(t, <-done)
	})
}

func TestRoom_keepsSeatsForCallsWithoutFurtherAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true}
		o := options(t, app)
		o.Wait.MaxCalls = 10
		r := newRoom(t, o)
		for i := range 9 {
			send(r, newCall(fmt.Sprint(i)))
		}
		synctest.Wait()
		if e := refusal(t, <-send(r, newCall("tenth"))); e.Code != inngest.CodeWaitingRoomFull {
			t.Errorf("code of a call with attempts left = %s", e.Code)
		}
		last := newCall("last")
		last.Identity.Attempt = 4
		done := send(r, last)
		synctest.Wait()
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-done)
	})
}

// The deadline counts from when the caller began to wait, and a clock that goes
// wrong does not cut it.
func TestRoom_countsTheWaitFromTheSignature(t *testing.T) {
	for name, c := range map[string]struct {
		signed time.Duration // before the arrival
		want   time.Duration
	}{
		"signed 5 s before it came":             {5 * time.Second, 45 * time.Second},
		"the caller's clock is 2 min behind":    {2 * time.Minute, 40 * time.Second},
		"the caller's clock is 2 min ahead":     {-2 * time.Minute, 50 * time.Second},
		"signed in the second in which it came": {0, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoom(t, options(t, &fakeApp{open: true}))
				cl := newCall("run")
				cl.Signed = cl.Received.Add(-c.signed)
				got := <-send(r, cl)
				refusal(t, got)
				if got.after < c.want || got.after > c.want+time.Second {
					t.Errorf("parked for %v, want %v", got.after, c.want)
				}
			})
		})
	}
}

func TestRoom_dropsCallsWhoseCallerHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true}
		r := newRoom(t, options(t, app))
		var gone atomic.Bool
		c := newCall("gone")
		c.Gone = gone.Load
		done, stays := send(r, c), send(r, newCall("stays"))
		time.Sleep(10 * time.Second)
		gone.Store(true)
		got := <-done
		if e := refusal(t, got); e.Code != inngest.CodeCallCanceled || got.after > 12*time.Second {
			t.Errorf("Do = %v after %v, want call_canceled within 2 s", e, got.after)
		}
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-stays)
		if diff := cmp.Diff([]string{"stays"}, app.seen()); diff != "" {
			t.Errorf("the app saw (-want +got):\n%s", diff)
		}
	})
}

func TestRoom_neverParksWhatNoRunWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true}
		r := newRoom(t, options(t, app))
		if err := r.Pause("", time.Time{}); err != nil {
			t.Fatal(err)
		}
		sync := newCall("sync")
		sync.Waits = false
		got := <-send(r, sync)
		var e *pool.Error
		if !errors.As(got.err, &e) || got.after != 0 {
			t.Errorf("Do of a sync = %v after %v, want the callee's error at once", got.err, got.after)
		}
	})
}

func TestRoom_sealsAgainWhatWasParkedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true}
		o := options(t, app)
		o.Wait.Max = time.Hour
		r := newRoom(t, o)
		var sealed [2]atomic.Int32
		early := newCall("early")
		early.Reseal = func() error { sealed[0].Add(1); return nil }
		first := send(r, early)
		time.Sleep(10 * time.Minute)
		late := newCall("late")
		late.Reseal = func() error { sealed[1].Add(1); return nil }
		second := send(r, late)
		time.Sleep(time.Minute)
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-first)
		wantAnswer(t, <-second)
		if sealed[0].Load() != 1 || sealed[1].Load() != 0 {
			t.Errorf("sealed again: the call of 11 min %d times, that of 1 min %d times; want 1 and 0", sealed[0].Load(), sealed[1].Load())
		}
	})
}

func TestRoom_doesNotRepeatWhatReachedTheApp(t *testing.T) {
	for name, failure := range map[string]*pool.Error{
		"reset after a byte was sent": {Code: inngest.CodeUpstreamReset, Sent: true},
		"silent":                      {Code: inngest.CodeUpstreamTimeout, Sent: true},
		"no proper call":              {Code: inngest.CodeInternal},
		"no memory for the answer":    {Code: inngest.CodeMemoryExhausted, Sent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{step: func(*call.Call) (*call.Answer, error) { return nil, failure }}
				r := newRoom(t, options(t, app))
				got := <-send(r, newCall("run"))
				if got.err != error(failure) || len(app.seen()) != 1 {
					t.Errorf("Do = %v after %d exchanges, want the callee's error after 1", got.err, len(app.seen()))
				}
			})
		})
	}
}
