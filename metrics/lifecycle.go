package metrics

import "github.com/prometheus/client_golang/prometheus"

// Lifecycle tells how the process came up and goes down.
type Lifecycle struct {
	PhaseSeconds *prometheus.GaugeVec   // {phase}; how long each phase of the last start or stop took
	CutCalls     *prometheus.CounterVec // {}; running calls that a drain ended: each burns one attempt
	LogDropped   *prometheus.CounterVec // {}; log lines dropped because the buffer was full
	Info         *prometheus.GaugeVec   // {version,goversion}; always 1
}

func newLifecycle(reg prometheus.Registerer) *Lifecycle {
	f := factory{reg, "process"}
	return &Lifecycle{
		PhaseSeconds: f.gauge("phase_seconds", "How long each phase of the last start or stop took.", "phase"),
		CutCalls:     f.counter("cut_calls_total", "Running calls that a drain ended; each burns one attempt."),
		LogDropped:   f.counter("dropped_log_lines_total", "Log lines dropped because the buffer was full."),
		Info:         f.gauge("build_info", "Version of the gateway; always 1.", "version", "goversion"),
	}
}
