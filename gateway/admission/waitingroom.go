package admission

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

const (
	// longestWait is the longest that calls can be parked.
	longestWait = time.Hour

	// maxTransit is how much earlier than its arrival a caller's wait can have
	// begun. The signature tells when, but by another clock: a larger difference
	// is the clocks'.
	maxTransit = 10 * time.Second

	// staleMargin is how long before its signature expires a call must be on its
	// way to an app that verifies it.
	staleMargin = 15 * time.Second

	// resealAfter is the age from which a call gets a new signature.
	resealAfter = 4 * time.Minute

	// lastCalls is the part of the room that is kept for calls whose run has no
	// further attempt: shed, they end it.
	lastCalls = 10 // percent
)

// A cause is why a call is parked.
type cause uint8

const (
	causeDown cause = iota
	causeLimit
	causePaused
	causes
)

func (c cause) String() string { return [causes]string{"down", "limit", "paused"}[c] }

// causeFor tells why calls of the function do not pass now.
func (r *Room) causeFor(f *function) cause {
	switch {
	case r.paused || f.paused:
		return causePaused
	case r.gate.closed || r.gate.ramp > 0:
		return causeDown
	default:
		return causeLimit
	}
}

// A waiter is a call in the room.
type waiter struct {
	polled
	fn         *function
	since      time.Time // when it was parked
	first      time.Time // when it was for the first time, if it came back
	place      time.Time // in its queue: when the call was received, or the one whose place it took
	began      time.Time // when its caller began to wait
	deadline   time.Time
	cause      cause
	bytes      int64
	canary     bool
	epoch      uint64
	failure    *pool.Error // why it came back; nil: it has not been sent yet
	heir       bool        // its place is one that it took over
	ready      chan error  // told nil when its turn has come
	parked     bool
	prev, next *waiter
}

// polled is a call whose caller is looked for now and then while it waits.
type polled struct {
	call *call.Call
	mu   sync.Mutex
	over bool // the call is its owner's again
}

// gone tells whether the caller hung up.
func (p *polled) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over && p.call.Gone != nil && p.call.Gone()
}

// finish makes sure that nobody looks any more.
func (p *polled) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// park puts the call of a visit into the room, or says why it cannot be. failure
// tells why it came back from the app.
func (r *Room) park(c *call.Call, v *visit, failure *pool.Error) (*waiter, error) {
	now, f := time.Now(), v.fn
	r.expirePauses()
	if v.parked.IsZero() {
		v.parked = now
	}
	w := &waiter{
		polled: polled{call: c}, fn: f, since: now, first: v.parked, bytes: int64(len(c.Head) + len(c.Body)),
		failure: failure, ready: make(chan error, 1), cause: r.causeFor(f),
	}
	w.place, w.heir = cmp.Or(v.place, c.Received), !v.place.IsZero()
	w.began = began(c, now)
	w.deadline = r.deadline(c, w.began.Add(r.patience.limit))
	if failure == nil && r.mayPass(f) {
		r.start(f, &w.epoch)
		w.ready <- nil
		return w, nil
	}
	switch {
	case r.draining:
		return nil, r.shed(w, now, reasonDraining)
	case !now.Before(w.deadline):
		return nil, r.shed(w, now, reasonDeadline)
	case r.parked >= r.seats(c):
		return nil, r.shed(w, now, reasonCalls)
	case len(r.functions) > 1 && f.parked >= r.mostOfOne():
		return nil, r.shed(w, now, reasonShare)
	case len(r.functions) > 1 && f.parked > 0 && f.bytes+w.bytes > r.mostBytesOfOne():
		return nil, r.shed(w, now, reasonShareBytes)
	case r.bytes+w.bytes > r.opt.Wait.MaxBytes:
		return nil, r.shed(w, now, reasonBytes)
	}
	if why, ok := r.opt.Lobby.enter(r.parked, r.bytes, w.bytes); !ok {
		return nil, r.shed(w, now, why)
	}
	r.seat(w)
	r.rouse()
	return w, nil
}

// seats returns how many calls may be parked beside this one. Some seats are
// for calls that are lost if they find none.
func (r *Room) seats(c *call.Call) int {
	all := r.opt.Wait.MaxCalls
	if id := &c.Identity; id.MaxAttempts > 0 && id.Attempt >= id.MaxAttempts-1 {
		return all
	}
	return all - all*lastCalls/100
}

