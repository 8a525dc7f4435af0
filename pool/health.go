package pool

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// newEndpoint makes the endpoint that name configures, at that address.
func (u *Upstream) newEndpoint(name string, a address) (*endpoint, error) {
	host := a.host
	if u.opt.Host != "" {
		host = u.opt.Host
	}
	e := &endpoint{
		up: u, name: name, address: a,
		versionAndHost: " HTTP/1.1\r\nHost: " + host + "\r\n",
		m:              newEndpointMetrics(u.opt.Metrics, u.opt.App, name),
		opened:         make(chan struct{}, 1),
		knocks:         make(chan struct{}),
	}
	o := u.opt.Breaker
	o.App, o.Endpoint, o.OnChange = u.opt.App, name, e.onChange
	var err error
	e.breaker, err = breaker.New(o)
	return e, err
}

// onChange is told what the breaker does now.
func (e *endpoint) onChange(from, to breaker.State) {
	log := e.up.opt.Log.With(slog.String("app", e.up.opt.App), slog.String("endpoint", e.name))
	switch {
	case to == breaker.Open && from == breaker.Closed:
		e.mu.Lock()
		e.downSince = time.Now()
		err := e.lastError
		e.mu.Unlock()
		log.Warn("endpoint is out of use until a probe is good", slog.Any("err", err))
		e.closeIdle(discardClosed)
		select {
		case e.opened <- struct{}{}:
		default:
		}
	case to == breaker.Closed:
		e.mu.Lock()
		down := time.Since(e.downSince)
		e.downSince = time.Time{}
		e.mu.Unlock()
		log.Info("endpoint is back in use", slog.Duration("down", down))
	}
}

// setLastError keeps what went wrong last, for the status and for the log line
// when the breaker opens.
func (e *endpoint) setLastError(err error) {
	if errors.Is(err, errCanceled) {
		return
	}
	e.mu.Lock()
	e.lastError, e.lastAt = err, time.Now()
	e.mu.Unlock()
}

// took notes how long something took that began then.
func (e *endpoint) took(t *Timing, began time.Time) {
	now := time.Now()
	e.mu.Lock()
	*t = Timing{now.Sub(began), now}
	e.mu.Unlock()
}

func (e *endpoint) status() EndpointStatus {
	state, _ := e.breaker.State()
	e.mu.Lock()
	defer e.mu.Unlock()
	return EndpointStatus{
		Endpoint: e.name, Address: e.address.hostPort, State: state, DownSince: e.downSince,
		Calls: int(e.calls.Load()), Connections: len(e.conns), Idle: len(e.idle),
		LastError: e.lastError, LastErrorAt: e.lastAt, Connect: e.connected, Probe: e.probed,
	}
}

// endpointMetrics holds the children of the hot path; looking them up costs
// more than counting.
type endpointMetrics struct {
	all          *metrics.Pool
	app, name    string
	ok           prometheus.Counter
	inFlight     prometheus.Gauge
	active, idle prometheus.Gauge
}

func newEndpointMetrics(m *metrics.Pool, app, name string) *endpointMetrics {
	return &endpointMetrics{
		all: m, app: app, name: name,
		ok:       m.Calls.WithLabelValues(app, name, "ok"),
		inFlight: m.InFlight.WithLabelValues(app, name),
		active:   m.Connections.WithLabelValues(app, name, "active"),
		idle:     m.Connections.WithLabelValues(app, name, "idle"),
	}
}

func (m *endpointMetrics) outcome(code inngest.Code) prometheus.Counter {
	return m.all.Calls.WithLabelValues(m.app, m.name, string(code))
}

func (m *endpointMetrics) dialed(outcome string) {
	m.all.Dials.WithLabelValues(m.app, m.name, outcome).Inc()
}

func (m *endpointMetrics) discarded(reason string) {
	m.all.Discarded.WithLabelValues(m.app, m.name, reason).Inc()
}

func (m *endpointMetrics) probed(outcome string) {
	m.all.Probes.WithLabelValues(m.app, m.name, outcome).Inc()
}
