package admission

import (
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An Error says why a call did not get to the app: nothing of it did.
type Error struct {
	Code       inngest.Code
	Detail     string        // the cause in one sentence, for people; what happens next is for who answers
	RetryAfter time.Duration // when to call again, where that is known; 0: spread the attempts that are left
	Limit      string        // the limit that was hit, and
	Setting    string        // its setting
	Endpoint   string        // that was tried last
	Parked     time.Duration // how long the call was
	Err        error         // for the log; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code) + ": " + e.Detail
	}
	return fmt.Sprintf("%s: %s: %v", e.Code, e.Detail, e.Err)
}

// Unwrap returns what was wrong before, if anything.
func (e *Error) Unwrap() error { return e.Err }

var errAbandoned = errors.New("the callee panicked")

// A reason is why a call is parked no longer, or not at all.
type reason uint8

const (
	reasonDeadline reason = iota
	reasonCalls
	reasonShare
	reasonShareBytes
	reasonBytes
	reasonLobbyCalls
	reasonLobbyBytes
	reasonDraining
)

// mayPass tells whether a call that would be parked may go to the app after all,
// because no call ever waits. The gate and its ramp are for calls that wait; one
// that cannot is tried as long as the health says nothing against it.
func (r *Room) mayPass(f *function) bool {
	return !r.patience.auto && r.patience.limit == 0 && !r.paused && !f.paused && r.running < int(r.limit.now) && r.fair(f) &&
		(r.opt.Health == nil || r.opt.Health.Usable())
}

// shed makes the error of a call that is turned away, and counts it.
func (r *Room) shed(w *waiter, now time.Time, why reason) *Error {
	e := r.why(w)
	e.Parked = now.Sub(w.first)
	r.complain(e, w, now, why)
	if w.failure != nil {
		e.Endpoint, e.Err = w.failure.Endpoint, w.failure
	}
	r.opt.Metrics.Shed.WithLabelValues(r.opt.App, string(e.Code)).Inc()
	if id := &w.call.Identity; id.MaxAttempts > 0 {
		r.m.attemptsLeft.Observe(float64(max(id.MaxAttempts-1-id.Attempt, 0)))
	}
	return e
}
