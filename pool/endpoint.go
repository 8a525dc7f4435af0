package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
)

// Why a connection is not used again.
const (
	discardIdle     = "idle"
	discardLifetime = "lifetime"
	discardClosed   = "closed_by_app"
	discardUnasked  = "unasked_bytes"
	discardFraming  = "framing"
	discardBroken   = "broken"
	discardLeaving  = "leaving"
)

var errBusy = errors.New("no connection became free in time")

// An endpoint is one address that serves the app: its connections, those who
// wait for one, and its breaker.
type endpoint struct {
	up             *Upstream
	name           string // as configured, for labels
	address        address
	source         *source // what the address was looked up by; nil if it is configured
	versionAndHost string  // end of the request line and the Host line
	breaker        *breaker.Breaker
	m              *endpointMetrics
	trust          trust
	opened         chan struct{} // the breaker opened
	knocks         chan struct{} // a knock is due

	calls atomic.Int64 // in flight, those that wait for a connection included

	mu        sync.Mutex
	conns     []*conn // all that are open
	dialing   int
	idle      []*conn // the one used last at the end
	waiting   []*waiter
	retired   bool          // no connection is kept any more
	knocking  chan struct{} // closed when the knock is over that calls wait for; nil: there is none
	downSince time.Time
	lastError error
	lastAt    time.Time
	connected Timing
	probed    Timing
}

// A waiter is a call that waits for a connection. It is given one, or none and
// with it the right to open one.
type waiter struct{ ready chan *conn }

// connect returns a connection for one call: an idle one that was looked at, or
// a new one. At the limit it waits for its turn.
func (e *endpoint) connect(ctx context.Context) (*conn, error) {
	c, w, knock := e.claim(true)
	if knock != nil {
		if err := awaitKnock(ctx, knock); err != nil {
			return nil, err
		}
		c, w, _ = e.claim(false)
	}
	if w != nil {
		var err error
		if c, err = e.await(ctx, w); err != nil {
			return nil, err
		}
	}
	if c != nil {
		reason, err := e.vet(ctx, c)
		if err != nil {
			e.discard(c, discardBroken)
			return nil, err
		}
		if reason == "" {
			return c, nil
		}
		e.replace(c, reason)
	}
	return e.open(ctx)
}

// claim takes the idle connection that was used last, or the right to open
// another one; at the limit, a place in the queue. Whoever has time takes nothing
// while it is being found out whether idle connections may be used at all.
func (e *endpoint) claim(hasTime bool) (c *conn, w *waiter, knock <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.idle); n > 0 {
		if hasTime && e.knocking != nil {
			return nil, nil, e.knocking
		}
		c := e.idle[n-1]
		e.idle[n-1] = nil
		e.idle = e.idle[:n-1]
		e.m.idle.Dec()
		e.m.active.Inc()
		return c, nil, nil
	}
	if len(e.conns)+e.dialing < e.up.opt.MaxConns {
		e.dialing++
		return nil, nil, nil
	}
	w = &waiter{ready: make(chan *conn, 1)}
	e.waiting = append(e.waiting, w)
	return nil, w, nil
}

// await waits for the turn of w.
func (e *endpoint) await(ctx context.Context, w *waiter) (*conn, error) {
	timer := time.NewTimer(e.up.opt.Wait)
	defer timer.Stop()
	err := fmt.Errorf("%w: all %d were in use for %v", errBusy, e.up.opt.MaxConns, e.up.opt.Wait)
	select {
	case c := <-w.ready:
		return c, nil
	case <-timer.C:
	case <-ctx.Done():
		err = errCanceled
	}
	e.mu.Lock()
	if i := slices.Index(e.waiting, w); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
		e.mu.Unlock()
		return nil, err
	}
	e.mu.Unlock()
	return <-w.ready, nil // its turn came in the same moment
}

// vet looks at an idle connection before it is used. A reason says why it is
// not; an error, that the caller gave up meanwhile.
func (e *endpoint) vet(ctx context.Context, c *conn) (reason string, err error) {
	if err := e.rest(ctx, c); err != nil {
		return "", err
	}
	if reason = c.expired(e.up.now()); reason != "" {
		return reason, nil
	}
	switch reason = c.examine(); {
	case c.uses == 0: // how it rested says nothing of the others
	case reason == "":
		e.trust.confirm()
	case reason == discardUnasked:
		e.distrust()
	default:
		e.closeIdle(discardClosed) // they will be closed too, if they are not yet
	}
	return reason, nil
}

