package metrics

import "github.com/prometheus/client_golang/prometheus"

// Outbound counts what package gateway/outbound does.
type Outbound struct {
	Requests  *prometheus.CounterVec   // {route,code}; route: a closed list such as event, register, checkpoint; code: class of the status
	Duration  *prometheus.HistogramVec // {route}; to the head of the answer
	InFlight  *prometheus.GaugeVec     // {}
	Fallbacks *prometheus.CounterVec   // {}; requests repeated with the fallback key
	Upgrades  *prometheus.GaugeVec     // {}; WebSockets open now
	Errors    *prometheus.CounterVec   // {code}; answers that the gateway itself made
}

func newOutbound(reg prometheus.Registerer) *Outbound {
	f := factory{reg, "outbound"}
	return &Outbound{
		Requests:  f.counter("requests_total", "Requests of apps to Inngest by route and class of the answer's status.", "route", "code"),
		Duration:  f.histogram("answer_head_seconds", "Time until Inngest sent the head of its answer.", stepSeconds(), "route"),
		InFlight:  f.gauge("in_flight_requests", "Requests of apps that are not answered yet."),
		Fallbacks: f.counter("fallback_key_requests_total", "Requests repeated with the fallback key after a 401 or 403."),
		Upgrades:  f.gauge("open_websockets", "WebSockets between apps and Inngest that are open now."),
		Errors:    f.counter("errors_total", "Answers to apps that the gateway itself made, by code.", "code"),
	}
}
