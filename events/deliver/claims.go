package deliver

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// claims are the records that a worker holds, however long. The spool hands out
// again what it hears nothing of.
type claims struct {
	mu   sync.Mutex // also while one is extended: what was given back is not
	held map[delivery]bool
}

func (c *claims) add(h held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[delivery]bool{}
	}
	c.held[h.delivery] = true
}

func (c *claims) remove(h held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, h.delivery)
}

func (c *claims) all() []delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.held))
}

// extend extends one, if it is still held.
func (c *claims) extend(d delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held[d] {
		return nil
	}
	return d.Extend()
}

// keepClaims keeps the spool from handing the worker's records out to somebody
// else, until the function returned is called.
func (w *worker) keepClaims() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(w.d.o.Extend)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for _, d := range w.claims.all() {
				if err := w.claims.extend(d); err != nil {
					w.d.complain("spool does not extend a claim", err)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}
