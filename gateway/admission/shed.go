package admission

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
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
	reasonBytes
	reasonLobbyCalls
	reasonLobbyBytes
	reasonDraining
)

// shed makes the error of a call that is turned away, and counts it.
func (r *Room) shed(w *waiter, now time.Time, why reason) *Error {
	e := r.why(w)
	e.Parked = now.Sub(w.first)
	what := e.Detail
	switch why {
	case reasonDeadline:
		e.Detail = what + "; " + r.waited(w, now) + "."
	case reasonCalls:
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, strconv.Itoa(r.opt.Wait.MaxCalls), "apps[].wait.max_calls"
		e.Detail = fmt.Sprintf("%s; %d calls wait for that already, and there is room for %s (%s)", what, r.parked, e.Limit, e.Setting)
		if r.parked < r.opt.Wait.MaxCalls {
			e.Detail += ", the last tenth of it for runs without another attempt"
		}
		e.Detail += "."
	case reasonShare:
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, strconv.Itoa(r.mostOfOne()), "apps[].wait.max_calls"
		e.Detail = fmt.Sprintf("%s; %d calls of this function wait already, and one function may have %s, three quarters of the room (%s).", what, w.fn.parked, e.Limit, e.Setting)
	case reasonBytes:
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, strconv.FormatInt(r.opt.Wait.MaxBytes, 10)+"B", "apps[].wait.max_bytes"
		e.Detail = fmt.Sprintf("%s; %d bytes of calls wait for that already, and there is room for %s (%s).", what, r.bytes, e.Limit, e.Setting)
	case reasonLobbyCalls:
		calls, _ := r.opt.Lobby.held()
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, strconv.Itoa(r.opt.Lobby.maxCalls), "limits.connections"
		e.Detail = fmt.Sprintf("%s; %d calls of all apps wait already, and there is room for %s (%s), where each leaves some to the others.", what, calls, e.Limit, e.Setting)
	case reasonLobbyBytes:
		_, bytes := r.opt.Lobby.held()
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, strconv.FormatInt(r.opt.Lobby.maxBytes, 10)+"B", "limits.memory"
		e.Detail = fmt.Sprintf("%s; %d bytes of calls of all apps wait already, and there is room for %s (%s), where each leaves some to the others.", what, bytes, e.Limit, e.Setting)
	case reasonDraining:
		e.Code, e.RetryAfter = inngest.CodeDraining, 0
		e.Detail = what + ", and the gateway is going away."
	}
	if w.failure != nil {
		e.Endpoint, e.Err = w.failure.Endpoint, w.failure
	}
	r.opt.Metrics.Shed.WithLabelValues(r.opt.App, string(e.Code)).Inc()
	if id := &w.call.Identity; id.MaxAttempts > 0 {
		r.m.attemptsLeft.Observe(float64(max(id.MaxAttempts-1-id.Attempt, 0)))
	}
	return e
}

// waited says how long a call was parked, and why not for longer.
func (r *Room) waited(w *waiter, now time.Time) string {
	parked := spoken(now.Sub(w.first))
	switch {
	case r.patience.limit == 0:
		return "calls are not parked (apps[].wait.max), nothing of this one reached the app"
	case r.opt.Tolerance > 0 && w.deadline.Before(w.began.Add(r.patience.limit)):
		return fmt.Sprintf("the call was parked for %s, for longer the app would not believe its signature; nothing of it reached the app", parked)
	default:
		return fmt.Sprintf("the call was parked for %s (apps[].wait.max), nothing of it reached the app", parked)
	}
}

// why says what the calls of a function wait for.
func (r *Room) why(w *waiter) *Error {
	app := "The app " + r.opt.App
	switch r.causeFor(w.fn) {
	case causePaused:
		return r.whyPaused(w.fn)
	case causeDown:
		return r.whyDown(w, app)
	default:
		if w.failure != nil && w.failure.Code == inngest.CodeUpstreamBusy {
			return &Error{Code: inngest.CodeUpstreamBusy, Detail: fmt.Sprintf(
				"%s has all its connections in use (apps[].upstream.connections.max), %d calls run", app, r.running)}
		}
		limit := strconv.Itoa(int(r.limit.now))
		setting := "apps[].concurrency.max"
		e := &Error{Code: inngest.CodeConcurrencyLimit, Limit: limit, Setting: setting}
		if int(r.limit.now) < r.limit.max {
			e.Detail = fmt.Sprintf("%s has %d calls at once, and shows load: it gets %s until it is better (%s is %d)", app, r.running, limit, setting, r.limit.max)
		} else {
			e.Detail = fmt.Sprintf("%s has %d calls at once, as many as it may have (%s)", app, r.running, setting)
		}
		return e
	}
}

func (r *Room) whyPaused(f *function) *Error {
	now := r.opt.Now()
	p, all := r.pauseOf("", now)
	what := "The app " + r.opt.App
	if !all {
		p, _ = r.pauseOf(f.name, now)
		what = "The function " + p.Function + " of the app " + r.opt.App
	}
	e := &Error{Code: inngest.CodePaused, Detail: what + " is paused since " + clock(p.Since)}
	if !p.Until.IsZero() {
		e.Detail += " until " + clock(p.Until)
		// All that it kept away would come back at that moment.
		left := max(p.Until.Sub(now), 0)
		e.RetryAfter = left + time.Duration(rand.Float64()*float64(max(left/10, 5*time.Second)))
	}
	return e
}

// whyDown tells of an app that cannot be reached, or has only just come back.
func (r *Room) whyDown(w *waiter, app string) *Error {
	g := &r.gate
	failure := w.failure
	if failure == nil {
		failure = g.err
	}
	e := &Error{Code: inngest.CodeUpstreamOpen}
	at, since := "", g.since
	if failure != nil {
		e.Code, at = failure.Code, failure.Endpoint
	}
	if endpoints, down := r.outage(); down.After(time.Time{}) {
		since = down
		if at == "" {
			at = endpoints
		}
	}
	if at != "" {
		at = " at " + at
	}
	if !g.closed && w.failure == nil {
		e.Detail = app + at + " takes calls again, one after the other at first, and this one's turn had not come"
		return e
	}
	what := " takes no connections"
	if e.Code == inngest.CodeUpstreamOpen {
		what = " cannot be reached"
	}
	e.Detail = app + what + at
	if !since.IsZero() {
		e.Detail += " since " + clock(since)
	}
	return e
}

// outage tells which endpoints are out of use, and since when the last one is.
func (r *Room) outage() (endpoints string, since time.Time) {
	if r.opt.Health == nil {
		return "", since
	}
	var names []string
	for _, e := range r.opt.Health.Status() {
		if e.DownSince.IsZero() {
			return "", time.Time{}
		}
		if len(names) == 0 || names[len(names)-1] != e.Endpoint {
			names = append(names, e.Endpoint)
		}
		if e.DownSince.After(since) {
			since = e.DownSince
		}
	}
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return strings.Join(names, ", "), since
}

// spoken writes how long something took.
func spoken(d time.Duration) string {
	d = d.Round(time.Second)
	m, s := d/time.Minute, d%time.Minute/time.Second
	if m == 0 {
		return fmt.Sprintf("%d s", s)
	}
	return fmt.Sprintf("%d min %d s", m, s)
}

// clock writes a time for people: the day too, where it is not today's.
func clock(t time.Time) string {
	layout := "15:04:05 UTC"
	if time.Since(t).Abs() > 12*time.Hour {
		layout = "2006-01-02 15:04:05 UTC"
	}
	return t.UTC().Format(layout)
}
