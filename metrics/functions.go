package metrics

import "github.com/prometheus/client_golang/prometheus"

// Functions counts what package functions does. The function is the id in the
// configuration.
type Functions struct {
	Calls       *prometheus.CounterVec   // {app,function,outcome}; outcome: complete, steps (there is more to do), failed, stale, cut (ended with the gateway)
	Steps       *prometheus.CounterVec   // {app,function,step,outcome}; step: run, or the server's op: sleep, wait, invoke, signal, fetch, ai, planned, other; outcome: ok, error (is tried again), failed
	StepSeconds *prometheus.HistogramVec // {app,function}; of steps that the gateway ran
	Checkpoints *prometheus.CounterVec   // {app,outcome}; outcome: ok, stale, refused, failed
	Hydrations  *prometheus.CounterVec   // {app,outcome}; outcome: ok, failed
	InFlight    *prometheus.GaugeVec     // {app}
}

func newFunctions(reg prometheus.Registerer) *Functions {
	f := factory{reg, "functions"}
	return &Functions{
		Calls:       f.counter("calls_total", "Calls of functions without an SDK by how they ended.", "app", "function", "outcome"),
		Steps:       f.counter("steps_total", "Steps of functions without an SDK by kind and outcome.", "app", "function", "step", "outcome"),
		StepSeconds: f.histogram("step_duration_seconds", "Time of steps that a backend made.", stepSeconds(), "app", "function"),
		Checkpoints: f.counter("checkpoints_total", "Checkpoints told to Inngest by outcome.", "app", "outcome"),
		Hydrations:  f.counter("hydrations_total", "Reads of what was too large for a call, by outcome.", "app", "outcome"),
		InFlight:    f.gauge("in_flight_calls", "Requests of Inngest that are being answered.", "app"),
	}
}
