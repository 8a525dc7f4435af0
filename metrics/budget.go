package metrics

import "github.com/prometheus/client_golang/prometheus"

// Budget counts what package budget does.
type Budget struct {
	Used  *prometheus.GaugeVec   // {listener}; bytes charged now
	Limit *prometheus.GaugeVec   // {listener}; bytes that may be charged
	Waits *prometheus.CounterVec // {listener, outcome}; readers that had to wait: granted, refused
}

func newBudget(reg prometheus.Registerer) *Budget {
	f := factory{reg, "budget"}
	return &Budget{
		Used:  f.gauge("used_bytes", "Bytes of bodies that the gateway holds now.", "listener"),
		Limit: f.gauge("limit_bytes", "Bytes of bodies that the gateway may hold, what limits.memory leaves for them.", "listener"),
		Waits: f.counter("waits_total", "Readers that had to wait for memory, by outcome.", "listener", "outcome"),
	}
}
