package admission

import (
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// Times of the gate. An app that has just come back takes one call, then twice
// as many with each step: 1,000 at once after 2.5 s.
const (
	firstBackoff = 50 * time.Millisecond // until a refused call is tried again
	lastBackoff  = time.Second
	rampStep     = 250 * time.Millisecond
)

// A gate lets calls pass while the app takes them. It closes when a call is
// refused or the health says so, and opens with a ramp.
type gate struct {
	closed  bool
	since   time.Time   // calls do not pass, or not all of them; zero: all is well
	err     *pool.Error // what closed it; nil: its health
	reopen  time.Time   // not before
	backoff time.Duration
	again   time.Time // all connections were in use: not before, or until a call ends; zero: one may be free

	ramp    int // calls at once among those that began since it opened; 0: no bound
	step    time.Time
	epoch   uint64 // counts the ramps
	running int    // of this ramp
}

func (g *gate) room() bool { return g.again.IsZero() && (g.ramp == 0 || g.running < g.ramp) }

// start counts a call of the ramp, if there is one.
func (g *gate) start() uint64 {
	if g.ramp == 0 {
		return 0
	}
	g.running++
	return g.epoch
}

func (g *gate) finish(epoch uint64) {
	if epoch != 0 && epoch == g.epoch {
		g.running--
	}
}

// found notes that there may be a free connection.
func (g *gate) found() { g.again = time.Time{} }

// close stops calls for a moment, each time for longer.
func (g *gate) close(now time.Time, err *pool.Error) {
	if g.since.IsZero() {
		g.since = now
	}
	if err != nil {
		g.err = err
	}
	if g.closed {
		return
	}
	g.closed, g.ramp = true, 0
	g.backoff = min(max(2*g.backoff, firstBackoff), lastBackoff)
	g.reopen = now.Add(g.backoff)
}

// open begins a ramp.
func (g *gate) open(now time.Time) {
	g.closed = false
	g.ramp, g.running, g.step = 1, 0, now.Add(rampStep)
	g.epoch++
}

// widen lets more pass, all from the limit on.
func (g *gate) widen(now time.Time, limit int) {
	g.ramp, g.step = 2*g.ramp, now.Add(rampStep)
	if g.ramp >= limit {
		g.ramp, g.since, g.backoff, g.err = 0, time.Time{}, 0, nil
	}
}

// closeGate stops calls because one was refused or, if err is nil, because the
// health says that none would be taken.
func (r *Room) closeGate(err *pool.Error) {
	if !r.gate.closed && r.gate.since.IsZero() {
		r.opt.Log.Info("app does not take calls; they are parked", "app", r.opt.App, "running", r.running)
	}
	r.gate.close(time.Now(), err)
	r.rouse()
}

// moveGate opens the gate when it is time and widens it, and lets pass what may.
func (r *Room) moveGate(now time.Time) {
	g := &r.gate
	if !now.Before(g.again) {
		g.found()
	}
	switch {
	case g.closed:
		if now.Before(g.reopen) || r.opt.Health != nil && !r.opt.Health.Usable() {
			return
		}
		g.open(now)
	case g.ramp > 0 && !now.Before(g.step):
		since := g.since
		g.widen(now, int(r.limit.now))
		if g.ramp == 0 {
			r.opt.Log.Info("app takes calls again", "app", r.opt.App, "after", now.Sub(since), "parked", r.parked)
		}
	}
	if r.parked > 0 {
		r.dispatch()
	}
}

// refused notes that the app could not take a call. All its connections in use
// are a sign of load alone; anything else stops calls for a moment.
func (r *Room) refused(err *pool.Error) {
	now := time.Now()
	if err.Code == inngest.CodeUpstreamBusy {
		r.gate.again = now.Add(firstBackoff)
		r.lowered(r.limit.pool.full(now, float64(r.running-1)))
		return
	}
	if r.gate.since.IsZero() && r.limit.adaptive { // one sign an outage: that it lasts says nothing about load
		r.lowered(r.limit.load.strain(now))
	}
	r.closeGate(err)
}
