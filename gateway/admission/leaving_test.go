package admission

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
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
