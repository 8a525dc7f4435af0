package admission

import (
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// How the limit moves: down by three tenths at a sign of load, at most once a
// second, up by a fiftieth of its maximum a second while it is needed and no
// sign was seen for a while.
const (
	decrease   = 0.7
	growSteps  = 50
	calmBefore = 2 * time.Second
)

// Slow means: so many times, and so much, over the best seen.
const (
	slowFactor = 8
	slowBy     = 250 * time.Millisecond
	aging      = 1.02 // of the best, a sample: what was true an hour ago need not be now
)

// A limiter is the number of calls that the app may have at once. It learns
// from signs that mean load whatever the steps do: refused and busy answers,
// slow connects and slow answers to the gateway's own probe. How long steps take
// says nothing: a millisecond is normal, and so are two hours.
type limiter struct {
	min, max int
	adaptive bool
	now      float64
	met      bool      // a call had to wait for it since the last second
	signAt   time.Time // of the last sign of load
	lowered  time.Time
	best     map[string]*best // by endpoint and address
}

// best is what an endpoint can do.
type best struct {
	connect, probe      time.Duration
	connected, probedAt time.Time // of the samples seen last
}

// overload lowers the limit because the app showed load while it had that many
// calls.
func (r *Room) overload(now time.Time, running int) {
	if r.limit.lower(now, running) {
		r.opt.Metrics.LimitChanges.WithLabelValues(r.opt.App, "down").Inc()
	}
}

func (l *limiter) lower(now time.Time, running int) bool {
	if !l.adaptive {
		return false
	}
	l.signAt = now
	if now.Sub(l.lowered) < time.Second {
		return false
	}
	to := max(float64(l.min), min(l.now, float64(running))*decrease)
	if to >= l.now {
		return false
	}
	l.now, l.lowered = to, now
	return true
}

// raise lets the limit grow by what a second allows.
func (l *limiter) raise(now time.Time, running int) bool {
	needed := l.met || float64(running) >= 0.9*l.now
	l.met = false
	if !needed || l.now >= float64(l.max) || now.Sub(l.signAt) < calmBefore {
		return false
	}
	l.now = min(float64(l.max), l.now+max(1, float64(l.max)/growSteps))
	return true
}

// tired notes an error that no SDK made: what stands before the app, or the app
// under load, says that there is too much to do.
func (r *Room) tired(a *call.Answer) {
	if a.Status != 429 && a.Status != 503 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overload(time.Now(), r.running)
}

// slow tells whether an endpoint took much longer than it can, to take a
// connection or to answer a probe, since it was last asked.
func (l *limiter) slow(all []pool.EndpointStatus) bool {
	if l.best == nil || len(l.best) > 4*len(all) { // addresses come and go
		l.best = map[string]*best{}
	}
	slow := false
	for _, e := range all {
		key := e.Endpoint + " " + e.Address
		b := l.best[key]
		if b == nil {
			b = &best{}
			l.best[key] = b
		}
		slow = sample(&b.connect, &b.connected, e.Connect) || slow
		slow = sample(&b.probe, &b.probedAt, e.Probe) || slow
	}
	return slow
}

// sample compares a timing with the best of its kind.
func sample(best *time.Duration, last *time.Time, t pool.Timing) bool {
	if t.At.IsZero() || t.At.Equal(*last) {
		return false
	}
	*last = t.At
	slow := *best > 0 && t.Took > slowFactor**best && t.Took > *best+slowBy
	if *best == 0 || t.Took < *best {
		*best = max(t.Took, time.Microsecond)
	} else {
		*best = time.Duration(float64(*best) * aging)
	}
	return slow
}
