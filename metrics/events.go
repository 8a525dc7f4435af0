package metrics

import "github.com/prometheus/client_golang/prometheus"

// Events counts what package events does. Environments and names of events with
// a schema come from the configuration; branches and keys do not, so they are no
// labels.
type Events struct {
	Requests   *prometheus.CounterVec // {environment,outcome}; outcome: taken, spooled, repeated, invalid, refused, limited, unavailable
	Received   *prometheus.CounterVec // {environment}; events that were read and are valid
	Invalid    *prometheus.CounterVec // {rule}; requests; rule: those of events/intake, and schema
	Violations *prometheus.CounterVec // {event}; events taken although they violate a schema (mode warn)
	Refused    *prometheus.CounterVec // {environment}; events that Inngest refused
	Stored     *prometheus.CounterVec // {environment}; events that went to the spool

	Batches     *prometheus.CounterVec   // {environment}
	BatchEvents *prometheus.HistogramVec // {environment}
	BatchWait   *prometheus.HistogramVec // {environment}; from the first event to the start of delivery

	Memory      *prometheus.GaugeVec // {}; bytes
	MemoryLimit *prometheus.GaugeVec // {}; bytes

	Repeats        *prometheus.CounterVec // {by}; events; by: seed, id
	Seeds          *prometheus.GaugeVec   // {}; requests with a seed of their own that are remembered
	ForgottenSeeds *prometheus.CounterVec // {}; before their time
	SeedErrors     *prometheus.CounterVec // {}; writes
	IDs            *prometheus.GaugeVec   // {}; events that are remembered by their sender's id
	ForgottenIDs   *prometheus.CounterVec // {}; before their time
}

func newEvents(reg prometheus.Registerer) *Events {
	f := factory{reg, "events"}
	return &Events{
		Requests:   f.counter("requests_total", "Requests to the event API by what became of them.", "environment", "outcome"),
		Received:   f.counter("received_total", "Valid events that apps sent, repeated ones too.", "environment"),
		Invalid:    f.counter("invalid_requests_total", "Requests of events that were refused, by the rule that they break.", "rule"),
		Violations: f.counter("schema_violations_total", "Events that violate a schema of mode warn and were taken.", "event"),
		Refused:    f.counter("refused_total", "Events that Inngest refused while their sender waited.", "environment"),
		Stored:     f.counter("stored_total", "Events that went to the spool.", "environment"),

		Batches:     f.counter("batches_total", "Batches of events.", "environment"),
		BatchEvents: f.histogram("batch_size_events", "Events in a batch.", []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000}, "environment"),
		BatchWait:   f.histogram("batch_wait_seconds", "Time from the first event of a batch to the start of its delivery.", []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5}, "environment"),

		Memory:      f.gauge("held_bytes", "Bytes of events that have no outcome yet."),
		MemoryLimit: f.gauge("held_limit_bytes", "Bytes of events that may be held (events.memory)."),

		Repeats:        f.counter("repeated_total", "Events that were answered from what was remembered and not sent again, by what they were known by.", "by"),
		Seeds:          f.gauge("remembered_seeds", "Requests with an event id seed of their own whose ids are remembered."),
		ForgottenSeeds: f.counter("forgotten_seeds_total", "Requests whose ids had to be forgotten before their time."),
		SeedErrors:     f.counter("seed_write_errors_total", "Failed writes of callers' event id seeds to the state folder."),
		IDs:            f.gauge("remembered_ids", "Events that are remembered by their sender's id."),
		ForgottenIDs:   f.counter("forgotten_ids_total", "Events whose ids had to be forgotten before their time."),
	}
}
