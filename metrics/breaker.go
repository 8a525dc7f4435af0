package metrics

import "github.com/prometheus/client_golang/prometheus"

// Breaker counts what package breaker does.
type Breaker struct {
	State       *prometheus.GaugeVec   // {app,endpoint}; 0 closed, 1 half-open, 2 open
	Transitions *prometheus.CounterVec // {app,endpoint,to}; to: closed, half_open, open
}

func newBreaker(reg prometheus.Registerer) *Breaker {
	f := factory{reg, "breaker"}
	return &Breaker{
		State:       f.gauge("state", "State of an endpoint's circuit breaker: 0 closed, 1 half-open, 2 open.", "app", "endpoint"),
		Transitions: f.counter("transitions_total", "Changes of state of an endpoint's circuit breaker.", "app", "endpoint", "to"),
	}
}
