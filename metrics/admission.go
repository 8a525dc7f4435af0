package metrics

import "github.com/prometheus/client_golang/prometheus"

// Admission counts what package gateway/admission does.
type Admission struct {
	Parked       *prometheus.GaugeVec     // {app}; calls in the waiting room
	ParkedBytes  *prometheus.GaugeVec     // {app}
	Wait         *prometheus.HistogramVec // {app,outcome}; time in the waiting room; outcome: released, shed, gone
	Released     *prometheus.CounterVec   // {app,cause}; why they had been parked: down, limit, paused
	Shed         *prometheus.CounterVec   // {app,code}; code: an inngest.Code
	AttemptsLeft *prometheus.HistogramVec // {app}; of the calls that were shed
	Returned     *prometheus.CounterVec   // {app,code}; calls that came back to the waiting room because nothing of them had reached the app
	Running      *prometheus.GaugeVec     // {app}; calls that the app has now, as of the last second
	Limit        *prometheus.GaugeVec     // {app}; calls that it may have at once
	LimitChanges *prometheus.CounterVec   // {app,change}; change: up, down
	WaitLimit    *prometheus.GaugeVec     // {app}; how long calls are parked, learnt or set
	Paused       *prometheus.GaugeVec     // {app}; pauses in force, of the app or a function
	Joins        *prometheus.CounterVec   // {app}; duplicates that waited for the answer of the first
	Replays      *prometheus.CounterVec   // {app}; calls that got the answer that an earlier one's caller did not get
	Kept         *prometheus.GaugeVec     // {app}; bytes of answers that are kept for a replay
}

func newAdmission(reg prometheus.Registerer) *Admission {
	f := factory{reg, "admission"}
	waits := []float64{.05, .25, 1, 2.5, 5, 10, 20, 30, 50, 80, 120, 240, 600, 1800, 3600}
	return &Admission{
		Parked:       f.gauge("parked_calls", "Calls in the waiting room.", "app"),
		ParkedBytes:  f.gauge("parked_bytes", "Bytes of the calls in the waiting room.", "app"),
		Wait:         f.histogram("parked_seconds", "Time that calls were in the waiting room, by how that ended.", waits, "app", "outcome"),
		Released:     f.counter("released_calls_total", "Calls that left the waiting room for the app, by why they had been parked.", "app", "cause"),
		Shed:         f.counter("shed_calls_total", "Calls that could not be parked, or no longer, by code; each costs an attempt.", "app", "code"),
		AttemptsLeft: f.histogram("shed_call_attempts_left", "Attempts that calls had left when they were shed.", []float64{0, 1, 2, 3, 4, 5, 10, 20}, "app"),
		Returned:     f.counter("returned_calls_total", "Calls that came back to the waiting room because nothing of them had reached the app, by code.", "app", "code"),
		Running:      f.gauge("running_calls", "Calls that the app has, as of the last second.", "app"),
		Limit:        f.gauge("limit_calls", "Calls that the app may have at once.", "app"),
		LimitChanges: f.counter("limit_changes_total", "Changes of the limit of calls at once, by direction.", "app", "change"),
		WaitLimit:    f.gauge("wait_limit_seconds", "How long calls are parked at most, learnt or configured.", "app"),
		Paused:       f.gauge("pauses", "Pauses in force, of the app or one of its functions.", "app"),
		Joins:        f.counter("joined_calls_total", "Duplicates that got the answer of the call they repeat, without reaching the app.", "app"),
		Replays:      f.counter("replayed_answers_total", "Calls that got an answer which an earlier call had not delivered, without reaching the app.", "app"),
		Kept:         f.gauge("kept_bytes", "Bytes of undelivered answers that are kept.", "app"),
	}
}
