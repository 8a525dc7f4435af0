package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

func flights(r *Room) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.guard.flights)
}

func TestGuard_hitsTheAppOnceHoweverOftenACallIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Second)}
		r := newRoom(t, options(t, app))
		rnd := rand.New(rand.NewPCG(1, 2))
		var all []<-chan result
		for i := range 50 {
			all = append(all, send(r, newCall(fmt.Sprint(i))))
			for range rnd.IntN(4) { // at random moments while it runs
				after := time.Duration(rnd.IntN(900)) * time.Millisecond
				go func() {
					time.Sleep(after)
					if got := <-send(r, newCall(fmt.Sprint(i))); got.err != nil || string(got.answer.Body) != fmt.Sprint(i) {
						t.Errorf("a duplicate of run %d got %+v, %v", i, got.answer, got.err)
					}
				}()
			}
			synctest.Wait()
		}
		for i, one := range all {
			got := <-one
			wantAnswer(t, got)
			if string(got.answer.Body) != fmt.Sprint(i) {
				t.Errorf("answer of run %d = %q", i, got.answer.Body)
			}
			got.answer.Release()
		}
		time.Sleep(time.Minute)
		if n := len(app.seen()); n != 50 {
			t.Errorf("the app had %d calls for 50 runs", n)
		}
		if n := flights(r); n != 0 {
			t.Errorf("%d flights are left", n)
		}
	})
}

func TestGuard_joinsOnlyWhatIsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*call.Call)
		calls  int // at the app, of two
	}{
		"the same, with another head": {func(c *call.Call) { c.Head = []byte("X-Run-Id: other\r\n") }, 1},
		"the same, signed later":      {func(c *call.Call) { c.Signed = c.Signed.Add(time.Second) }, 1},
		"another run":                 {func(c *call.Call) { c.Identity.RunID = "other" }, 2},
		"another job":                 {func(c *call.Call) { c.Identity.JobID = "other" }, 2},
		"a newer generation":          {func(c *call.Call) { c.Identity.Generation++ }, 2},
		"another attempt":             {func(c *call.Call) { c.Identity.Attempt++ }, 2},
		"another step of the same":    {func(c *call.Call) { c.Identity.StepID = "other" }, 2},
		"another function":            {func(c *call.Call) { c.Identity.FunctionID = "other" }, 2},
		"another target, not signed":  {func(c *call.Call) { c.Target = []byte("/api/inngest?fnId=other") }, 2},
		"a caller without streams":    {func(c *call.Call) { c.WholeAnswer = true }, 2},
		"not verified":                {func(c *call.Call) { c.Signed = time.Time{} }, 2},
		"no job":                      {func(c *call.Call) { c.Identity.JobID = "" }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{step: takes(time.Second)}
				r := newRoom(t, options(t, app))
				first := send(r, newCall("run"))
				synctest.Wait()
				second := newCall("run")
				c.change(second)
				other := send(r, second)
				wantAnswer(t, <-first)
				wantAnswer(t, <-other)
				if n := len(app.seen()); n != c.calls {
					t.Errorf("the app had %d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

// A redispatch raises the generation. The SDK answers the older call, once its
// checkpoints are refused, in a way that would end the run if the newer one got
// it: both go to the app, and each gets its own answer.
func TestGuard_neverGivesANewerGenerationTheAnswerOfAnOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: func(c *call.Call) (*call.Answer, error) {
			time.Sleep(time.Second)
			return answer(fmt.Sprint("generation ", c.Identity.Generation)), nil
		}}
		r := newRoom(t, options(t, app))
		var all []<-chan result
		for generation := range 3 {
			for range 2 { // each repeated once
				c := newCall("run")
				c.Identity.Generation = generation
				all = append(all, send(r, c))
				synctest.Wait()
			}
		}
		for i, one := range all {
			got := <-one
			wantAnswer(t, got)
			if want := fmt.Sprint("generation ", i/2); string(got.answer.Body) != want {
				t.Errorf("call %d got %q, want %q", i, got.answer.Body, want)
			}
		}
		if n := len(app.seen()); n != 3 {
			t.Errorf("the app had %d calls, want one a generation", n)
		}
	})
}

func TestGuard_sharesTheCalleesErrorToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := &pool.Error{Code: inngest.CodeUpstreamReset, Sent: true}
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) {
			time.Sleep(time.Second)
			return nil, failure
		}}
		r := newRoom(t, options(t, app))
		first, second := send(r, newCall("run")), send(r, newCall("run"))
		if a, b := <-first, <-second; a.err != error(failure) || b.err != error(failure) {
			t.Errorf("Do = %v and %v, want the reset for both", a.err, b.err)
		}
		if n := len(app.seen()); n != 1 {
			t.Errorf("the app had %d calls, want 1", n)
		}
	})
}

