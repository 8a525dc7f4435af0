package pool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// sweepInterval is how exact the limits on silence and idle time are.
const sweepInterval = time.Second

// Run does what no call does: it ends silences that last too long, closes idle
// connections, probes, and looks names up. It returns nil when ctx has ended
// and everything it started has too. Calls may go on afterwards; their
// connections are closed behind them.
func (u *Upstream) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, e := range u.fixed {
		running.Go(func() { e.watch(ctx) })
	}
	for _, s := range u.sources {
		running.Go(func() { s.run(ctx) })
	}
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			u.sweep()
		}
	}
	running.Wait()
	for _, e := range *u.live.Load() {
		e.retire()
	}
	return nil
}

// sweep sweeps every endpoint, and forgets the retired ones whose calls are
// over.
func (u *Upstream) sweep() {
	for _, e := range *u.live.Load() {
		e.sweep()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leaving = slices.DeleteFunc(u.leaving, func(e *endpoint) bool {
		e.sweep()
		return e.calls.Load() == 0
	})
}

// retire takes an endpoint out whose address is gone; its calls go on.
func (u *Upstream) retire(e *endpoint) {
	e.retire()
	u.mu.Lock()
	u.leaving = append(u.leaving, e)
	u.mu.Unlock()
}
