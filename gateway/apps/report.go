package apps

import "time"

// way is how functions became known; the label of a metric.
type way string

const (
	wayInBand    way = "in_band"
	wayOutOfBand way = "out_of_band"
	wayHint      way = "hint"
	wayOwn       way = "own"
	wayRetold    way = "retold"
)

const (
	outcomeOK      = "ok"
	outcomeFailed  = "failed"
	outcomeRefused = "refused"
)

// logEvery is how often the same failure of an app is logged: a server repeats
// its PUT every 5 s.
const logEvery = time.Minute

// failure is the last failed sync of an app; the zero failure is none.
type failure struct {
	text    string
	at      time.Time
	logged  time.Time
	leftOut int // since logged
}

func (r *Registry) count(a *app, w way, outcome string) {
	r.opts.Metrics.Syncs.WithLabelValues(a.ID, string(w), outcome).Inc()
}

// report counts and logs the end of a sync.
func (r *Registry) report(a *app, w way, err error) {
	if err == nil {
		r.count(a, w, outcomeOK)
		a.mu.Lock()
		a.failure = failure{}
		m := a.last
		a.mu.Unlock()
		if m != nil {
			r.opts.Log.Info("app synced", "app", a.ID, "way", w, "functions", len(m.register.Functions), "url", m.URL)
		}
		return
	}
	r.count(a, w, outcomeFailed)
	if leftOut, due := a.fail(err); due {
		r.opts.Log.Warn("sync failed", "app", a.ID, "way", w, "err", err, "repeats", leftOut)
	}
}

// fail notes a failure, and tells whether it is to be logged and how many like
// it were not.
func (a *app) fail(err error) (leftOut int, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, now := &a.failure, time.Now()
	if f.text == err.Error() && now.Sub(f.logged) < logEvery {
		f.at = now
		f.leftOut++
		return 0, false
	}
	leftOut = f.leftOut
	a.failure = failure{text: err.Error(), at: now, logged: now}
	return leftOut, true
}
