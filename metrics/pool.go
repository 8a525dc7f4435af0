package metrics

import "github.com/prometheus/client_golang/prometheus"

// Pool counts what package pool does. The endpoint is the configured one, also
// where its name has several addresses.
type Pool struct {
	Calls       *prometheus.CounterVec   // {app,endpoint,outcome}; outcome: ok, or the inngest.Code of what went wrong; endpoint is empty where none was tried
	Duration    *prometheus.HistogramVec // {app}; from the first byte sent to the head of the answer
	InFlight    *prometheus.GaugeVec     // {app,endpoint}
	Connections *prometheus.GaugeVec     // {app,endpoint,state}; state: active, idle
	Dials       *prometheus.CounterVec   // {app,endpoint,outcome}; outcome: ok, refused, timeout
	Discarded   *prometheus.CounterVec   // {app,endpoint,reason}; connections not used again: idle, lifetime, closed_by_app, leaving (nobody listens any more), unasked_bytes, framing, broken
	Resends     *prometheus.CounterVec   // {app,reason}; calls sent again; reason: unsent (nothing had reached the app), reset
	Probes      *prometheus.CounterVec   // {app,endpoint,outcome}; outcome: good, bad
}

func newPool(reg prometheus.Registerer) *Pool {
	f := factory{reg, "pool"}
	return &Pool{
		Calls:       f.counter("calls_total", "Exchanges with an endpoint by outcome.", "app", "endpoint", "outcome"),
		Duration:    f.histogram("answer_head_seconds", "Time from the first byte sent to the head of the answer.", stepSeconds(), "app"),
		InFlight:    f.gauge("in_flight_calls", "Calls that wait for an endpoint's answer.", "app", "endpoint"),
		Connections: f.gauge("connections", "Connections to an endpoint by state.", "app", "endpoint", "state"),
		Dials:       f.counter("dials_total", "Connections opened to an endpoint by outcome.", "app", "endpoint", "outcome"),
		Discarded:   f.counter("discarded_connections_total", "Connections that are not used again, by reason.", "app", "endpoint", "reason"),
		Resends:     f.counter("resends_total", "Calls sent again, by reason.", "app", "reason"),
		Probes:      f.counter("probes_total", "The gateway's own probes of an endpoint by outcome.", "app", "endpoint", "outcome"),
	}
}