// mostOfOne returns how many calls of one function may be parked where there are
// others: a function that is paused, or gets more than the app can do, must not
// take all the seats.
func (r *Room) mostOfOne() int { return r.opt.Wait.MaxCalls - r.opt.Wait.MaxCalls/4 }

// mostBytesOfOne returns how many bytes they may have, if they are several.
func (r *Room) mostBytesOfOne() int64 { return r.opt.Wait.MaxBytes - r.opt.Wait.MaxBytes/4 }

// began returns when the caller of a call began to wait.
func began(c *call.Call, now time.Time) time.Time {
	if c.Received.IsZero() {
		return now
	}
	if c.Signed.IsZero() {
		return c.Received
	}
	transit := min(max(c.Received.Sub(c.Signed), 0), maxTransit)
	return c.Received.Add(-transit)
}

// deadline returns until when a call may be parked: no longer than an app that
// verifies the caller's signature believes it.
func (r *Room) deadline(c *call.Call, wanted time.Time) time.Time {
	if r.opt.Tolerance == 0 || c.Signed.IsZero() {
		return wanted
	}
	// Received plus what is left at that time: its monotonic part goes on where
	// the clock of the system is set.
	stale := c.Received.Add(r.opt.Tolerance - c.Received.Sub(c.Signed) - staleMargin)
	if stale.Before(wanted) {
		return stale
	}
	return wanted
}

// reseal makes a new signature for a call whose own is getting old.
func reseal(c *call.Call) error {
	if c.Reseal == nil || time.Since(c.Received) < resealAfter {
		return nil
	}
	if err := c.Reseal(); err != nil {
		return fmt.Errorf("seal a parked call again: %w", err)
	}
	return nil
}

// seat queues a waiter at the end or, if it came back or took a place over,
// before all whose place is a later one.
func (r *Room) seat(w *waiter) {
	f := w.fn
	if f.first == nil {
		r.enlist(f)
	}
	w.prev = f.last
	if w.failure != nil || w.heir {
		for w.next = f.first; w.next != nil && !w.next.place.After(w.place); {
			w.next = w.next.next
		}
		if w.next != nil {
			w.prev = w.next.prev
		}
	}
	if w.prev == nil {
		f.first = w
	} else {
		w.prev.next = w
	}
	if w.next == nil {
		f.last = w
	} else {
		w.next.prev = w
	}
	w.parked = true
	r.busy(f, 0, 1)
	r.parked++
	r.bytes += w.bytes
	f.bytes += w.bytes
	r.m.parked.Set(float64(r.parked))
	r.m.bytes.Set(float64(r.bytes))
}

// unseat takes a waiter out of its queue.
func (r *Room) unseat(w *waiter) {
	f := w.fn
	if w.prev == nil {
		f.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		f.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.parked = nil, nil, false
	r.busy(f, 0, -1)
	r.parked--
	r.bytes -= w.bytes
	f.bytes -= w.bytes
	r.opt.Lobby.leave(w.bytes)
	r.m.parked.Set(float64(r.parked))
	r.m.bytes.Set(float64(r.bytes))
	if f.first == nil {
		r.strike(f)
	}
}

// release gives a waiter its place at the app.
func (r *Room) release(w *waiter) {
	now := time.Now()
	r.unseat(w)
	r.start(w.fn, &w.epoch)
	r.learn(w, now)
	r.m.waitReleased.Observe(now.Sub(w.since).Seconds())
	r.m.released[w.cause].Inc()
	w.ready <- nil
}

// turnAway ends a wait without a place at the app.
func (r *Room) turnAway(w *waiter, now time.Time, err error, outcome string) {
	r.unseat(w)
	if w.canary {
		r.patience.canary = nil
	}
	r.opt.Metrics.Wait.WithLabelValues(r.opt.App, outcome).Observe(now.Sub(w.since).Seconds())
	w.ready <- err
}

// await waits for the turn of w. A nil error says that it has come.
func (r *Room) await(ctx context.Context, w *waiter) error {
	defer w.finish()
	select {
	case err := <-w.ready:
		return err
	case <-ctx.Done():
	}
	canceled := &Error{
		Code: inngest.CodeCallCanceled, Err: context.Cause(ctx),
		Detail: "The gateway ended the call while it was parked; nothing of it reached the app " + r.opt.App + ".",
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.parked {
		r.turnAway(w, time.Now(), nil, "gone")
		<-w.ready
		return canceled
	}
	if err := <-w.ready; err == nil { // its turn came in the same moment
		r.finish(w.fn, w.epoch)
	}
	return canceled
}
