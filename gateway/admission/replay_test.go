package admission

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

func replaying(t testing.TB, app *fakeApp) Options {
	o := options(t, app)
	o.Guard.Replay, o.Guard.ReplayBytes = time.Minute, 10<<10
	return o
}

// nth is a call of that generation, whose run is in that state.
func nth(generation int, state string) *call.Call {
	c := newCall("run")
	c.Identity.Generation = generation
	c.Body = fmt.Appendf(nil, `{"ctx":{"generation_id":%d,"stack":{"stack":["}\"{"]}},"event":{},"steps":{%s}}`, generation, state)
	return c
}

func TestReplay_givesAnUndeliveredAnswerToTheNextCall(t *testing.T) {
	for name, c := range map[string]struct {
		deliver bool // of the first answer
		gone    bool // the first caller, though writing to it works
		next    *call.Call
		wait    time.Duration
		calls   int // at the app
	}{
		"the same generation":           {next: nth(1, ""), calls: 1},
		"a newer generation":            {next: nth(3, ""), calls: 1},
		"an older generation":           {next: nth(0, ""), calls: 2},
		"the caller had hung up":        {deliver: true, gone: true, next: nth(2, ""), calls: 1},
		"the first one was delivered":   {deliver: true, next: nth(2, ""), calls: 2},
		"the run has moved":             {next: nth(2, `"a":{}`), calls: 2},
		"too late":                      {next: nth(2, ""), wait: time.Minute, calls: 2},
		"the next attempt":              {next: func() *call.Call { c := nth(2, ""); c.Identity.Attempt = 1; return c }(), calls: 2},
		"another step":                  {next: func() *call.Call { c := nth(2, ""); c.Identity.StepID = "other"; return c }(), calls: 2},
		"another function":              {next: func() *call.Call { c := nth(2, ""); c.Identity.FunctionID = "other"; return c }(), calls: 2},
		"another target, not signed":    {next: func() *call.Call { c := nth(2, ""); c.Target = []byte("/api/inngest?fnId=other"); return c }(), calls: 2},
		"another run with the same job": {next: func() *call.Call { c := nth(1, ""); c.Identity.RunID = "other"; return c }(), calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{}
				r := newRoom(t, replaying(t, app))
				first := nth(1, "")
				var gone atomic.Bool
				gone.Store(c.gone)
				first.Gone = gone.Load
				c.next.Received, c.next.Signed = time.Now(), time.Now()
				got := <-send(r, first)
				wantAnswer(t, got)
				got.answer.Del("x-inngest-sdk") // whoever passes it on changes it
				got.answer.Settled = c.deliver
				got.answer.Release()
				time.Sleep(c.wait)
				next := <-send(r, c.next)
				wantAnswer(t, next)
				if !next.answer.FromSDK() || len(app.seen()) != c.calls {
					t.Errorf("the app had %d calls, want %d; answer = %+v", len(app.seen()), c.calls, next.answer)
				}
				next.answer.Settled = true
				next.answer.Release()
				if r.Status().KeptBytes != 0 && c.calls == 1 {
					t.Error("a delivered answer is still kept")
				}
			})
		})
	}
}

func TestReplay_keepsNoMoreBytesThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int32
		size := 4000
		app := &fakeApp{step: func(c *call.Call) (*call.Answer, error) {
			a := answer(strings.Repeat("x", size))
			a.Free = func(*call.Answer) { freed.Add(1) }
			return a, nil
		}}
		r := newRoom(t, replaying(t, app))
		for i := range 5 {
			got := <-send(r, newCall(fmt.Sprint(i)))
			got.answer.Release()
			time.Sleep(time.Second)
		}
		if kept := r.Status().KeptBytes; kept != 2*(4000+1024) || freed.Load() != 3 {
			t.Errorf("kept %d bytes, freed %d answers; want two kept", kept, freed.Load())
		}
		wantAnswer(t, <-send(r, newCall("4")))
		if n := len(app.seen()); n != 5 {
			t.Errorf("the app had %d calls, want 5: the last answer is kept", n)
		}
		size = 20_000
		(<-send(r, newCall("large"))).answer.Release()
		time.Sleep(2 * time.Minute)
		if kept := r.Status().KeptBytes; kept != 0 {
			t.Errorf("kept %d bytes after their time, want 0", kept)
		}
	})
}

func TestReplay_keepsNoErrorsAndNoForeignAnswers(t *testing.T) {
	for name, a := range map[string]*call.Answer{
		"a function's own error":   {Status: 500, Fields: answer("").Fields},
		"without an SDK's header":  {Status: 200},
		"made by the gateway":      {Status: 206, Fields: answer("").Fields, Code: "internal"},
		"not to be called again":   {Status: 400, Fields: answer("").Fields},
		"larger than all together": {Status: 206, Fields: answer("").Fields, Body: make([]byte, 11<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApp{step: func(*call.Call) (*call.Answer, error) { b := *a; return &b, nil }}
				r := newRoom(t, replaying(t, app))
				(<-send(r, newCall("run"))).answer.Release()
				(<-send(r, newCall("run"))).answer.Release()
				if n := len(app.seen()); n != 2 {
					t.Errorf("the app had %d calls, want 2", n)
				}
			})
		})
	}
}

// The sweep that drops answers runs once a second only.
func TestReplay_givesNothingThatIsTooOldAndNotSweptYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApp{}
		r, err := New(replaying(t, app)) // nobody runs it: nobody sweeps
		if err != nil {
			t.Fatal(err)
		}
		(<-send(r, newCall("run"))).answer.Release()
		time.Sleep(time.Minute)
		if r.Status().KeptBytes == 0 {
			t.Fatal("nothing is kept")
		}
		next := <-send(r, newCall("run"))
		wantAnswer(t, next)
		next.answer.Release()
		if n := len(app.seen()); n != 2 {
			t.Errorf("the app had %d calls, want 2", n)
		}
		r.Drain()
	})
}
