package inbound

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// Phases of a request, for the metric and the log.
const (
	phaseOfRead = iota
	phaseOfVerify
	phaseOfUpstream
	phaseOfWrite
	phaseOfAll
	phaseCount
)

var phaseNames = [phaseCount]string{"read", "verify", "upstream", "write", "total"}

// routeMetrics are the instruments of one app, looked up once.
type routeMetrics struct {
	inFlight prometheus.Gauge
	requests [kinds][classes]prometheus.Counter
	duration [phaseCount]prometheus.Observer
	request  prometheus.Observer
	answer   prometheus.Observer
}

// classes are those of a status, by its first digit.
const classes = 6

func classOf(digit int) string { return strconv.Itoa(digit) + "xx" }

func (m *routeMetrics) bind(from *metrics.Inbound, app string) {
	m.inFlight = from.InFlight.WithLabelValues(app)
	for k := range m.requests {
		for class := 1; class < classes; class++ {
			m.requests[k][class] = from.Requests.WithLabelValues(app, kind(k).String(), classOf(class))
		}
	}
	for i, name := range phaseNames {
		m.duration[i] = from.Duration.WithLabelValues(app, name)
	}
	m.request = from.BodyBytes.WithLabelValues(app, "request")
	m.answer = from.BodyBytes.WithLabelValues(app, "answer")
}

// account counts and logs a request that is over.
func (x *exchange) account(writeErr error) {
	s := x.server
	s.inFlight.Add(-1)
	o := outcome{x: x, writeErr: writeErr, phases: x.phases(time.Now())}
	o.answerBytes = int64(len(x.answer.Body)) + x.stream.bytes
	app, requests := "", &s.nowhere
	if x.route != nil {
		app, requests = x.route.App, &x.route.metrics.requests[x.kind]
	}
	requests[min(max(x.answer.Status/100, 1), classes-1)].Inc()
	if x.counted {
		m := &x.route.metrics
		m.inFlight.Dec()
		m.request.Observe(float64(len(x.call.Body)))
		m.answer.Observe(float64(o.answerBytes))
		for i, d := range o.phases {
			if d > 0 {
				m.duration[i].Observe(d.Seconds())
			}
		}
	}
	if code := string(x.answer.Code); code != "" {
		s.opts.Metrics.Refusals.WithLabelValues(app, code).Inc()
		if reason, ok := strings.CutPrefix(code, "signature_"); ok {
			s.opts.Metrics.Rejections.WithLabelValues(app, reason).Inc()
		}
	}
	s.logger.line(&o)
}

// phases returns the time that each phase took, 0 for one that was not reached.
func (x *exchange) phases(end time.Time) (p [phaseCount]time.Duration) {
	last := x.received
	for i, t := range [...]time.Time{phaseOfRead: x.read, phaseOfVerify: x.verified, phaseOfUpstream: x.answered} {
		if !t.IsZero() {
			p[i], last = t.Sub(last), t
		}
	}
	p[phaseOfWrite] = end.Sub(x.handed)
	p[phaseOfAll] = end.Sub(x.received)
	return p
}
