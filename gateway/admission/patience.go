package admission

import "time"

// Bounds of what is learnt about callers. Load balancers often cut at 60 s; a
// canary is held longer than the others by half, one at a time, until it is
// known where callers give up.
const (
	firstLimit  = 50 * time.Second
	autoLimit   = 4 * time.Minute
	lowestLimit = 5 * time.Second
	learnAgain  = 24 * time.Hour  // after a canary was lost
	doubtAgain  = 5 * time.Minute // after what may have been no balancer's cut
)

// A balancer that cuts is known by this: callers that came at different times
// give up at different times, and yet at the same age. A server that restarts
// gives all of them up at one time, at any age. So earlyCuts moments are needed,
// and in each of them callers of one age alone.
const (
	earlyCuts  = 3
	cutsSpread = 2 * time.Second // ages that are one: callers are looked for once a second
	cutsApart  = 5 * time.Second // what goes within it counts once
	cutsWithin = time.Hour       // of the first moment the last one must be: an hour without is no pattern
)

// A moment is a time at which callers hung up.
type moment struct {
	at              time.Time
	lowest, highest time.Duration // age of their calls
	canary          bool          // the canary was among them
}

// one tells whether all that went in it were of one age.
func (m *moment) one() bool { return m.highest-m.lowest <= cutsSpread }

// WaitState is what is known of the callers' patience.
type WaitState struct {
	Limit time.Duration `json:"limit_ns,omitempty"` // how long calls are parked
	Cut   time.Duration `json:"cut_ns,omitempty"`   // the age at which callers gave up last
	Again time.Time     `json:"again,omitzero"`     // the next canary, not before
}

// patience is how long calls are parked.
type patience struct {
	auto   bool
	limit  time.Duration
	cut    time.Duration
	again  time.Time
	canary *waiter
	early  [earlyCuts]moment // the last one first
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
	return WaitState{p.limit, p.cut, p.again}
}

// restore takes over what was learnt before a restart, within today's bounds.
func (p *patience) restore(s WaitState) {
	if p.auto && s.Limit != 0 {
		p.limit, p.cut, p.again = min(max(s.Limit, lowestLimit), autoLimit), s.Cut, s.Again
	}
}

// learnt tells whether callers have told anything yet.
func (p *patience) learnt() bool { return p.auto && (p.limit != firstLimit || p.cut != 0) }

// extend makes a waiter whose time is up the canary, if there is something to
// learn and its run can spare the attempt.
func (r *Room) extend(w *waiter, now time.Time) bool {
	p := &r.patience
	if !p.auto || w.canary || p.canary != nil || p.limit >= autoLimit || w.call.Gone == nil {
		return false
	}
	if left := p.again.Sub(r.opt.Now()); left > 0 && left <= learnAgain { // more: the clock was set back
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

// learn takes what a call tells whose wait ends while its caller is still there:
// others are too. A canary was parked for longer than the limit, which follows.
func (r *Room) learn(w *waiter, now time.Time) {
	p := &r.patience
	age := now.Sub(w.began)
	canary := w.canary
	if canary {
		w.canary, p.canary = false, nil
	}
	longer := canary && min(age, autoLimit) > p.limit
	doubted := !p.early[0].at.IsZero() && age >= p.early[0].highest
	if !longer && !doubted || w.call.Gone == nil || w.gone() {
		return
	}
	p.early = [earlyCuts]moment{}
	if !longer {
		return
	}
	p.limit = min(age, autoLimit).Truncate(time.Second)
	if p.limit > p.cut {
		p.cut = 0
	}
	r.unsaved = true
	r.m.waitLimit.Set(p.limit.Seconds())
	r.opt.Log.Info("callers wait longer than calls were parked; the limit follows", "app", r.opt.App, "wait", p.limit, "setting", r.opt.Names.Wait+".max")
}

// gaveUp notes that a caller hung up at that age.
func (r *Room) gaveUp(w *waiter, age time.Duration) {
	p := &r.patience
	if !p.auto {
		return
	}
	switch m := p.note(age, w.canary, time.Now()); {
	case m.canary && !m.one(): // others went with it, of any age: that it did tells nothing
		p.cut, p.again = 0, r.opt.Now().Add(doubtAgain)
		r.unsaved = true
	case w.canary:
		p.cut, p.again = age, r.opt.Now().Add(learnAgain)
		r.unsaved = true
		r.opt.Log.Info("the longest that a caller waits is known", "app", r.opt.App, "gave_up_after", age, "wait", p.limit)
	default:
		r.followDown(time.Now())
	}
}

// note adds a caller that hung up to the moment that it belongs to.
func (p *patience) note(age time.Duration, canary bool, now time.Time) *moment {
	m := &p.early[0]
	if m.at.IsZero() || now.Sub(m.at) >= cutsApart {
		copy(p.early[1:], p.early[:])
		*m = moment{at: now, lowest: age, highest: age}
	}
	m.lowest, m.highest, m.canary = min(m.lowest, age), max(m.highest, age), m.canary || canary
	return m
}

// followDown lowers the limit if callers are cut off before it. Calls younger
// than the lowest limit tell nothing that could be done about.
func (r *Room) followDown(now time.Time) {
	p := &r.patience
	all := p.early[0]
	for _, m := range p.early {
		if m.at.IsZero() || now.Sub(m.at) > cutsWithin {
			return
		}
		all.lowest, all.highest = min(all.lowest, m.lowest), max(all.highest, m.highest)
	}
	limit := max(all.lowest*9/10-time.Second, lowestLimit).Truncate(time.Second)
	if !all.one() || all.lowest < lowestLimit || limit >= p.limit || r.outlived(all.highest, now) {
		return
	}
	p.limit, p.cut, p.again, p.early = limit, all.lowest, r.opt.Now().Add(doubtAgain), [earlyCuts]moment{}
	r.unsaved = true
	r.m.waitLimit.Set(p.limit.Seconds())
	r.opt.Log.Warn("callers give up sooner than calls are parked; the limit follows",
		"app", r.opt.App, "gave_up_after", all.lowest, "wait", limit, "setting", r.opt.Names.Wait+".max")
}

// outlived tells whether somebody waits whose call is older than that. The first
// of each queue is looked at: it is the oldest, or nearly.
func (r *Room) outlived(age time.Duration, now time.Time) bool {
	for _, f := range r.ring {
		if w := f.first; now.Sub(w.began) > age+cutsSpread && w.call.Gone != nil && !w.gone() {
			return true
		}
	}
	return false
}
