package admission

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// spreadAfter is within what time calls come back that a pause kept away.
const spreadAfter = 5 * time.Second

// complain completes the error of a call that is turned away, which says what it
// waited for, with why it waits for that no longer.
func (r *Room) complain(e *Error, w *waiter, now time.Time, why reason) {
	full := func(limit, setting, format string, have ...any) {
		e.Code, e.Limit, e.Setting = inngest.CodeWaitingRoomFull, limit, setting
		e.Detail += fmt.Sprintf("; "+format, append(have, limit, setting)...)
	}
	wait := r.opt.Wait
	switch why {
	case reasonDeadline:
		e.Detail += "; " + r.waited(w, now)
	case reasonCalls:
		full(strconv.Itoa(wait.MaxCalls), r.opt.Names.Wait+".max_calls", "%d calls wait for that already, and there is room for %s (%s)", r.parked)
		if r.parked < wait.MaxCalls {
			e.Detail += ", the last tenth of it for runs without another attempt"
		}
	case reasonShare:
		full(strconv.Itoa(r.mostOfOne()), r.opt.Names.Wait+".max_calls", "%d calls of this function wait already, and one function may have %s, three quarters of the room (%s)", w.fn.parked)
	case reasonShareBytes:
		full(strconv.FormatInt(r.mostBytesOfOne(), 10)+"B", r.opt.Names.Wait+".max_bytes", "%d bytes of calls of this function wait already, and one function may have %s, three quarters of the room (%s)", w.fn.bytes)
	case reasonBytes:
		full(strconv.FormatInt(wait.MaxBytes, 10)+"B", r.opt.Names.Wait+".max_bytes", "%d bytes of calls wait for that already, and there is room for %s (%s)", r.bytes)
	case reasonLobbyCalls:
		calls, _ := r.opt.Lobby.held()
		full(strconv.Itoa(r.opt.Lobby.maxCalls), "limits.connections", "%d calls of all apps wait already, and there is room for %s (%s), where each leaves some to the others", calls)
	case reasonLobbyBytes:
		_, bytes := r.opt.Lobby.held()
		full(strconv.FormatInt(r.opt.Lobby.maxBytes, 10)+"B", "limits.memory", "%d bytes of calls of all apps wait already, and there is room for %s (%s), where each leaves some to the others", bytes)
	case reasonDraining:
		e.Code, e.RetryAfter = inngest.CodeDraining, 0
		e.Detail += ", and the gateway is going away"
	}
	e.Detail += "."
}

// tooMany refuses a copy of a call of which as many as may wait for one answer do.
// Passed on, it would do the same work a second time.
func (r *Room) tooMany() *Error {
	r.opt.Metrics.Shed.WithLabelValues(r.opt.App, string(inngest.CodeWaitingRoomFull)).Inc()
	limit := strconv.Itoa(maxJoined)
	return &Error{Code: inngest.CodeWaitingRoomFull, Limit: limit, Detail: "The call was repeated, and " + limit +
		" copies of it wait for one answer of the app " + r.opt.App + " already; nothing of this one reached the app."}
}

// waited says how long a call was parked, and why not for longer.
func (r *Room) waited(w *waiter, now time.Time) string {
	parked := spoken(now.Sub(w.first))
	switch {
	case r.patience.limit == 0:
		return "calls are not parked (" + r.opt.Names.Wait + ".max), nothing of this one reached the app"
	case r.opt.Tolerance > 0 && w.deadline.Before(w.began.Add(r.patience.limit)):
		return fmt.Sprintf("the call was parked for %s, for longer the app would not believe its signature; nothing of it reached the app", parked)
	default:
		return fmt.Sprintf("the call was parked for %s (%s.max), nothing of it reached the app", parked, r.opt.Names.Wait)
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
		if w.failure != nil && w.failure.Code == inngest.CodeUpstreamBusy || r.limit.pool.now < r.limit.load.now {
			return &Error{Code: inngest.CodeUpstreamBusy, Detail: fmt.Sprintf(
				"%s has all its connections in use (%s), %d calls run", app, r.opt.Names.Connections, r.running)}
		}
		limit := strconv.Itoa(int(r.limit.now))
		setting := r.opt.Names.Concurrency
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
	p, all := r.pauseOf("")
	what := "The app " + r.opt.App
	if !all {
		p, _ = r.pauseOf(f.name)
		what = "The function " + p.Function + " of the app " + r.opt.App
	}
	e := &Error{Code: inngest.CodePaused, Detail: what + " is paused since " + clock(p.Since)}
	if p.over(now) {
		e.Detail = what + " was paused until " + clock(p.Until) + ", and this call's turn had not come"
	} else if !p.Until.IsZero() {
		e.Detail += " until " + clock(p.Until)
	}
	if !p.Until.IsZero() {
		// All that it kept away would come back at that moment.
		left := max(p.Until.Sub(now), 0)
		e.RetryAfter = left + time.Duration(rand.Float64()*float64(max(left/10, spreadAfter)))
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
