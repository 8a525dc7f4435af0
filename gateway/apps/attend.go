package apps

import (
	"context"
	"time"
)

// hintEvery is the least time between two syncs that unsigned PUTs cause.
const hintEvery = 10 * time.Second

// A hint is an unsigned PUT that counts.
type hint struct{ done chan struct{} } // closed when its sync has ended

// hint asks for a sync, unless there was one a moment ago.
func (a *app) hint() (hint, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hinted.IsZero() && time.Since(a.hinted) < hintEvery {
		return hint{}, false
	}
	h := hint{make(chan struct{})}
	select {
	case a.hints <- h:
		a.hinted = time.Now()
		return h, true
	default: // the last one has not begun yet
		return hint{}, false
	}
}

// NotifyRecovered tells the registry that Inngest can be reached again. What
// it may have forgotten is told at once.
func (r *Registry) NotifyRecovered() {
	for _, a := range r.apps {
		a.hasten()
	}
}

// Sync has an app synced soon with what the configuration says and nothing else,
// and again, with growing waits, until its server has heard. It is for apps that
// the gateway itself serves: it knows when they change.
func (r *Registry) Sync(id string) {
	for _, a := range r.apps {
		if a.ID == id {
			select {
			case a.wanted <- struct{}{}:
			default: // one that has not begun is as good
			}
		}
	}
}

// attend does for one app what nobody waits for, until ctx ends.
func (r *Registry) attend(ctx context.Context, a *app) {
	var again <-chan time.Time // a wanted sync that failed
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-a.wanted:
			again, failures = r.syncWanted(ctx, a, 0)
		case <-again:
			again, failures = r.syncWanted(ctx, a, failures)
		case h := <-a.hints:
			r.report(a, wayHint, r.syncSelf(ctx, a))
			close(h.done)
		case <-a.whenDue():
			r.retell(ctx, a)
		}
	}
}

// syncWanted makes a sync that the gateway wants and, where it fails for a reason
// that nobody else looks after, returns when to make it again.
func (r *Registry) syncWanted(ctx context.Context, a *app, failures int) (<-chan time.Time, int) {
	if a.base() == nil {
		return nil, 0 // the server's own PUT brings one
	}
	err := r.syncSelf(ctx, a)
	r.report(a, wayOwn, err)
	if err == nil || a.isPending() {
		return nil, 0
	}
	wait := min(firstRetry<<min(failures, 10), lastRetry)
	return time.After(jitter(wait, 0.9, 1.1)), failures + 1
}

// isPending tells whether there is something that Run tells the server as soon
// as that can be reached.
func (a *app) isPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending != nil
}

// whenDue returns a channel that delivers when there is something to tell.
func (a *app) whenDue() <-chan time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.due.IsZero() {
		return nil
	}
	return time.After(time.Until(a.due))
}

// syncSelf syncs the app with what the configuration says and nothing else.
func (r *Registry) syncSelf(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	s, err := r.askSelf(ctx, a)
	if err != nil {
		return err
	}
	if s.manifest == nil {
		return s.err() // if it is good, its own registration came meanwhile
	}
	return r.tellSelf(ctx, a, s.manifest, s.number)
}

func (r *Registry) askSelf(ctx context.Context, a *app) (*asked, error) {
	base := a.base()
	if base == nil {
		return nil, errNoPublicURL()
	}
	return r.ask(ctx, a, question{believed: base.String()})
}

func (r *Registry) tellSelf(ctx context.Context, a *app, m *manifest, number uint64) error {
	v, err := r.tell(ctx, a, telling{manifest: m, number: number})
	if err != nil {
		return err
	}
	return v.err()
}

// retell tells the server again what the app registered last: a server that
// lost its memory has the app's crons back. The app is asked first, so that a
// replica that missed a sync does not tell the server what was true before it;
// an app that does not answer is told of as it was.
func (r *Registry) retell(ctx context.Context, a *app) {
	a.schedule(jitter(r.opts.Retell, 0.9, 1.1))
	m, number, retry := a.untold()
	if m == nil || a.server.dialect == DialectInBand {
		return
	}
	if !retry {
		ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
		defer cancel()
		switch s, err := r.askSelf(ctx, a); {
		case err == nil && s.manifest != nil:
			m, number = s.manifest, s.number
		case err == nil && s.ok():
			return // its own registration did it
		default:
			m, number, _ = a.untold() // it may have tried to register itself
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	r.report(a, wayRetold, r.tellSelf(ctx, a, m, number))
}
