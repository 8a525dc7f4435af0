package metrics

import "github.com/prometheus/client_golang/prometheus"

// Deliver counts what package events/deliver does. Environments come from the
// configuration; branches and keys do not, so they are no labels.
type Deliver struct {
	Posts      *prometheus.CounterVec   // {environment,outcome}; outcome: taken, partial, refused, too_large, key_refused, throttled, unavailable, unreachable, unreadable
	Duration   *prometheus.HistogramVec // {environment}; of one POST to the end of its answer
	Events     *prometheus.CounterVec   // {environment,outcome}; outcome: taken, refused, left
	Fallbacks  *prometheus.CounterVec   // {environment}; POSTs taken with another key than the first
	Mismatches *prometheus.CounterVec   // {environment}; answers with other ids than the seed gives
	Up         *prometheus.GaugeVec     // {environment}; 1 while the breaker is closed

	Drained     *prometheus.CounterVec // {environment}; events that left the spool for Inngest
	SetBack     *prometheus.CounterVec // {environment}; records
	Doubtful    *prometheus.GaugeVec   // {}; events of records that are set back
	DeadLetters *prometheus.CounterVec // {reason}; events; reason: refused, too_old, unreadable
	Backlog     *prometheus.GaugeVec   // {}; records
	Waiting     *prometheus.GaugeVec   // {}; events
	Bytes       *prometheus.GaugeVec   // {}
	Oldest      *prometheus.GaugeVec   // {}; seconds since the oldest record came in
	Kept        *prometheus.GaugeVec   // {}; dead letters
	Rate        *prometheus.GaugeVec   // {}; events a second, over the last look
	Incidents   *prometheus.CounterVec // {incident}; incident: damaged_file, damaged_record, damaged_stream, leftover, too_old, restart
}

func newDeliver(reg prometheus.Registerer) *Deliver {
	f := factory{reg, "deliver"}
	return &Deliver{
		Posts:      f.counter("posts_total", "POSTs of events to Inngest by outcome.", "environment", "outcome"),
		Duration:   f.histogram("post_seconds", "Time of one POST of events to the end of its answer.", deliverSeconds(), "environment"),
		Events:     f.counter("events_total", "Events of batches that were tried, by what became of them.", "environment", "outcome"),
		Fallbacks:  f.counter("fallback_key_posts_total", "POSTs of events that were taken with another than the first key.", "environment"),
		Mismatches: f.counter("id_mismatches_total", "Answers with other event ids than the seed gives: callers were told wrong ones.", "environment"),
		Up:         f.gauge("up", "1 while batches are tried at the environment's event API, 0 while its breaker is not closed.", "environment"),

		Drained:     f.counter("drained_events_total", "Events of the spool that Inngest took.", "environment"),
		SetBack:     f.counter("set_back_records_total", "Batches of the spool that were set back because they got no clear answer while others were taken.", "environment"),
		Doubtful:    f.gauge("set_back_events", "Events that get no clear answer while others are taken, and wait for their next try."),
		DeadLetters: f.counter("dead_letter_events_total", "Events that became dead letters, by reason.", "reason"),
		Backlog:     f.gauge("backlog_records", "Batches in the spool."),
		Waiting:     f.gauge("backlog_events", "Events in the spool."),
		Bytes:       f.gauge("backlog_bytes", "Bytes of batches in the spool, as stored."),
		Oldest:      f.gauge("backlog_oldest_seconds", "Age of the oldest batch in the spool, 0 without one."),
		Kept:        f.gauge("dead_letters", "Dead letters in the spool."),
		Rate:        f.gauge("drained_events_per_second", "Events of the spool that Inngest took, each second since the last look."),
		Incidents:   f.counter("spool_incidents_total", "What went wrong in the spool and was put right: damage set aside, leftovers of a crash removed, records too old, restarts of its store.", "incident"),
	}
}

func deliverSeconds() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}
