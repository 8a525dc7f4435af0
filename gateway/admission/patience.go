package admission

import "time"

// Bounds of what is learnt about callers. Load balancers often cut at 60 s; a
// canary is held longer than the others by half, one at a time, until it is
// known where callers give up.
const (
	firstLimit  = 50 * time.Second
	autoLimit   = 4 * time.Minute
	lowestLimit = 5 * time.Second
	learnAgain  = 24 * time.Hour // after a canary was lost
)

// earlyCuts is how many callers in a row must give up at the same age before
// the limit follows: one may have crashed.
const (
	earlyCuts  = 3
	cutsSpread = 2 * time.Second // callers are looked for once a second
)

// WaitState is what is known of the callers' patience.
type WaitState struct {
	Limit time.Duration `json:"limit_ns,omitempty"` // how long calls are parked
	Cut   time.Duration `json:"cut_ns,omitempty"`   // when the last canary's caller gave up
	CutAt time.Time     `json:"cut_at,omitzero"`    // the time of that
}

// patience is how long calls are parked.
type patience struct {
	auto   bool
	limit  time.Duration
	cut    time.Duration
	cutAt  time.Time
	canary *waiter
	early  [earlyCuts]time.Duration // ages of callers that gave up before the limit, the last first
}

func newPatience(w Wait) patience {
	if w.Auto {
		return patience{auto: true, limit: firstLimit}
	}
	return patience{limit: w.Max}
}

func (p *patience) state() WaitState {
	if !p.auto {
		return WaitState{}
	}
	return WaitState{p.limit, p.cut, p.cutAt}
}

// restore takes over what was learnt before a restart, within today's bounds.
func (p *patience) restore(s WaitState) {
	if p.auto && s.Limit != 0 {
		p.limit, p.cut, p.cutAt = min(max(s.Limit, lowestLimit), autoLimit), s.Cut, s.CutAt
	}
}

// extend makes a waiter whose time is up the canary, if there is something to
// learn and its run can spare the attempt.
func (r *Room) extend(w *waiter, now time.Time) bool {
	p := &r.patience
	if !p.auto || w.canary || p.canary != nil || p.limit >= autoLimit || w.call.Gone == nil {
		return false
	}
	if !p.cutAt.IsZero() && r.opt.Now().Sub(p.cutAt) < learnAgain {
		return false
	}
	if id := &w.call.Identity; id.MaxAttempts > 0 && id.Attempt >= id.MaxAttempts-1 {
		return false
	}
	deadline := r.deadline(w.call, w.began.Add(min(p.limit+p.limit/2, autoLimit)))
	if !deadline.After(now.Add(time.Second)) {
		return false
	}
	w.canary, w.deadline, p.canary = true, deadline, w
	return true
}

// learn ends a canary that was parked for longer than the limit: if its caller
// is still there, others are too.
func (r *Room) learn(w *waiter, now time.Time) {
	if !w.canary {
		return
	}
	p := &r.patience
	w.canary, p.canary = false, nil
	age := min(now.Sub(w.began), autoLimit)
	if age <= p.limit || w.call.Gone() {
		return
	}
	p.limit, p.early = age.Truncate(time.Second), [earlyCuts]time.Duration{}
	r.unsaved = true
	r.m.waitLimit.Set(p.limit.Seconds())
	r.opt.Log.Info("callers wait longer than calls were parked; the limit follows", "app", r.opt.App, "wait", p.limit, "setting", "apps[].wait.max")
}

// gaveUp notes that a caller hung up at that age.
func (r *Room) gaveUp(w *waiter, age time.Duration) {
	p := &r.patience
	if !p.auto {
		return
	}
	if w.canary {
		p.cut, p.cutAt = age, r.opt.Now()
		r.unsaved = true
		r.opt.Log.Info("the longest that a caller waits is known", "app", r.opt.App, "gave_up_after", age, "wait", p.limit)
		return
	}
	copy(p.early[1:], p.early[:])
	p.early[0] = age
	lowest, highest := age, age
	for _, a := range p.early {
		lowest, highest = min(lowest, a), max(highest, a)
	}
	if lowest == 0 || highest-lowest > cutsSpread {
		return
	}
	if limit := max(lowest*9/10-time.Second, lowestLimit).Truncate(time.Second); limit < p.limit {
		p.limit, p.cut, p.cutAt, p.early = limit, lowest, r.opt.Now(), [earlyCuts]time.Duration{}
		r.unsaved = true
		r.m.waitLimit.Set(p.limit.Seconds())
		r.opt.Log.Warn("callers give up sooner than calls are parked; the limit follows",
			"app", r.opt.App, "gave_up_after", lowest, "wait", limit, "setting", "apps[].wait.max")
	}
}
