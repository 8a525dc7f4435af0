package pool

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"syscall"
	"time"
)

// An app that is leaving stops to listen, and ends once its connections have. Many
// go on to answer on those in use (server.close() of Node): under load they would
// be in use again and again, until the app is killed with calls in its hands. Only
// a new connection tells. So when one comes back from a call and none was opened
// for knockAfter, another one is opened, without a call that waits for it. It
// serves the next call, because servers and what stands before them complain of
// connections without one; for the same reason nothing is opened where calls are
// further apart than such a connection is kept.
const (
	knockAfter = 2 * time.Second
	spareFor   = 4 * time.Second // strict servers close a connection without a call after 5 s
	knockWait  = 100 * time.Millisecond
)

// knockIfDue is told of a connection that comes back from a call and is to be used
// again, with mu held. A call is no reason to wait for the outcome, unless those
// of this app are long: the next one could be more than a leaving app has time for.
func (e *endpoint) knockIfDue(c *conn, now, rested int64) {
	opened := int64(e.connected.At.Sub(e.up.start))
	if now-opened < int64(knockAfter) || rested > int64(spareFor) || !e.breaker.Closed() {
		return // while it is open, its probes open connections
	}
	select {
	case e.knocks <- struct{}{}:
		if now-c.began >= int64(knockAfter) {
			e.knocking = make(chan struct{})
		}
	default: // one is under way, or nothing runs
	}
}

// knockWhenDue makes the knocks until ctx ends.
func (e *endpoint) knockWhenDue(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.knocks:
			e.knock(ctx)
		}
	}
}

// knock opens a connection and keeps it for the next call if there is a place. If
// it is refused, dial has drawn the conclusion. Another failure says nothing: an
// app whose backlog is full is not leaving. None counts against the endpoint,
// since no call has failed.
func (e *endpoint) knock(ctx context.Context) {
	nc, err := e.dial(ctx)
	switch {
	case err != nil:
	case e.takePlace():
		e.put(e.add(nc))
	default:
		nc.Close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.knocking != nil {
		close(e.knocking)
		e.knocking = nil
	}
}

// awaitKnock waits for the end of a knock, if that comes soon.
func awaitKnock(ctx context.Context, over <-chan struct{}) error {
	timer := time.NewTimer(knockWait)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-ctx.Done():
		return errCanceled
	}
	return nil
}

// takePlace takes the right to add a connection if there is one.
func (e *endpoint) takePlace() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.retired || len(e.conns)+e.dialing >= e.up.opt.MaxConns {
		return false
	}
	e.dialing++
	return true
}

// nobodyListens tells whether a dial failed because nobody listens there any more.
func nobodyListens(a address, err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || a.network == "unix" && errors.Is(err, fs.ErrNotExist)
}

// letGo ends every connection there is: the idle ones now, the others after their
// answer.
func (e *endpoint) letGo() {
	e.mu.Lock()
	inUse := -len(e.idle)
	for _, c := range e.conns {
		if !c.leaving {
			c.leaving = true
			inUse++
		}
	}
	e.mu.Unlock()
	e.closeIdle(discardLeaving)
	if e.source != nil {
		e.source.doubt()
	}
	if inUse > 0 {
		e.up.opt.Log.Info("nobody listens at the endpoint any more; its connections end with their calls",
			slog.String("app", e.up.opt.App), slog.String("endpoint", e.name), slog.Int("connections", inUse))
	}
}
