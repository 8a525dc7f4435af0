package metrics

import "github.com/prometheus/client_golang/prometheus"

// Breaker counts what package breaker does.
type Breaker struct {
	State       *prometheus.GaugeVec   // {app,endpoint,state}; breakers in that state: closed, half_open, open
	Transitions *prometheus.CounterVec // {app,endpoint,to}; to: closed, half_open, open
}

// One configured endpoint has one breaker, or one for each address that its
// name resolves to: the addresses are no labels, they come and go.
func newBreaker(reg prometheus.Registerer) *Breaker {
	f := factory{reg, "breaker"}
	return &Breaker{
		State:       f.gauge("endpoints", "Circuit breakers of an endpoint that are in a state: closed, half_open, open.", "app", "endpoint", "state"),
		Transitions: f.counter("transitions_total", "Changes of state of an endpoint's circuit breakers.", "app", "endpoint", "to"),
	}
}
