package apps

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Waits between two attempts to tell a server what it could not be told.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// app is an App with what the registry knows of it.
type app struct {
	App
	pair       *Pair
	server     *server
	configured *url.URL // where Inngest reaches it; nil: learnt from a signed PUT

	telling chan struct{} // full while a registration is posted: their order is the order at the server
	saved   bool          // last is on disk; belongs to who has telling
	hints   chan hint     // unsigned PUTs for attend
	wanted  chan struct{} // syncs that the gateway wants, for attend
	wake    chan struct{} // due has changed

	mu       sync.Mutex
	learnt   *url.URL  // nil: not yet
	asking   int       // in-band PUTs of the server that the app is being asked for
	numbered uint64    // of the last question or registration
	told     uint64    // number of what last and pending hold
	last     *manifest // the last that the server took
	pending  *manifest // newer, heard while the server could not be reached
	failures int       // attempts to tell pending
	due      time.Time // when to tell again; zero: never
	synced   time.Time // when the server took last
	hinted   time.Time // when the last unsigned PUT counted
	failure  failure
}

// inherit takes over the memory of the same app in a registry that goes away.
func (a *app) inherit(old *app) {
	old.mu.Lock()
	defer old.mu.Unlock()
	a.learnt, a.last, a.pending, a.synced, a.hinted = old.learnt, old.last, old.pending, old.synced, old.hinted
}

// base returns the app's URL for Inngest, nil if it is not known.
func (a *app) base() *url.URL {
	if a.configured != nil {
		return a.configured
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.learnt
}

// learn takes the app's URL from a PUT that can be believed, unless it is known
// already. The result is what the app is told that it is served at: its URL
// with the query of the PUT's, empty if the URL is not known.
func (a *app) learn(body []byte) string {
	var p inngest.SyncRequest
	if json.Unmarshal(body, &p) != nil {
		p.URL = ""
	}
	heard, ok := parseBase(p.URL)
	if ok && a.configured == nil {
		a.mu.Lock()
		if a.learnt == nil {
			a.learnt = heard
		}
		a.mu.Unlock()
	}
	base := a.base()
	if base == nil {
		return ""
	}
	believed := *base
	if u, err := url.Parse(p.URL); ok && err == nil {
		q := u.Query()
		if q.Has("deployId") { // it has its own way to the server
			q.Del("deployId")
			u.RawQuery = q.Encode()
		}
		believed.RawQuery = u.RawQuery
	}
	return believed.String()
}

// number returns a number for a question to the app or a registration of it:
// of two that overtake each other, the higher one is right.
func (a *app) number() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.numbered++
	return a.numbered
}

// askInBand notes that the app is being asked for the answer to an in-band PUT
// of the server, until done is called.
func (a *app) askInBand() (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asking--
	}
}

// askedInBand tells whether what the app registers now is the answer to an
// in-band PUT: the server hears it there and may have no /fn/register.
func (a *app) askedInBand() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asking > 0
}

// superseded tells whether something newer was told.
func (a *app) superseded(number uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return number < a.told
}

// keep notes what the server took, and tells whether it is news.
func (a *app) keep(m *manifest, number uint64, at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.last == nil || !a.last.same(m)
	a.last, a.pending, a.told, a.failures, a.synced = m, nil, number, 0, at
	return news
}

// postpone notes what the server could not be told, and tries again soon.
func (a *app) postpone(m *manifest, number uint64) {
	a.mu.Lock()
	a.pending, a.told = m, number
	wait := lastRetry
	if a.failures < 6 {
		wait = firstRetry << a.failures
	}
	a.failures++
	a.mu.Unlock()
	a.schedule(jitter(wait, 0.8, 1.2))
}

// reject forgets a manifest that the server did not want.
func (a *app) reject(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if number >= a.told {
		a.pending, a.failures = nil, 0
	}
}

// untold returns what there is to tell, nil if nothing, and whether an attempt
// has failed before.
func (a *app) untold() (m *manifest, number uint64, retry bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending != nil {
		return a.pending, a.told, a.failures > 0
	}
	return a.last, a.told, false
}

func (a *app) manifest() *manifest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// schedule sets when to tell again; 0: never.
func (a *app) schedule(wait time.Duration) {
	a.mu.Lock()
	a.due = time.Time{}
	if wait > 0 {
		a.due = time.Now().Add(wait)
	}
	a.mu.Unlock()
	a.nudge()
}

// hasten makes telling due now.
func (a *app) hasten() {
	a.mu.Lock()
	a.due = time.Now()
	a.mu.Unlock()
	a.nudge()
}

func (a *app) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// jitter returns a time between low and high times d.
func jitter(d time.Duration, low, high float64) time.Duration {
	return time.Duration(float64(d) * (low + (high-low)*rand.Float64()))
}
