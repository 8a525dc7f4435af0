package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxPauses bounds the pauses of one app.
const maxPauses = 1000

// A Pause keeps the calls of an app or a function from it.
type Pause struct {
	Function string    `json:"function,omitempty"` // empty: the whole app
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until,omitzero"` // zero: until it is resumed
}

// over tells whether its time has passed.
func (p *Pause) over(now time.Time) bool { return !p.Until.IsZero() && !p.Until.After(now) }

// Pause parks the calls of a function, or of the whole app if its name is empty,
// until that time, or until [Room.Resume] if it is zero. Calls that the app has
// already go on. The name is the function's id, with or without the app's
// before it. An earlier pause of the same is replaced. After an error that is
// [ErrNotKept] the pause is in force all the same.
func (r *Room) Pause(function string, until time.Time) error {
	now := r.opt.Now()
	if !until.IsZero() && !until.After(now) {
		return fmt.Errorf("the pause would have ended at %s already", until.Format(time.RFC3339))
	}
	r.mu.Lock()
	r.expirePauses()
	i := slices.IndexFunc(r.pauses, r.named(function))
	switch {
	case i >= 0:
		r.pauses[i].Until = until
	case len(r.pauses) >= maxPauses:
		r.mu.Unlock()
		return fmt.Errorf("%d functions of the app are paused already; pause the whole app", maxPauses)
	default:
		r.pauses = append(r.pauses, Pause{function, now, until})
	}
	r.applyPauses(now)
	r.mu.Unlock()
	r.opt.Log.Info("paused", "app", r.opt.App, "function", function, "until", until)
	return r.keep("the pause is in force, but a restart would end it")
}

// named returns what picks the pauses of a function, whichever way it was named.
func (r *Room) named(function string) func(Pause) bool {
	short := strings.TrimPrefix(function, r.opt.App+"-")
	return func(p Pause) bool { return strings.TrimPrefix(p.Function, r.opt.App+"-") == short }
}

// ErrNotPaused says that there is no such pause to end.
var ErrNotPaused = errors.New("not paused")

// ErrNotKept says that what was asked for is done, but could not be saved. That
// is tried again.
var ErrNotKept = errors.New("not kept")

// keep saves what was changed, and says what it means that it cannot.
func (r *Room) keep(meaning string) error {
	err := r.save()
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s, because the state is %w: %w", meaning, ErrNotKept, err)
}

// Resume ends the pause of a function, or that of the whole app. The calls that
// it kept are let go as after an outage: one, then more and more. After an error
// that is [ErrNotKept] it has ended all the same.
func (r *Room) Resume(function string) error {
	r.mu.Lock()
	r.expirePauses()
	i := slices.IndexFunc(r.pauses, r.named(function))
	if i < 0 {
		r.mu.Unlock()
		return ErrNotPaused
	}
	r.endPauses(r.opt.Now(), r.named(function))
	r.mu.Unlock()
	r.opt.Log.Info("resumed", "app", r.opt.App, "function", function)
	return r.keep("the pause has ended, but a restart would begin it again")
}

// endPauses ends the pauses that which picks, and spreads what they kept.
func (r *Room) endPauses(now time.Time, which func(Pause) bool) {
	before := len(r.pauses)
	r.pauses = slices.DeleteFunc(r.pauses, which)
	if len(r.pauses) == before {
		return
	}
	r.applyPauses(now)
	if r.parked > 0 && !r.gate.closed && r.gate.ramp == 0 {
		r.gate.open(time.Now())
		r.dispatch()
	}
	r.rouse()
}

// expirePauses ends the pauses whose time is over. Run does so now and then, and
// who looks at them before that.
func (r *Room) expirePauses() {
	if len(r.pauses) == 0 {
		return
	}
	now := r.opt.Now()
	before := len(r.pauses)
	r.endPauses(now, func(p Pause) bool { return p.over(now) })
	if len(r.pauses) < before {
		r.unsaved = true
		r.opt.Log.Info("a pause is over", "app", r.opt.App, "still_paused", len(r.pauses))
	}
}

// applyPauses marks what is paused.
func (r *Room) applyPauses(now time.Time) {
	p, found := r.pauseOf("")
	r.paused = found && !p.over(now)
	for _, f := range r.functions {
		r.applyPause(f, now)
	}
	r.m.paused.Set(float64(len(r.pauses)))
}

func (r *Room) applyPause(f *function, now time.Time) {
	f.paused = false
	if f.name != "" {
		p, found := r.pauseOf(f.name)
		f.paused = found && !p.over(now)
	}
}

// pauseOf returns the pause of a function by the name that calls have for it, or
// that of the app. It may be over.
func (r *Room) pauseOf(name string) (Pause, bool) {
	for _, p := range r.pauses {
		if p.Function == name || p.Function != "" && r.opt.App+"-"+p.Function == name {
			return p, true
		}
	}
	return Pause{}, false
}
