package admission

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// Status is the state of a room, for people and pages.
type Status struct {
	App         string           `json:"app"`
	State       string           `json:"state"` // open, ramp, closed, paused, draining
	Since       time.Time        `json:"since,omitzero"`
	Running     int              `json:"running_calls"`
	Limit       int              `json:"limit_calls"`
	Parked      int              `json:"parked_calls"`
	ParkedBytes int64            `json:"parked_bytes"`
	WaitSeconds float64          `json:"wait_limit_seconds"`
	WaitLearnt  bool             `json:"wait_limit_learnt"`                      // from callers; else it is the first, or pinned
	Cut         float64          `json:"caller_gave_up_after_seconds,omitempty"` // and is not known to have waited for longer since
	KeptBytes   int64            `json:"kept_answer_bytes,omitempty"`
	Pauses      []Pause          `json:"pauses,omitempty"`
	Functions   []FunctionStatus `json:"functions,omitempty"` // those with calls
}

// StateClosed is the Status.State of a room whose app takes no calls.
const StateClosed = "closed"

// FunctionStatus tells about one function of the app.
type FunctionStatus struct {
	Function string `json:"function"`
	Running  int    `json:"running_calls"`
	Parked   int    `json:"parked_calls"`
	Paused   bool   `json:"paused,omitempty"`
}

// Status tells what the room does now.
func (r *Room) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expirePauses()
	s := Status{
		App: r.opt.App, State: "open", Since: r.gate.since,
		Running: r.running, Limit: int(r.limit.now), Parked: r.parked, ParkedBytes: r.bytes,
		WaitSeconds: r.patience.limit.Seconds(), WaitLearnt: r.patience.learnt(), Cut: r.patience.cut.Seconds(),
		KeptBytes: r.guard.bytes, Pauses: slices.Clone(r.pauses),
	}
	switch {
	case r.draining:
		s.State = "draining"
	case r.paused:
		s.State = "paused"
	case r.gate.closed:
		s.State = StateClosed
	case r.gate.ramp > 0:
		s.State = "ramp"
	}
	for _, f := range r.functions {
		if f.running+f.parked > 0 || f.paused {
			s.Functions = append(s.Functions, FunctionStatus{f.name, f.running, f.parked, f.paused})
		}
	}
	slices.SortFunc(s.Functions, func(a, b FunctionStatus) int { return strings.Compare(a.Function, b.Function) })
	return s
}

// instruments are those of one app, looked up once.
type instruments struct {
	parked, bytes, running, limit, waitLimit, paused, kept prometheus.Gauge
	waitReleased, attemptsLeft                             prometheus.Observer
	released                                               [causes]prometheus.Counter
	joins, replays                                         prometheus.Counter
}

func bind(m *metrics.Admission, app string) instruments {
	i := instruments{
		parked: m.Parked.WithLabelValues(app), bytes: m.ParkedBytes.WithLabelValues(app),
		running: m.Running.WithLabelValues(app), limit: m.Limit.WithLabelValues(app),
		waitLimit: m.WaitLimit.WithLabelValues(app), paused: m.Paused.WithLabelValues(app), kept: m.Kept.WithLabelValues(app),
		waitReleased: m.Wait.WithLabelValues(app, "released"), attemptsLeft: m.AttemptsLeft.WithLabelValues(app),
		joins: m.Joins.WithLabelValues(app), replays: m.Replays.WithLabelValues(app),
	}
	for c := range causes {
		i.released[c] = m.Released.WithLabelValues(app, c.String())
	}
	return i
}

// gauge shows what changes with every call only once a second.
func (r *Room) gauge() {
	r.m.running.Set(float64(r.running))
	r.m.limit.Set(float64(int(r.limit.now)))
	r.m.waitLimit.Set(r.patience.limit.Seconds())
	r.m.paused.Set(float64(len(r.pauses)))
}
