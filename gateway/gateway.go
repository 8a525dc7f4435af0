package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/admin"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/gateway/inbound"
	"github.com/inngest-gateway/inngest-gateway/gateway/outbound"
	"github.com/inngest-gateway/inngest-gateway/logs"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// Options configures a Gateway.
type Options struct {
	Config  *config.Config
	Version string
	LogTo   io.Writer        // where log lines go
	Now     func() time.Time // for signatures; nil: time.Now
}

// A Gateway is one gateway, built from a configuration. It runs once.
type Gateway struct {
	cfg     *config.Config
	version string
	now     func() time.Time
	log     *slog.Logger
	logs    *logs.Handler
	metrics *metrics.Metrics
	budget  *budget.Budget

	// In the order of the diagram: what Inngest calls, what apps call, what
	// operators call.
	environments map[string]*environment
	transport    *http.Transport
	upstreams    []*pool.Upstream // in the order of cfg.Apps
	apps         *apps.Registry
	inbound      *inbound.Server
	outbound     *outbound.Server
	admin        *admin.Server

	listeners listeners
	ready     chan struct{} // closed when all listeners are open
	draining  atomic.Bool

	stopBackground context.CancelFunc // set by Run
	background     sync.WaitGroup
}

// New builds a gateway. It opens and starts nothing, but reads what is kept in
// state_dir. An error names what in the configuration cannot work.
func New(o Options) (*Gateway, error) {
	g := &Gateway{cfg: o.Config, version: o.Version, now: o.Now, ready: make(chan struct{})}
	if g.now == nil {
		g.now = time.Now
	}
	registry := newRegistry()
	g.metrics = metrics.New(registry)
	g.metrics.Lifecycle.Info.WithLabelValues(o.Version, runtime.Version()).Set(1)
	if err := g.build(o.LogTo, registry); err != nil {
		return nil, err
	}
	return g, nil
}

// build makes the parts, each from those before it.
func (g *Gateway) build(logTo io.Writer, registry *prometheus.Registry) (err error) {
	if g.logs, err = g.newLogs(logTo); err != nil {
		return err
	}
	g.log = slog.New(g.logs)
	if g.budget, err = g.newBudget(); err != nil {
		return err
	}
	if g.transport, err = g.newTransport(); err != nil {
		return err
	}
	if g.environments, err = newEnvironments(g.cfg, g.transport); err != nil {
		return err
	}
	if g.apps, err = g.newApps(); err != nil {
		return err
	}
	if g.inbound, err = g.newInbound(); err != nil {
		return err
	}
	if g.outbound, err = g.newOutbound(); err != nil {
		return err
	}
	g.admin, err = g.newAdmin(registry)
	return err
}

// Run opens the listeners, works until ctx ends, and drains. It returns nil
// after a drain in which nothing was cut.
func (g *Gateway) Run(ctx context.Context) error {
	if err := g.listeners.open(g.cfg.Listen); err != nil {
		return errors.Join(err, g.listeners.close(), g.logs.Close())
	}
	g.logs.Start()
	g.warn()
	failed := g.start()
	close(g.ready)
	g.log.Info("gateway runs", "version", g.version, "apps", len(g.cfg.Apps),
		"inngest", g.InngestAddr(), "apps_listener", g.AppsAddr(), "admin", g.AdminAddr())

	var err error
	select {
	case <-ctx.Done():
		g.log.Info("gateway drains", "running_calls", g.inbound.InFlight())
	case err = <-failed:
		g.log.Error("gateway cannot go on", "err", err)
	}
	return errors.Join(err, runPhases(g.stopOrder(), g.log, g.metrics.Lifecycle), g.logs.Close())
}

// warn says aloud what is convenient for development and wrong in production.
func (g *Gateway) warn() {
	if g.cfg.InsecureSkipVerify {
		g.log.Warn("signatures are not verified: anybody who reaches this gateway can run functions", "setting", "insecure_skip_verify")
	}
	if g.cfg.StateDir == "" {
		g.log.Warn("no state_dir: registrations are kept in memory and are gone after a restart")
	}
}

// start starts everything that works in the background. The channel gets what
// ends by itself, which nothing should.
func (g *Gateway) start() <-chan error {
	// The end of the caller's context begins the drain; what works for calls
	// goes on until that is over.
	ctx, stop := context.WithCancel(context.Background())
	g.stopBackground = stop
	failed := make(chan error, len(g.upstreams)+len(g.environments)+4)
	run := func(name string, f func() error) {
		g.background.Go(func() {
			if err := f(); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	for _, u := range g.upstreams {
		run("upstream", func() error { return u.Run(ctx) })
	}
	for _, e := range g.environments {
		run("inngest", func() error { return g.watchInngest(ctx, e) })
	}
	run("apps", func() error { return g.apps.Run(ctx) })
	run("inbound", func() error { return g.inbound.Serve(g.listeners.inngest) })
	run("outbound", func() error { return g.outbound.Serve(g.listeners.apps) })
	run("admin", func() error { return g.admin.Serve(g.listeners.admin) })
	return failed
}

// stopOrder is how the gateway goes away.
func (g *Gateway) stopOrder() []phase {
	const grace = 2 * time.Second // for what should take no time at all
	d := g.cfg.Drain
	return []phase{
		{"unready", d.Delay + grace, g.stopReady},     // balancers look elsewhere
		{"calls", d.Calls + grace, g.stopCalls},       // nobody new comes in, running steps finish
		{"apps", d.Apps + grace, g.outbound.Shutdown}, // after the calls: their steps checkpoint through it
		{"admin", grace, g.admin.Shutdown},
		{"background", grace, g.stopWork},
	}
}

func (g *Gateway) stopReady(ctx context.Context) error {
	g.draining.Store(true)
	select {
	case <-time.After(g.cfg.Drain.Delay):
	case <-ctx.Done():
	}
	return nil
}

// stopCalls waits for running calls as long as drain.calls says, and cuts the
// others: each burns an attempt of its run.
func (g *Gateway) stopCalls(ctx context.Context) error {
	idle, cancel := context.WithTimeout(ctx, g.cfg.Drain.Calls)
	defer cancel()
	g.inbound.Drain()
	if g.inbound.WaitIdle(idle) == nil {
		return g.inbound.Close()
	}
	cut := g.inbound.InFlight()
	g.metrics.Lifecycle.CutCalls.WithLabelValues().Add(float64(cut))
	if err := g.inbound.Close(); err != nil {
		return err
	}
	if cut > 0 {
		return fmt.Errorf("%d running calls were cut after %s (drain.calls); each burns an attempt of its run", cut, g.cfg.Drain.Calls)
	}
	return nil
}

func (g *Gateway) stopWork(context.Context) error {
	g.stopBackground()
	g.background.Wait()
	g.transport.CloseIdleConnections()
	return nil
}

// Ready is closed when the listeners are open.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// InngestAddr returns the address that Inngest calls, AppsAddr that of the apps
// listener and AdminAddr that of the admin listener: host:port or the path of a
// socket. They are known once [Gateway.Ready] is closed.
func (g *Gateway) InngestAddr() string { return g.listeners.inngest.Addr().String() }

// AppsAddr is described at [Gateway.InngestAddr].
func (g *Gateway) AppsAddr() string { return g.listeners.apps.Addr().String() }

// AdminAddr is described at [Gateway.InngestAddr].
func (g *Gateway) AdminAddr() string { return g.listeners.admin.Addr().String() }
