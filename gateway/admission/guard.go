package admission

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Bounds of the guard.
const (
	maxJoined  = 64  // duplicates that wait for one call
	maxFlights = 256 // kept for the next calls
)

// work is what two calls have in common that could be duplicates. Which they
// are, a flight knows.
type work struct{ run, job string }

// A guard knows which calls are on their way.
type guard struct {
	flights map[work]*flight
	free    []*flight

	kept  map[work]*shared // undelivered answers
	bytes int64            // of them
	seed  maphash.Seed
}

func newGuard() guard {
	return guard{flights: map[work]*flight{}, kept: map[work]*shared{}, seed: maphash.MakeSeed()}
}

// A flight is a call on its way, and those who wait for the same answer.
type flight struct {
	work    work
	id      inngest.Identity
	place   time.Time // of its leader in the queue; who goes on in its stead takes it over
	target  []byte    // the leader's until it has left
	whole   bool      // its answer must not be a stream
	joined  []*joined
	stream  *recording // the answer, where it is still arriving
	sibling *flight    // of the same job, another generation or attempt
}

// joined is a duplicate that waits.
type joined struct {
	polled
	flight *flight
	since  time.Time
	place  time.Time // in the queue, of the call that it goes on for
	ready  chan outcome
}

// An outcome is what a flight's leader got, or why its followers are on their
// own.
type outcome struct {
	answer *call.Answer
	err    error
	again  bool
}

// guarded tells whether a call has an identity that can be believed: one that a
// verified signature covers.
func (r *Room) guarded(c *call.Call) bool {
	id := &c.Identity
	return !r.opt.Guard.Off && id.RunID != "" && id.JobID != "" && !c.Signed.IsZero()
}

// same tells whether a call asks for what the flight is for. The target is not
// signed: a call that names another function there must not share its answer.
func (f *flight) same(c *call.Call) bool {
	a, b := &f.id, &c.Identity
	return f.whole == c.WholeAnswer && a.Generation == b.Generation && a.Attempt == b.Attempt && a.StepID == b.StepID && a.FunctionID == b.FunctionID &&
		bytes.Equal(f.target, c.Target)
}

// meet looks for an earlier call for the same work. It returns that one's answer
// if it is there, a place among those who wait for it, or neither: then the call
// leads a flight of its own.
func (r *Room) meet(c *call.Call, v *visit) (*call.Answer, *joined) {
	if !r.guarded(c) {
		return nil, nil
	}
	g := &r.guard
	key := work{c.Identity.RunID, c.Identity.JobID}
	first := g.flights[key]
	for f := first; f != nil; f = f.sibling {
		if !f.same(c) {
			continue
		}
		if f.stream == nil {
			j := &joined{polled: polled{call: c}, flight: f, since: time.Now(), ready: make(chan outcome, 1)}
			if len(f.joined) < maxJoined {
				f.joined = append(f.joined, j)
			} else {
				j.ready <- outcome{err: r.tooMany()}
			}
			return nil, j
		}
		if reader := f.stream.attach(); reader != nil {
			r.m.joins.Inc()
			return f.stream.answerFor(reader), nil
		}
	}
	if s := r.replay(key, c); s != nil {
		return s, nil
	}
	f := g.take()
	f.work, f.id, f.target, f.whole, f.sibling = key, c.Identity, c.Target, c.WholeAnswer, first
	f.place = cmp.Or(v.place, c.Received)
	g.flights[key] = f
	v.flight = f
	return nil, nil
}

func (g *guard) take() *flight {
	n := len(g.free)
	if n == 0 {
		return &flight{}
	}
	f := g.free[n-1]
	g.free = g.free[:n-1]
	return f
}

// recycle keeps a flight for the next call.
func (g *guard) recycle(f *flight) {
	if len(g.free) < maxFlights && f.stream == nil {
		clear(f.joined)
		*f = flight{joined: f.joined[:0]}
		g.free = append(g.free, f)
	}
}

// remove takes a flight out: nobody can join it any more.
func (g *guard) remove(f *flight) {
	first := g.flights[f.work]
	switch {
	case first == f && f.sibling == nil:
		delete(g.flights, f.work)
	case first == f:
		g.flights[f.work] = f.sibling
	default:
		for at := first; at != nil; at = at.sibling {
			if at.sibling == f {
				at.sibling = f.sibling
				return
			}
		}
	}
}

// join waits for the answer of the call that this one repeats. With again the
// call goes its own way.
func (r *Room) join(ctx context.Context, j *joined) outcome {
	defer j.finish()
	select {
	case o := <-j.ready:
		if o.answer != nil {
			r.m.joins.Inc()
		}
		if !o.again || ctx.Err() == nil {
			return o
		}
	case <-ctx.Done():
		if !r.quit(j) {
			if o := <-j.ready; o.answer != nil { // it came in the same moment
				o.answer.Release()
			}
		}
	}
	return outcome{err: &Error{
		Code: inngest.CodeCallCanceled, Err: context.Cause(ctx),
		Detail: "The gateway ended the call while an earlier one for the same work was running at the app " + r.opt.App + ".",
	}}
}

// takeOver gives the visit of a call that goes on for the one that it had joined
// what that one had.
func (j *joined) takeOver(v *visit) { v.place, v.parked = j.place, cmp.Or(v.parked, j.since) }

// quit takes a duplicate out of those who wait. False says that it was told
// already.
func (r *Room) quit(j *joined) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drop(j)
}

func (r *Room) drop(j *joined) bool {
	for i, other := range j.flight.joined {
		if other == j {
			j.flight.joined = append(j.flight.joined[:i], j.flight.joined[i+1:]...)
			return true
		}
	}
	return false
}

// tell ends the wait of those who joined a call without an answer. If it did not
// get to the app, they go on without it, from its place in the queue: their
// callers may wait for longer.
func (r *Room) tell(f *flight, err error) {
	_, shed := err.(*Error)
	for _, j := range f.joined {
		if shed {
			j.place = f.place
		}
		j.ready <- outcome{err: err, again: shed}
	}
	f.joined = f.joined[:0]
}

// share gives an answer to those who joined, and returns the leader's.
func (r *Room) share(f *flight, s *shared) *call.Answer {
	s.refs.Store(int32(1 + len(f.joined)))
	for _, j := range f.joined {
		j.ready <- outcome{answer: s.take(false)}
	}
	f.joined = f.joined[:0]
	return s.take(s.gone)
}
