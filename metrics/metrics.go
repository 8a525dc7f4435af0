// Package metrics holds every instrument of the gateway, with units and bounded
// labels; who measures what is for the packages that are given the structs. A
// label value comes from the configuration or from a closed list, never from a
// request. docs/metrics.md lists them all; a test compares the two.
package metrics

import "github.com/prometheus/client_golang/prometheus"

const namespace = "inngest_gateway"

// Metrics is every instrument of one gateway. Two gateways in one process use
// two registries.
type Metrics struct {
	Inbound   *Inbound
	Admission *Admission
	Pool      *Pool
	Breaker   *Breaker
	Budget    *Budget
	Apps      *Apps
	Functions *Functions
	Outbound  *Outbound
	Lifecycle *Lifecycle
	Events    *Events
	Deliver   *Deliver
}

// New makes all instruments and registers them. It panics when one of them is
// registered already, which only two calls with the same registry can cause.
func New(reg prometheus.Registerer) *Metrics {
	return &Metrics{
		Inbound:   newInbound(reg),
		Admission: newAdmission(reg),
		Pool:      newPool(reg),
		Breaker:   newBreaker(reg),
		Budget:    newBudget(reg),
		Apps:      newApps(reg),
		Functions: newFunctions(reg),
		Outbound:  newOutbound(reg),
		Lifecycle: newLifecycle(reg),
		Events:    newEvents(reg),
		Deliver:   newDeliver(reg),
	}
}

// factory makes instruments of one subsystem and registers each.
type factory struct {
	reg       prometheus.Registerer
	subsystem string
}

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: f.subsystem, Name: name, Help: help}, labels)
	f.reg.MustRegister(v)
	return v
}

func (f factory) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: f.subsystem, Name: name, Help: help}, labels)
	f.reg.MustRegister(v)
	return v
}

func (f factory) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: f.subsystem, Name: name, Help: help, Buckets: buckets}, labels)
	f.reg.MustRegister(v)
	return v
}

// Buckets fit for steps, which take from a millisecond to two hours.
func stepSeconds() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}
}

func bodyBytes() []float64 { return prometheus.ExponentialBuckets(256, 4, 9) }