// The balancer gave the first connection up and repeats the call on another one,
// while the app is away.
func TestGuard_letsAFollowerGoOnWhenTheFirstCallerHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true, step: takes(time.Second)}
		r := newRoom(t, options(t, app))
		var gone atomic.Bool
		c := newCall("run")
		c.Gone = gone.Load
		first := send(r, c)
		time.Sleep(5 * time.Second)
		second := send(r, newCall("run"))
		third := send(r, newCall("run"))
		time.Sleep(time.Second)
		gone.Store(true)
		refusal(t, <-first)
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-second)
		wantAnswer(t, <-third)
		if n := len(app.seen()); n != 1 {
			t.Errorf("the app had %d calls, want 1", n)
		}
	})
}

func TestGuard_forgetsFollowersThatHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Minute)}
		r := newRoom(t, options(t, app))
		first := send(r, newCall("run"))
		synctest.Wait()
		c := newCall("run")
		c.Gone = func() bool { return true }
		if e := refusal(t, <-send(r, c)); e.Code != inngest.CodeCallCanceled {
			t.Errorf("code = %s, want call_canceled", e.Code)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.Do(ctx, newCall("run")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do = %v, want the end of its context", err)
		}
		wantAnswer(t, <-first)
	})
}

func TestGuard_releasesAnAnswerAfterTheLastWhoGotIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int32
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) {
			time.Sleep(time.Second)
			a := answer("shared")
			a.Free = func(*call.Answer) { freed.Add(1) }
			return a, nil
		}}
		r := newRoom(t, options(t, app))
		first, second := send(r, newCall("run")), send(r, newCall("run"))
		a, b := <-first, <-second
		a.answer.Fields[0].Value = []byte("changed") // who gets it may change its fields
		if v := string(b.answer.Fields[0].Value); v != "js:v4" {
			t.Errorf("the other's field is %q", v)
		}
		a.answer.Set("X-Mine", "1")
		a.answer.Del(inngest.HeaderSDK)
		a.answer.Release()
		if freed.Load() != 0 || !b.answer.FromSDK() || b.answer.Has("X-Mine") {
			t.Errorf("the other's answer is %+v, freed %d times", b.answer, freed.Load())
		}
		b.answer.Release()
		if freed.Load() != 1 {
			t.Errorf("freed %d times, want 1", freed.Load())
		}
	})
}

func TestGuard_off(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Second)}
		o := options(t, app)
		o.Guard = Guard{Off: true}
		r := newRoom(t, o)
		first, second := send(r, newCall("run")), send(r, newCall("run"))
		wantAnswer(t, <-first)
		wantAnswer(t, <-second)
		if n := len(app.seen()); n != 2 {
			t.Errorf("the app had %d calls, want 2", n)
		}
	})
}

// One that came in the same moment as the first has its place too.
func TestGuard_letsAFollowerOfTheSameMomentTakeThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true, step: takes(time.Second)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		var gone atomic.Bool
		c := newCall("repeated")
		c.Gone = gone.Load
		first := send(r, c)
		synctest.Wait()
		second := send(r, newCall("repeated"))
		time.Sleep(time.Second)
		send(r, newCall("after"))
		gone.Store(true)
		refusal(t, <-first)
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-second)
		time.Sleep(10 * time.Second)
		if got, want := fmt.Sprint(app.seen()), "[repeated after]"; got != want {
			t.Errorf("the app had %s, want %s", got, want)
		}
	})
}

func TestGuard_letsAFollowerTakeThePlaceOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{open: true, step: takes(time.Second)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		send(r, newCall("before"))
		time.Sleep(time.Millisecond)
		var gone [4]atomic.Bool
		repeat := func(i int) <-chan result {
			c := newCall("repeated")
			c.Gone = gone[i].Load
			return send(r, c)
		}
		last := repeat(0)
		for i := range 3 { // each is repeated, and then hangs up
			time.Sleep(time.Second)
			send(r, newCall(fmt.Sprint("after-", i)))
			time.Sleep(time.Second)
			next := repeat(i + 1)
			synctest.Wait()
			gone[i].Store(true)
			refusal(t, <-last)
			last = next
		}
		app.set(func(a *fakeApp) { a.open = false })
		wantAnswer(t, <-last)
		time.Sleep(10 * time.Second)
		if got, want := fmt.Sprint(app.seen()), "[before repeated after-0 after-1 after-2]"; got != want {
			t.Errorf("the app had %s, want %s", got, want)
		}
	})
}

func TestGuard_shedsMoreCopiesThanMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(10 * time.Second)}
		r := newRoom(t, options(t, app))
		var all []<-chan result
		for range 1 + maxJoined {
			all = append(all, send(r, newCall("run")))
			synctest.Wait()
		}
		e := refusal(t, <-send(r, newCall("run")))
		want := "The call was repeated, and 64 copies of it wait for one answer of the app shop already; nothing of this one reached the app."
		if e.Code != inngest.CodeWaitingRoomFull || e.Limit != "64" || e.Detail != want {
			t.Errorf("error = %+v, want: %s", e, want)
		}
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if n := len(app.seen()); n != 1 {
			t.Errorf("the app had %d calls, want 1", n)
		}
	})
}
