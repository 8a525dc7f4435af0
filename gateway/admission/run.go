package admission

import (
	"context"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	second   = time.Second
	fastTick = 50 * time.Millisecond // while something is parked
)

// Run does what no call does: it opens the gate, lets parked calls go or turns
// them away when their time is over, and learns. It returns nil when ctx has
// ended.
func (r *Room) Run(ctx context.Context) error {
	timer := time.NewTimer(second)
	defer timer.Stop()
	next := time.Now().Add(second)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(next) {
			r.eachSecond(now)
			next = now.Add(second)
		}
		timer.Reset(min(r.step(now), next.Sub(now)))
	}
	return r.save()
}

// rouse lets Run look sooner than it meant to.
func (r *Room) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// step lets go what may, and tells when to look again.
func (r *Room) step(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expirePauses()
	if r.limit.raise(now, r.running) {
		r.opt.Metrics.LimitChanges.WithLabelValues(r.opt.App, "up").Inc()
	}
	r.moveGate(now)
	if r.parked == 0 && !r.gate.closed && r.gate.ramp == 0 {
		return second
	}
	return fastTick
}

// eachSecond does what need not be exact.
func (r *Room) eachSecond(now time.Time) {
	r.mu.Lock()
	r.second++
	if r.second%60 == 0 {
		r.forget()
	}
	r.expireKept(now)
	r.expireParked(now)
	if r.limit.adaptive && r.opt.Health != nil && r.limit.slow(r.opt.Health.Status()) {
		r.overload(now)
	}
	r.gauge()
	unsaved := r.saveDue(now)
	waiters, followers := r.waiting()
	r.mu.Unlock()

	for _, w := range waiters {
		if w.gone() {
			r.hungUp(w, now)
		}
	}
	for _, j := range followers {
		if j.gone() && r.quit(j) {
			j.ready <- outcome{err: goneError(r.opt.App)}
		}
	}
	if unsaved {
		if err := r.save(); err != nil {
			r.opt.Log.Error("state of the waiting room is not kept", "app", r.opt.App, "err", err)
		}
	}
}

// expireParked turns calls away whose time is over.
func (r *Room) expireParked(now time.Time) {
	for i := 0; i < len(r.ring); {
		f := r.ring[i]
		for w := f.first; w != nil; {
			next := w.next
			if !now.Before(w.deadline) && !r.extend(w, now) {
				r.learn(w, now)
				r.turnAway(w, now, r.shed(w, now, reasonDeadline), "shed")
			}
			w = next
		}
		if i < len(r.ring) && r.ring[i] == f {
			i++
		}
	}
}

// waiting returns all that wait, to be looked at without holding up the others.
func (r *Room) waiting() (waiters []*waiter, followers []*joined) {
	for _, f := range r.ring {
		for w := f.first; w != nil; w = w.next {
			waiters = append(waiters, w)
		}
	}
	for _, f := range r.guard.flights {
		for ; f != nil; f = f.sibling {
			followers = append(followers, f.joined...)
		}
	}
	return waiters, followers
}

// hungUp turns a call away that nobody waits for.
func (r *Room) hungUp(w *waiter, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !w.parked {
		return
	}
	r.gaveUp(w, now.Sub(w.began))
	r.turnAway(w, now, goneError(r.opt.App), "gone")
}

func goneError(app string) *Error {
	return &Error{Code: inngest.CodeCallCanceled, Detail: "The caller hung up while its call waited for the app " + app + "; nothing of it reached the app."}
}

// Drain turns all parked calls away and parks no more: the gateway is going
// away, and another one is there in a moment. Calls that the app has go on.
func (r *Room) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	now := time.Now()
	for len(r.ring) > 0 {
		w := r.ring[0].first
		r.turnAway(w, now, r.shed(w, now, reasonDraining), "shed")
	}
	for _, s := range r.guard.kept {
		r.unstore(s)
		s.inner.Release()
	}
}
