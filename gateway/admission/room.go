package admission

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// A Room stands in front of one app and decides when a call of it may pass.
type Room struct {
	opt  Options
	m    instruments
	wake chan struct{} // something was parked

	saving   sync.Mutex   // orders what goes to the store
	recorded atomic.Int64 // bytes of answers that are arriving and are kept for duplicates

	mu        sync.Mutex
	functions map[string]*function
	active    int         // functions with a call running or parked
	ring      []*function // that have parked calls, in the order of their turns
	next      int         // whose turn it is
	parked    int
	bytes     int64 // of the parked calls
	running   int
	gate      gate
	limit     limiter
	patience  patience
	pauses    []Pause
	paused    bool // all of the app
	guard     guard
	draining  bool
	unsaved   bool
	saveAt    time.Time // not before: it failed
	second    int64     // ticks of Run
}

// New builds a room and reads what is kept of it. It starts nothing; see
// [Room.Run].
func New(o Options) (*Room, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("waiting room of app %q: %w", o.App, err)
	}
	r := &Room{
		opt: o, m: bind(o.Metrics, o.App), wake: make(chan struct{}, 1),
		functions: map[string]*function{},
		limit:     newLimiter(o.Concurrency),
		patience:  newPatience(o.Wait),
		guard:     newGuard(),
	}
	if o.Store != nil {
		kept, err := o.Store.Load()
		if err != nil {
			return nil, fmt.Errorf("waiting room of app %q: %w", o.App, err)
		}
		r.pauses = kept.Pauses
		r.patience.restore(kept.Wait)
		r.applyPauses(o.Now())
	}
	o.Lobby.join()
	r.gauge()
	return r, nil
}

// A visit is what one call holds of the room while it is in Do. Two things of it
// must be given back, running and flight:
//
//   - meet sets flight, before anything else;
//   - arrive sets running if the call need not wait, else pass does when its turn
//     has come, and comeBack clears it: pass returns with running set unless the
//     call was turned away while it waited;
//   - leave clears both, by itself or by handing them to a stream that goes on;
//   - abandon gives back what a panic left, and finds nothing after leave.
type visit struct {
	flight  *flight // it leads; nil: no duplicate can join it
	fn      *function
	epoch   uint64
	running bool      // it has a place among the calls that the app has
	parked  time.Time // for the first time; zero: it was not
	place   time.Time // in the queue, that it took over from the call that it had joined; zero: its own
}

// Do answers a call: by the callee in the call's turn, by the answer of a call
// that it repeats, or with an error. That is an [*Error] where the room itself
// had enough, else the callee's.
func (r *Room) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	if !c.Waits {
		return r.opt.Callee.Do(ctx, c)
	}
	var v visit
	defer r.abandon(&v)
	for {
		r.mu.Lock()
		a, joined := r.meet(c, &v)
		if a != nil {
			r.mu.Unlock()
			return a, nil
		}
		if joined != nil {
			r.mu.Unlock()
			if o := r.join(ctx, joined); !o.again {
				return o.answer, o.err
			}
			joined.takeOver(&v)
			continue // the one it had joined did not get to the app: this one goes on in its place
		}
		w, err := r.arrive(c, &v)
		r.mu.Unlock()
		if err == nil {
			a, err = r.pass(ctx, c, &v, w)
		}
		return r.leave(c, &v, a, err)
	}
}

// arrive gives the call a place at the app or, if it has to wait for one, in the
// room.
func (r *Room) arrive(c *call.Call, v *visit) (*waiter, error) {
	v.fn = r.functionOf(c)
	if v.fn.first == nil && r.mayStart(v.fn) {
		r.start(v.fn, &v.epoch)
		v.running = true
		return nil, nil
	}
	return r.park(c, v, nil)
}

// pass has the callee answer the call, first in its turn if w waits. A call of
// which nothing reached the app comes back and waits again.
func (r *Room) pass(ctx context.Context, c *call.Call, v *visit, w *waiter) (*call.Answer, error) {
	for {
		if w != nil {
			if err := r.await(ctx, w); err != nil {
				return nil, err
			}
			v.epoch, v.running = w.epoch, true
			if err := reseal(c); err != nil {
				return nil, err
			}
		}
		a, err := r.opt.Callee.Do(ctx, c)
		if err == nil {
			if a.Status >= 400 && !a.FromSDK() {
				r.tired(a)
			}
			return a, nil
		}
		failure, unsent := untouched(err)
		if !unsent || ctx.Err() != nil {
			return nil, err
		}
		if w, err = r.comeBack(c, v, failure); err != nil {
			return nil, err
		}
	}
}

// untouched tells whether a call failed before the app can have worked on it, for
// a reason that passes.
func untouched(err error) (*pool.Error, bool) {
	failure, ok := err.(*pool.Error) // a callee returns it as it is
	if !ok || failure.Sent {
		return nil, false
	}
	switch failure.Code {
	case inngest.CodeUpstreamRefused, inngest.CodeUpstreamOpen, inngest.CodeUpstreamBusy, inngest.CodeUpstreamReset:
		return failure, true
	}
	return nil, false
}

// comeBack parks a call again that the app could not take, before all that came
// after it: so it does before its place is given away.
func (r *Room) comeBack(c *call.Call, v *visit, failure *pool.Error) (*waiter, error) {
	r.opt.Metrics.Returned.WithLabelValues(r.opt.App, string(failure.Code)).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused(failure)
	w, err := r.park(c, v, failure)
	v.running = false
	r.free(v.fn, v.epoch)
	return w, err
}

// leave ends a visit: it gives the place at the app to the next call, and the
// answer to those who joined.
func (r *Room) leave(c *call.Call, v *visit, a *call.Answer, err error) (*call.Answer, error) {
	if a != nil && a.Stream != nil {
		return r.stream(c, v, a), nil
	}
	keep := a != nil && v.flight != nil && r.keepable(a)
	gone := keep && c.Gone != nil && c.Gone()
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.running {
		v.running = false
		r.finish(v.fn, v.epoch)
	}
	f := v.flight
	if f == nil {
		return a, err
	}
	v.flight = nil
	r.guard.remove(f)
	defer r.guard.recycle(f)
	if a == nil {
		r.tell(f, err)
		return nil, err
	}
	if len(f.joined) == 0 && !keep {
		return a, nil
	}
	s := &shared{room: r, inner: a, keep: keep, gone: gone}
	if keep {
		s.identify(f, c, r.guard.seed)
	}
	return r.share(f, s), nil
}

// abandon ends the visit of a call whose callee panicked.
func (r *Room) abandon(v *visit) {
	if !v.running && v.flight == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.running {
		r.finish(v.fn, v.epoch)
	}
	if v.flight != nil {
		r.guard.remove(v.flight)
		r.tell(v.flight, errAbandoned)
	}
}