// put makes a connection idle, or gives it to the call that waits longest.
func (e *endpoint) put(c *conn) {
	now := e.up.now()
	idle := e.up.opt.IdleTimeout
	if c.head.idle >= 0 {
		idle = c.head.idle - time.Second
	}
	if c.uses == 0 {
		idle = min(idle, spareFor)
	}
	rested := c.began - c.idleSince
	c.idleSince, c.idleUntil = now, now+int64(idle)
	reason := ""
	switch {
	case now > c.dieAt:
		reason = discardLifetime
	case idle <= 0:
		reason = discardIdle
	case e.trust.suspended(now):
		reason = discardUnasked
	}

	e.mu.Lock()
	switch {
	case reason != "":
	case e.retired:
		reason = discardLifetime
	case c.leaving:
		reason = discardLeaving
	case len(e.waiting) > 0:
		e.knockIfDue(c, now, rested)
		w := e.waiting[0]
		e.waiting = slices.Delete(e.waiting, 0, 1)
		w.ready <- c
		e.mu.Unlock()
		return
	case len(e.idle) >= e.up.opt.MaxIdle:
		reason = discardIdle
	default:
		e.knockIfDue(c, now, rested)
		e.keep(c)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.discard(c, reason)
}

// keep makes a connection idle, with mu held. One that has served no call yet is
// to serve the next.
func (e *endpoint) keep(c *conn) {
	e.idle = append(e.idle, c)
	if n := len(e.idle); n > 1 && e.idle[n-2].uses == 0 {
		e.idle[n-2], e.idle[n-1] = c, e.idle[n-2]
	}
	e.m.idle.Inc()
	e.m.active.Dec()
}

// discard closes a connection that is in a call's hands; its place is free.
func (e *endpoint) discard(c *conn, reason string) {
	e.mu.Lock()
	e.remove(c)
	e.admit()
	e.mu.Unlock()
	e.close(c, reason)
}

// replace closes a connection whose place the call keeps to open another one.
func (e *endpoint) replace(c *conn, reason string) {
	e.mu.Lock()
	e.remove(c)
	e.dialing++
	e.mu.Unlock()
	e.close(c, reason)
}

func (e *endpoint) close(c *conn, reason string) {
	e.m.active.Dec()
	e.m.discarded(reason)
	c.nc.Close()
}

// remove takes c out of conns, with mu held.
func (e *endpoint) remove(c *conn) {
	last := len(e.conns) - 1
	moved := e.conns[last]
	e.conns[c.index], moved.index = moved, c.index
	e.conns[last] = nil
	e.conns = e.conns[:last]
}

// admit lets those who wait open connections while there are places, with mu
// held.
func (e *endpoint) admit() {
	for len(e.waiting) > 0 && len(e.conns)+e.dialing < e.up.opt.MaxConns {
		w := e.waiting[0]
		e.waiting = slices.Delete(e.waiting, 0, 1)
		e.dialing++
		w.ready <- nil
	}
}

// open opens a connection with a right that claim, replace or admit gave.
func (e *endpoint) open(ctx context.Context) (*conn, error) {
	nc, err := e.dial(ctx)
	if err != nil {
		e.givePlace()
		if !errors.Is(err, errCanceled) {
			e.closeIdle(discardClosed)
			if e.source != nil {
				e.source.doubt()
			}
		}
		return nil, err
	}
	return e.add(nc), nil
}

// givePlace gives up the right to open a connection.
func (e *endpoint) givePlace() {
	e.mu.Lock()
	e.dialing--
	e.admit()
	e.mu.Unlock()
}

// add makes a connection that was opened with a right one of the endpoint's.
func (e *endpoint) add(nc net.Conn) *conn {
	now := e.up.now()
	c := newConn(e, nc, now+e.up.lifetime())
	c.idleSince = now
	e.mu.Lock()
	e.dialing--
	c.index = len(e.conns)
	e.conns = append(e.conns, c)
	e.mu.Unlock()
	e.m.active.Inc()
	return c
}
