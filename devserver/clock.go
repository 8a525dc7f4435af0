package devserver

import (
	"sync"
	"time"
)

// A Clock is the scheduler's time: it runs like the wall clock and can be
// moved forward, so that a test need not wait for sleeps, back-offs, timeouts
// and crons. Signatures never use it, because the apps' clocks are real.
// Several servers may share one. The zero value is not ready: use [NewClock].
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	jumped chan struct{} // closed and replaced by each jump
}

// NewClock returns a clock that shows the wall time.
func NewClock() *Clock { return &Clock{jumped: make(chan struct{})} }

// Now is the wall time plus all jumps.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Ahead tells by how much the clock is ahead of the wall clock.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// Advance moves the clock forward; what becomes due by that runs at once. A
// clock never goes back: negative durations are ignored.
func (c *Clock) Advance(d time.Duration) {
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	close(c.jumped)
	c.jumped = make(chan struct{})
}

// jump returns a channel that is closed at the next jump.
func (c *Clock) jump() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumped
}
