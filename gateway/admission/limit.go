package admission

import (
	"math"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// How the limit moves. A sign of load that the calls at the app can have caused
// takes it to less than they are, and by three tenths at most once a second.
// What was too much is remembered: below it the limit grows fast, above it only
// where it is needed, after a while, by one a second and then faster.
const (
	decrease   = 0.7
	calmBefore = 2 * time.Second  // without a sign, before it grows at all
	firstHold  = 10 * time.Second // without a sign, before it grows above what is known
	lastHold   = 30 * time.Second // the same, where that was found again and again
	growSteps  = 50               // seconds from 0 to the maximum at the most, below what is known
	mostAbove  = 20               // a second: one at each tick, so one step too far costs one attempt,
	stepAbove  = 4                // and where calls did not wait before, fewer than a breaker's five failures in a row
	speedUp    = 10 * time.Second // how it grows faster: one a second until then, four after twice that
	stepAfter  = 15 * time.Second // between steps, longer than a call waits for a connection by default
	forgetLoad = 10 * time.Minute // without a sign: what the app could do then need not be so now
)

// Slow means: so many times, and so much, over the best seen.
const (
	slowFactor = 8
	slowBy     = 250 * time.Millisecond
	aging      = 1.02 // of the best, a sample: what was true an hour ago need not be now
)

// A limiter is the number of calls that the app may have at once. It learns
// from signs that mean load whatever the steps do: busy answers, slow connects
// and slow answers to the gateway's own probe, refusals. How long steps take
// says nothing: a millisecond is normal, and so are two hours.
type limiter struct {
	max      int
	adaptive bool
	now      float64 // what is in force, the smaller one of the two
	load     bound   // by signs of load; the maximum if not adaptive
	pool     bound   // by how many find a connection, adaptive or not
	raised   time.Time
	best     map[string]*best // by endpoint and address
}

func newLimiter(c Concurrency) limiter {
	most := float64(c.Max)
	return limiter{
		max: c.Max, adaptive: c.Adaptive, now: most,
		load: bound{min: float64(c.Min), max: most, now: most, known: most},
		pool: bound{min: 1, max: most, now: most, known: most, stepwise: true},
	}
}

// A bound is a limit that looks for what the app can do.
type bound struct {
	min, max float64
	now      float64
	known    float64       // that many it could do when it had too many; max: nothing is known
	foundAt  time.Time     // when that was found, last
	hold     time.Duration // before it is tried whether that is still so
	signAt   time.Time     // of the last sign, also one that says little
	lowered  time.Time

	// A call that is one too many may wait long for a connection: it is found out
	// whether it got one before more are tried, and those that came after it do
	// not overtake it.
	stepwise  bool
	step      float64 // the last one; 0: none since that many were found
	steppedAt time.Time
}

// best is what an endpoint can do.
type best struct {
	connect, probe      time.Duration
	connected, probedAt time.Time // of the samples seen last
}

// overload lowers the limit because the app showed load. Calls that have just
// begun again after an outage are bounded by the ramp, not by the limit: then
// that is what was too much.
func (r *Room) overload(now time.Time) {
	if !r.limit.adaptive {
		return
	}
	allowed := r.limit.now
	if g := &r.gate; g.ramp > 0 {
		allowed = min(allowed, float64(r.running-g.running+g.ramp))
	}
	r.lowered(r.limit.load.sign(now, float64(r.running), allowed))
}

// lowered puts a lower bound in force.
func (r *Room) lowered(lower bool) {
	if lower {
		r.limit.apply()
		r.opt.Metrics.LimitChanges.WithLabelValues(r.opt.App, "down").Inc()
	}
}

func (l *limiter) apply() { l.now = min(l.load.now, l.pool.now) }

// sign notes a sign of load while the app had n calls of those that were allowed.
// If those were many more, it tells little about the limit: that falls by three
// tenths and comes back by itself, unless there is a second sign.
func (b *bound) sign(now time.Time, n, allowed float64) (lower bool) {
	again := now.Sub(b.signAt) < calmBefore
	recent := now.Sub(b.lowered) < time.Second
	b.signAt = now
	switch used := n >= b.now/2 || n > b.min && n >= allowed/2; {
	case used && !recent:
		b.found(now, n-1)
		return b.lower(now, min(n, b.now)*decrease)
	case used || again && n > b.min:
		// Places that are too many are not given away again: each would cost an
		// attempt.
		return b.lower(now, n-1)
	default:
		return b.strain(now)
	}
}

// strain lowers the bound for a sign that does not tell how many calls are too
// many.
func (b *bound) strain(now time.Time) (lower bool) {
	b.signAt = now
	if now.Sub(b.lowered) < time.Second {
		return false
	}
	return b.lower(now, b.now*decrease)
}

// full notes that n calls, and no more, found a connection.
func (b *bound) full(now time.Time, n float64) (lower bool) {
	b.signAt = now
	b.found(now, min(n, b.now))
	return b.lower(now, n)
}

// found notes that the app can do n calls, and no more. Where that is nothing
// new it is doubted more and more rarely.
func (b *bound) found(now time.Time, n float64) {
	n = max(n, b.min)
	if b.hold == 0 || math.Abs(n-b.known) > max(2, b.known/10) {
		b.hold = firstHold
	} else {
		b.hold = min(2*b.hold, lastHold)
	}
	b.known, b.foundAt = n, now
	b.step, b.steppedAt = 0, now
}

func (b *bound) lower(now time.Time, to float64) bool {
	if to = max(to, b.min); to >= b.now {
		return false
	}
	b.now, b.lowered = to, now
	return true
}

// raise lets the limit grow by what the time since the last time allows. It
// tells whether there is room for another call.
func (l *limiter) raise(now time.Time, running int) bool {
	span := min(max(now.Sub(l.raised), 0), time.Second).Seconds()
	l.raised = now
	before := l.now
	needed := float64(running) >= 0.9*math.Floor(l.now)
	l.load.raise(now, span, needed && l.load.now <= before)
	l.pool.raise(now, span, needed && l.pool.now <= before)
	l.apply()
	return int(l.now) > int(before)
}

func (b *bound) raise(now time.Time, span float64, needed bool) {
	if b.now >= b.max || now.Sub(b.signAt) < calmBefore {
		return
	}
	calm := now.Sub(b.foundAt)
	if calm > forgetLoad {
		b.known = b.max
	}
	if b.now < b.known {
		speed := min((b.known-b.now)/2, b.max/growSteps)
		b.now = min(b.known, b.now+max(1, speed)*span)
		return
	}
	switch {
	case !needed || calm < b.hold:
	case b.stepwise:
		if now.Sub(b.steppedAt) >= stepAfter {
			b.step, b.steppedAt = max(1, 2*b.step), now
			b.now = min(b.max, b.now+b.step)
		}
	default:
		speed := float64(calm-b.hold) / float64(speedUp)
		b.now = min(b.max, b.now+min(min(max(1, speed*speed), mostAbove)*span, stepAbove))
	}
}

// tired notes an error that no SDK made: what stands before the app, or the app
// under load, says that there is too much to do.
func (r *Room) tired(a *call.Answer) {
	if a.Status != 429 && a.Status != 503 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overload(time.Now())
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
