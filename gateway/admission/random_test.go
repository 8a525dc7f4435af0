package admission

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// whims are an app, callers and operators that do as they please.
type whims struct {
	rnd *rand.Rand
	mu  sync.Mutex
}

func (w *whims) n(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rnd.IntN(n)
}

func (w *whims) step(c *call.Call) (*call.Answer, error) {
	time.Sleep(time.Duration(w.n(3000)) * time.Millisecond)
	switch w.n(10) {
	case 0:
		return nil, &pool.Error{Code: inngest.CodeUpstreamReset, Sent: true}
	case 1:
		return &call.Answer{Status: 503}, nil
	case 2:
		a := answer("")
		a.Body, a.Stream = nil, io.NopCloser(bytes.NewReader([]byte(c.Identity.RunID)))
		return a, nil
	}
	return answer(c.Identity.RunID), nil
}

// visit makes a call as a caller does, and looks at what it got.
func (w *whims) visit(t *testing.T, r *Room, c *call.Call) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if w.n(10) == 0 {
		time.AfterFunc(time.Duration(w.n(20_000))*time.Millisecond, cancel)
	}
	if w.n(5) == 0 {
		after := time.Duration(w.n(20_000)) * time.Millisecond
		began := time.Now()
		c.Gone = func() bool { return time.Since(began) > after }
	}
	a, err := r.Do(ctx, c)
	switch {
	case a == nil && err == nil || a != nil && err != nil:
		t.Errorf("Do = %v, %v", a, err)
	case err != nil:
		return
	}
	defer a.Release()
	a.Settled = w.n(2) == 0
	if a.Status != 206 || a.Stream != nil && w.n(3) == 0 {
		return
	}
	body := a.Body
	if a.Stream != nil {
		body, _ = io.ReadAll(a.Stream)
	}
	if string(body) != c.Identity.RunID {
		t.Errorf("run %s got the answer of run %q", c.Identity.RunID, body)
	}
}

// Whatever happens, every call ends, gets nobody else's answer, and leaves
// nothing behind.
func TestRoom_keepsItsBooksWhateverHappens(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keepsItsBooks(t, &whims{rnd: rand.New(rand.NewPCG(seed, 1))}) })
		})
	}
}

func keepsItsBooks(t *testing.T, w *whims) {
	app := &fakeApp{step: w.step, capacity: 15}
	o := replaying(t, app)
	o.Wait = Wait{Auto: true, MaxCalls: 60, MaxBytes: 4 << 10}
	o.Concurrency = Concurrency{Min: 2, Max: 12, Adaptive: true}
	r := newRoom(t, o)
	var calls sync.WaitGroup
	for range 2000 {
		time.Sleep(time.Duration(w.n(200)) * time.Millisecond)
		switch w.n(40) {
		case 0:
			app.set(func(a *fakeApp) { a.down = !a.down })
		case 1:
			app.set(func(a *fakeApp) { a.open, a.downSince = !a.open, time.Now() })
		case 2:
			if err := r.Pause([]string{"", "f0", "f1"}[w.n(3)], time.Now().Add(time.Duration(1+w.n(60))*time.Second)); err != nil {
				t.Error(err)
			}
		case 3:
			r.Resume("")
		}
		c := callOf(fmt.Sprint("f", w.n(4)), fmt.Sprint(w.n(30)))
		c.Identity.Generation = w.n(2)
		calls.Go(func() { w.visit(t, r, c) })
		app.mu.Lock()
		if app.running > 12 {
			t.Errorf("the app has %d calls at once, the limit is 12", app.running)
		}
		app.mu.Unlock()
	}
	app.set(func(a *fakeApp) { a.down, a.open = false, false })
	calls.Wait()
	time.Sleep(5 * time.Minute)

	s := r.Status()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Running != 0 || s.Parked != 0 || s.ParkedBytes != 0 || s.KeptBytes != 0 || r.active != 0 || len(r.ring) != 0 ||
		r.gate.running != 0 || r.gate.ramp != 0 || len(r.guard.flights) != 0 || r.patience.canary != nil ||
		r.recorded.Load() != 0 || o.Budget.Used() != 0 || len(r.pauses) != 0 {
		t.Errorf("left behind: %+v; %d active, %d in turns, gate %+v, %d flights, canary %v, %d recorded, %d bytes",
			s, r.active, len(r.ring), r.gate, len(r.guard.flights), r.patience.canary, r.recorded.Load(), o.Budget.Used())
	}
	for name, f := range r.functions {
		if f.running != 0 || f.parked != 0 || f.bytes != 0 || f.first != nil || f.last != nil {
			t.Errorf("function %s is left with %+v", name, f)
		}
	}
}
