package gateway

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/gateway/admin"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/gateway/outbound"
	"github.com/inngest-gateway/inngest-gateway/logs"
)

// newRegistry returns a registry of this gateway alone, with what Go and the
// operating system tell of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (g *Gateway) newLogs(to io.Writer) (*logs.Handler, error) {
	c := g.cfg.Log
	return logs.New(logs.Options{
		Writer:  to,
		Format:  logs.Format(c.Format),
		Level:   c.Level,
		Buffer:  c.Buffer,
		Dropped: g.metrics.Lifecycle.LogDropped.WithLabelValues(),
	})
}

// newTransport makes the connections to Inngest, through the proxy that the
// usual variables name.
func (g *Gateway) newTransport() (*http.Transport, error) {
	c := g.cfg.Outbound
	return outbound.NewTransport(outbound.TransportOptions{
		DialTimeout:     c.DialTimeout,
		IdleConnections: c.IdleConnections,
		IdleTimeout:     c.IdleTimeout,
		MaxHead:         int64(g.cfg.Limits.Head),
		Proxy:           http.ProxyFromEnvironment,
	})
}

func (g *Gateway) newAdmin(registry prometheus.Gatherer) (*admin.Server, error) {
	return admin.New(admin.Options{
		Ready:    g.checks,
		Status:   func() any { return g.status() },
		Control:  g.controls(),
		Gatherer: registry,
		Pprof:    g.cfg.Admin.Pprof,
		Token:    g.cfg.Admin.Token.Reveal(),
		Log:      g.log,
	})
}

// controls are what the admin listener does for those who may.
func (g *Gateway) controls() map[string]func(context.Context, []byte) (any, error) {
	all := admission.Controls(g.rooms, g.apps.Functions)
	maps.Copy(all, g.letterControls())
	return all
}

// checks are what readiness looks at. An app or a server that is away is told
// and no more: balancers that took the gateway out for it would make things
// worse.
func (g *Gateway) checks() []admin.Check {
	list := []admin.Check{{Name: "drain", OK: !g.draining.Load(), Required: true}}
	if g.draining.Load() {
		list[0].Reason = "the gateway is going away"
	}
	for _, u := range g.upstreams {
		check := admin.Check{Name: "app " + u.app, OK: u.Usable()}
		switch room := g.rooms[u.app]; {
		case !check.OK:
			check.Reason = "no endpoint is usable; see /status"
		case room != nil && room.Status().State == admission.StateClosed:
			check.OK, check.Reason = false, "it took no call lately; calls wait; see /status"
		}
		list = append(list, check)
	}
	if g.spool != nil {
		// In mode durable no event is taken before it is open.
		check := admin.Check{Name: "spool", OK: g.spoolOpen.Load(), Required: g.cfg.Events.Spool.Mode == config.SpoolDurable}
		if !check.OK {
			check.Reason = "not open yet; see the log"
		}
		list = append(list, check)
	}
	for _, e := range g.sortedEnvironments() {
		check := admin.Check{Name: "inngest", OK: true}
		if e.name != "" {
			check.Name += " " + e.name
		}
		if reach := e.client.Reach(); !reach.Reachable() {
			check.OK, check.Reason = false, away(reach)
		}
		list = append(list, check)
	}
	return list
}

// away says since when Inngest cannot be reached, and why.
func away(r outbound.Reach) string {
	if r.Reached.IsZero() {
		return fmt.Sprintf("no answer yet; last try at %s: %v", stamp(r.Failed), r.Err)
	}
	return fmt.Sprintf("no answer since %s; last try at %s: %v", stamp(r.Reached), stamp(r.Failed), r.Err)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (g *Gateway) sortedEnvironments() []*environment {
	var list []*environment
	for _, name := range slices.Sorted(maps.Keys(g.environments)) {
		list = append(list, g.environments[name])
	}
	return list
}

// status is the state of everything, for people and pages.
type status struct {
	Version      string             `json:"version"`
	Go           string             `json:"go"`
	Draining     bool               `json:"draining"`
	InFlight     int                `json:"in_flight_calls"`
	Inngest      []inngestServer    `json:"inngest"`
	Apps         []apps.Status      `json:"apps"`
	Endpoints    []endpoint         `json:"endpoints"`
	FunctionApps []functions.Status `json:"function_apps,omitempty"`
	Waiting      []admission.Status `json:"waiting"`
	Events       eventStatus        `json:"events"`
	Memory       memory             `json:"memory"`
}

// inngestServer is an Inngest environment.
type inngestServer struct {
	Environment string    `json:"environment,omitempty"` // empty: that of apps that name none
	URL         string    `json:"url"`
	Reachable   bool      `json:"reachable"`
	AnsweredAt  time.Time `json:"answered_at,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

type endpoint struct {
	App         string    `json:"app"`
	Endpoint    string    `json:"endpoint"`
	Address     string    `json:"address"`
	Breaker     string    `json:"breaker"`
	DownSince   time.Time `json:"down_since,omitzero"`
	Calls       int       `json:"calls"`
	Connections int       `json:"connections"`
	Idle        int       `json:"idle"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

type memory struct {
	BodyBytes int64  `json:"body_bytes"` // held by bodies now
	HeapBytes uint64 `json:"heap_bytes"`
}

func (g *Gateway) status() status {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := status{
		Version:  g.version,
		Go:       runtime.Version(),
		Draining: g.draining.Load(),
		InFlight: g.inbound.InFlight(),
		Apps:     g.apps.Status(),
		Memory:   memory{g.budget.Used(), m.HeapAlloc},
		Events:   g.eventStatus(),
	}
	for _, e := range g.sortedEnvironments() {
		r := e.client.Reach()
		one := inngestServer{Environment: e.name, URL: e.APIURL, Reachable: r.Reachable(), AnsweredAt: r.Reached, LastErrorAt: r.Failed}
		if r.Err != nil {
			one.LastError = r.Err.Error()
		}
		s.Inngest = append(s.Inngest, one)
	}
	for _, room := range g.allRooms() {
		s.Waiting = append(s.Waiting, room.Status())
	}
	for _, h := range g.hosted {
		s.FunctionApps = append(s.FunctionApps, h.host.Status())
	}
	for _, u := range g.upstreams {
		for _, e := range u.Status() {
			one := endpoint{
				App: u.app, Endpoint: e.Endpoint, Address: e.Address, Breaker: e.State.String(),
				DownSince: e.DownSince, Calls: e.Calls, Connections: e.Connections, Idle: e.Idle, LastErrorAt: e.LastErrorAt,
			}
			if e.LastError != nil {
				one.LastError = e.LastError.Error()
			}
			s.Endpoints = append(s.Endpoints, one)
		}
	}
	return s
}
