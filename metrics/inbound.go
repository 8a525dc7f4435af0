package metrics

import "github.com/prometheus/client_golang/prometheus"

// Inbound counts what package gateway/inbound does.
type Inbound struct {
	Requests    *prometheus.CounterVec   // {app,kind,code}; kind: call, probe, sync, introspection, durable, other; code: class of the status
	Duration    *prometheus.HistogramVec // {app,phase}; phase: read, verify, upstream, write, total
	InFlight    *prometheus.GaugeVec     // {app}
	BodyBytes   *prometheus.HistogramVec // {app,direction}; direction: request, answer
	Connections *prometheus.GaugeVec     // {}
	Closed      *prometheus.CounterVec   // {reason}; connections that the gateway ended: head_timeout, slow_body, slow_answer, idle, limit, shutdown
	Refusals    *prometheus.CounterVec   // {app,code}; code: an inngest.Code
	Rejections  *prometheus.CounterVec   // {app,reason}; signatures: missing, malformed, expired, mismatch
	Unverified  *prometheus.CounterVec   // {app}; calls let through because verification is off
	Compressed  *prometheus.CounterVec   // {app,coding}; coding: gzip, br
}

func newInbound(reg prometheus.Registerer) *Inbound {
	f := factory{reg, "inbound"}
	return &Inbound{
		Requests:    f.counter("requests_total", "Requests from Inngest by app, kind and class of the answer's status.", "app", "kind", "code"),
		Duration:    f.histogram("phase_duration_seconds", "Time spent in each phase of a call request.", stepSeconds(), "app", "phase"),
		InFlight:    f.gauge("in_flight_requests", "Requests from Inngest that are not answered yet.", "app"),
		BodyBytes:   f.histogram("body_size_bytes", "Size of bodies.", bodyBytes(), "app", "direction"),
		Connections: f.gauge("open_connections", "Open connections on the listener that Inngest calls."),
		Closed:      f.counter("closed_connections_total", "Connections that the gateway ended before the caller did, by reason.", "reason"),
		Refusals:    f.counter("refusals_total", "Answers that the gateway itself made instead of the app, by code.", "app", "code"),
		Rejections:  f.counter("signature_rejections_total", "Requests whose signature was not believed, by reason.", "app", "reason"),
		Unverified:  f.counter("unverified_requests_total", "Requests let through because verification is switched off.", "app"),
		Compressed:  f.counter("compressed_answers_total", "Answers compressed towards Inngest, by coding.", "app", "coding"),
	}
}
