package admission

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

func TestRoom_endsParkedCallsWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, options(t, &fakeApp{open: true}))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(ctx, newCall("run"))
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Do = %v, want the context's end", err)
		}
		if s := r.Status(); s.Parked != 0 || s.Running != 0 {
			t.Errorf("status = %+v, want nothing left", s)
		}
	})
}

func TestDrain_turnsParkedCallsAwayAndLetsRunningOnesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Minute)}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		running := send(r, newCall("running"))
		synctest.Wait()
		parked := send(r, newCall("parked"))
		synctest.Wait()
		r.Drain()
		if e := refusal(t, <-parked); e.Code != inngest.CodeDraining {
			t.Errorf("code of a parked call = %s, want draining", e.Code)
		}
		if e := refusal(t, <-send(r, newCall("late"))); e.Code != inngest.CodeDraining {
			t.Errorf("code of a late call = %s, want draining", e.Code)
		}
		wantAnswer(t, <-running)
	})
}

func TestRoom_freesThePlaceOfACallWhoseCalleePanicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) { panic("defect") }}
		o := options(t, app)
		o.Concurrency = Concurrency{Min: 1, Max: 1}
		r := newRoom(t, o)
		func() {
			defer func() { recover() }()
			r.Do(context.Background(), newCall("run"))
		}()
		app.set(func(a *fakeApp) { a.step = nil })
		wantAnswer(t, <-send(r, newCall("run")))
	})
}

// What ended its context is not parked again: nobody would wait for it.
func TestRoom_doesNotParkAgainWhatHasEndedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := &pool.Error{Code: inngest.CodeUpstreamReset}
		ctx, cancel := context.WithCancel(context.Background())
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) {
			cancel()
			return nil, failure
		}}
		r := newRoom(t, options(t, app))
		if _, err := r.Do(ctx, newCall("run")); err != error(failure) {
			t.Errorf("Do = %v, want the app's reset", err)
		}
		if n := testutil.ToFloat64(r.opt.Metrics.Returned.WithLabelValues("shop", string(failure.Code))); n != 0 {
			t.Errorf("%v calls came back, want none", n)
		}
	})
}

// Another gateway is there in a moment, whatever the calls waited for.
func TestDrain_tellsNoTimeOfAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, options(t, &fakeApp{}))
		if err := r.Pause("", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		parked := send(r, newCall("run"))
		synctest.Wait()
		r.Drain()
		if e := refusal(t, <-parked); e.Code != inngest.CodeDraining || e.RetryAfter != 0 {
			t.Errorf("code = %s, to be called again in %v; want draining, at once", e.Code, e.RetryAfter)
		}
	})
}

// Connections that broke before a byte was out say little about an app that
// takes the next call. Where calls wait the gate costs nothing; where none may,
// each that it keeps is lost to its attempt.
func TestRoom_triesCallsThatMayNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		app := &fakeApp{step: func(*call.Call) (*call.Answer, error) {
			if n++; n == 10 {
				return nil, &pool.Error{Code: inngest.CodeUpstreamReset}
			}
			return answer(""), nil
		}}
		o := options(t, app)
		o.Wait.Max = 0
		r := newRoom(t, o)
		shed := 0
		for i := range 1000 {
			time.Sleep(5 * time.Millisecond)
			if got := <-send(r, newCall(fmt.Sprint(i))); got.err != nil {
				shed++
			}
		}
		if shed != 1 {
			t.Errorf("%d calls of 1000 were shed, want the one that broke", shed)
		}
		app.set(func(a *fakeApp) { a.open = true })
		refusal(t, <-send(r, newCall("away")))
		if n := testutil.ToFloat64(o.Metrics.Returned.WithLabelValues("shop", string(inngest.CodeUpstreamOpen))); n != 0 {
			t.Errorf("%v calls were tried while the breaker was open", n)
		}
	})
}

func TestRoom_triesNoMoreCallsThatMayNotWaitThanTheAppMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{step: takes(time.Minute)}
		o := options(t, app)
		o.Wait.Max, o.Concurrency = 0, Concurrency{Min: 2, Max: 2}
		r := newRoom(t, o)
		one, two := send(r, newCall("1")), send(r, newCall("2"))
		synctest.Wait()
		if e := refusal(t, <-send(r, newCall("3"))); e.Code != inngest.CodeConcurrencyLimit {
			t.Errorf("code = %s, want concurrency_limit", e.Code)
		}
		wantAnswer(t, <-one)
		wantAnswer(t, <-two)
	})
}
