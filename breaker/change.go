package breaker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// onChange is called by the counter, with mu held and inside its own lock.
func (b *Breaker) onChange(_ string, from, to gobreaker.State) {
	c := change{stateOf(from), stateOf(to)}
	epoch := b.epoch.Load() + 1
	if (epoch%2 == 0) != (c.to == Closed) {
		epoch++
	}
	b.epoch.Store(epoch)
	b.since, b.inRow = time.Now(), 0
	if b.listed {
		b.gauge(c.from).Dec()
		b.gauge(c.to).Inc()
	}
	b.opt.Metrics.Transitions.WithLabelValues(b.opt.App, b.opt.Endpoint, c.to.String()).Inc()
	if b.opt.OnChange != nil {
		b.changed = append(b.changed, c)
	}
}

// unlock releases mu and tells what changed meanwhile. One goroutine tells at a
// time, so that the changes are told in order.
func (b *Breaker) unlock() {
	if b.telling {
		b.mu.Unlock()
		return
	}
	for len(b.changed) > 0 {
		c := b.changed[0]
		b.changed = b.changed[1:]
		b.telling = true
		b.mu.Unlock()
		b.opt.OnChange(c.from, c.to)
		b.mu.Lock()
		b.telling = false
	}
	b.mu.Unlock()
}

func (b *Breaker) gauge(s State) prometheus.Gauge {
	return b.opt.Metrics.State.WithLabelValues(b.opt.App, b.opt.Endpoint, s.String())
}
