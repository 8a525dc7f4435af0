package outbound

import (
	"context"
	"sync"
)

// A tracker counts what is under way, says when nothing is any more, and can
// cut what does not end.
type tracker struct {
	mu        sync.Mutex
	count     int
	closed    bool
	idle      chan struct{} // made by who waits, closed when the count is zero
	exchanges map[*exchange]struct{}
}

func newTracker() *tracker { return &tracker{exchanges: map[*exchange]struct{}{}} }

// add counts one more, unless nothing new may begin.
func (t *tracker) add() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.count++
	return true
}

func (t *tracker) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if t.count == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// refuse lets nothing new begin.
func (t *tracker) refuse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

func (t *tracker) refusing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// wait returns when nothing is under way, or with the error of ctx.
func (t *tracker) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.count == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold makes an exchange known to cut.
func (t *tracker) hold(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.exchanges[x] = struct{}{}
	if t.closed && x.endless() {
		x.cancel(errShutdown) // it came while the others were cut
	}
}

func (t *tracker) drop(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.exchanges, x)
}

// cut ends the exchanges that are meant; their owners notice.
func (t *tracker) cut(meant func(*exchange) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for x := range t.exchanges {
		if meant(x) {
			x.cancel(errShutdown)
		}
	}
}
