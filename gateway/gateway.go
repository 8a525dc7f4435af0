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
	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/gateway/admin"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/gateway/inbound"
	"github.com/inngest-gateway/inngest-gateway/gateway/outbound"
	"github.com/inngest-gateway/inngest-gateway/logs"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// Options configures a Gateway.
type Options struct {
	Config  *config.Config
	Version string
	LogTo   io.Writer        // where log lines go
	Now     func() time.Time // for signatures; nil: time.Now

	// OwnProcess says that the gateway has this process to itself: what the
	// process needs beside bodies is then part of limits.memory.
	OwnProcess bool

	// HeapCeiling is where the memory of a process of its own ends: the garbage
	// collector is told to keep to limits.memory, and to that at most. 0: leave
	// the collector alone.
	HeapCeiling int64
}

// A Gateway is one gateway, built from a configuration. It runs once.
type Gateway struct {
	cfg     *config.Config
	version string
	now     func() time.Time
	log     *slog.Logger
	logs    *logs.Handler
	metrics *metrics.Metrics
	memory  *processMemory // nil: the process is not this gateway's alone

	budget     *budget.Budget // of calls and their answers
	appsBudget *budget.Budget // of what apps send
	lobby      *admission.Lobby

	// In the order of the diagram: what Inngest calls, what apps call, what
	// operators call.
	environments map[string]*environment
	transport    *http.Transport
	upstreams    []upstream                 // those of cfg.Apps first, in their order
	hosted       []*hosted                  // in the order of cfg.FunctionApps
	rooms        map[string]*admission.Room // by app
	apps         *apps.Registry
	eventKeys    *events.Keys
	spool        *spool.Spool // nil: there is no place for one
	sender       *deliver.Client
	drainer      *deliver.Drainer // nil without a spool
	events       *events.Plane
	inbound      *inbound.Server
	outbound     *outbound.Server
	admin        *admin.Server

	listeners listeners
	ran       atomic.Bool
	ready     chan struct{} // closed when all listeners are open
	draining  atomic.Bool   // set before anything is stopped
	spoolOpen atomic.Bool
	pingEvery time.Duration // see [Gateway.watchInngest]; tests shorten it
	forgetful bool          // keeps nothing by intent: not worth a warning
	ceiling   int64         // Options.HeapCeiling

	stopWorkers context.CancelFunc // set by Run
	workers     sync.WaitGroup     // what works in the background
	servers     sync.WaitGroup     // what serves a listener
}

// A LoggedError is why a gateway that ran did not end well. Its log has told it
// already.
type LoggedError struct{ err error }

func (e *LoggedError) Error() string { return e.err.Error() }

func (e *LoggedError) Unwrap() error { return e.err }

// New builds a gateway. It opens and starts nothing, but reads what is kept in
// state_dir. An error names what in the configuration cannot work.
func New(o Options) (*Gateway, error) {
	if o.Config == nil || o.LogTo == nil {
		return nil, errors.New("gateway: Config or LogTo is missing")
	}
	g := &Gateway{cfg: o.Config, version: o.Version, now: o.Now, ceiling: o.HeapCeiling, ready: make(chan struct{}), pingEvery: pingInterval, rooms: map[string]*admission.Room{}}
	if g.now == nil {
		g.now = time.Now
	}
	if o.OwnProcess {
		g.memory = newProcessMemory()
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
	if err := g.newBudgets(); err != nil {
		return err
	}
	g.lobby = g.newLobby()
	if g.transport, err = g.newTransport(); err != nil {
		return err
	}
	if g.environments, err = newEnvironments(g.cfg, g.transport); err != nil {
		return err
	}
	if err = g.newEvents(); err != nil {
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
// after a drain in which nothing was cut. An error of what happened after the
// listeners were open is a [*LoggedError].
func (g *Gateway) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errors.New("gateway: Run is called for the second time")
	}
	if err := g.listeners.open(g.cfg.Listen, g.log); err != nil {
		return errors.Join(err, g.listeners.close(), g.logs.Close())
	}
	g.logs.Start()
	g.warn()
	failed := g.start()
	close(g.ready)
	g.log.Info("gateway runs", "version", g.version, "apps", len(g.cfg.Apps), "function_apps", len(g.hosted),
		"inngest", g.InngestAddr(), "apps_listener", g.AppsAddr(), "admin", g.AdminAddr())

	var err error
	select {
	case <-ctx.Done():
		g.log.Info("gateway drains", "running_calls", g.inbound.InFlight())
	case err = <-failed:
		g.log.Error("gateway cannot go on", "err", err)
	}
	err = errors.Join(err, runPhases(g.stopOrder(), g.log, g.metrics.Lifecycle))
	unwritten := g.logs.Close()
	if err != nil {
		return &LoggedError{errors.Join(err, unwritten)}
	}
	return unwritten
}

// warn says aloud what is convenient for development and wrong in production.
func (g *Gateway) warn() {
	if g.cfg.InsecureSkipVerify {
		g.log.Warn("signatures are not verified: anybody who reaches this gateway can run functions", "setting", "insecure_skip_verify")
	}
	if g.cfg.StateDir == "" && !g.forgetful {
		g.log.Warn("no state_dir: registrations are kept in memory and are gone after a restart; events are refused while Inngest is away")
	}
}

// start starts everything that works in the background. The channel gets what
// ends by itself, which nothing should.
func (g *Gateway) start() <-chan error {
	// The end of the caller's context begins the drain; what works for calls
	// goes on until that is over.
	ctx, stop := context.WithCancel(context.Background())
	g.stopWorkers = stop
	failed := make(chan error, len(g.upstreams)+len(g.environments)+len(g.allRooms())+len(g.hosted)+6)
	run := func(group *sync.WaitGroup, part string, f func() error) {
		group.Go(func() {
			err := f()
			switch {
			case !g.draining.Load() && err == nil:
				failed <- fmt.Errorf("%s: ended by itself", part)
			case !g.draining.Load():
				failed <- fmt.Errorf("%s: %w", part, err)
			case err != nil:
				g.log.Warn("part failed while it was stopped", "part", part, "err", err)
			}
		})
	}
	for _, u := range g.upstreams {
		run(&g.workers, "upstream", func() error { return u.Run(ctx) })
	}
	for _, e := range g.environments {
		run(&g.workers, "inngest", func() error { return g.watchInngest(ctx, e) })
	}
	run(&g.workers, "apps", func() error { return g.apps.Run(ctx) })
	for _, room := range g.allRooms() {
		run(&g.workers, "admission", func() error { return room.Run(ctx) })
	}
	for _, h := range g.hosted {
		run(&g.workers, "functions", func() error { return g.runHosted(ctx, h) })
	}
	run(&g.workers, "events", func() error { return g.events.Run(ctx) })
	if g.memory != nil {
		g.workers.Go(func() { g.watchMemory(ctx, g.ceiling) })
	}
	if g.spool != nil {
		run(&g.workers, "spool", func() error { return g.keepSpool(ctx) })
	}
	run(&g.servers, "listen.inngest", func() error { return g.inbound.Serve(g.listeners.inngest) })
	run(&g.servers, "listen.apps", func() error { return g.outbound.Serve(g.listeners.apps) })
	run(&g.servers, "listen.admin", func() error { return g.admin.Serve(g.listeners.admin) })
	return failed
}

// stopOrder is how the gateway goes away.
func (g *Gateway) stopOrder() []phase {
	const grace = 3 * time.Second // for what should take no time at all
	d := g.cfg.Drain
	return []phase{
		{"unready", d.Delay + grace, g.stopReady},  // balancers look elsewhere
		{"calls", d.Calls + grace, g.stopCalls},    // nobody new comes in, running steps finish
		{"apps", d.Apps + grace, g.stopApps},       // after the calls: their steps checkpoint through it
		{"events", d.Events + grace, g.stopEvents}, // after the apps: what they sent was taken
		{"background", grace, g.stopBackground},
		{"admin", grace, g.stopAdmin}, // last: it tells how far the others are
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

// stopCalls waits for calls as long as drain.calls says: parked ones may get to
// their app yet. Then it turns those away that are still parked, and cuts those
// that run: each burns an attempt of its run.
func (g *Gateway) stopCalls(ctx context.Context) error {
	idle, cancel := context.WithTimeout(ctx, g.cfg.Drain.Calls)
	defer cancel()
	g.inbound.Drain()
	if g.inbound.WaitIdle(idle) == nil {
		return g.inbound.Close()
	}
	for _, room := range g.allRooms() {
		room.Drain()
	}
	shed, cancel := context.WithTimeout(ctx, shedTime)
	defer cancel()
	if g.inbound.WaitIdle(shed) == nil {
		return g.inbound.Close()
	}
	cut := g.inbound.InFlight()
	g.metrics.Lifecycle.CutCalls.WithLabelValues().Add(float64(cut))
	if err := g.inbound.Close(); err != nil {
		return err
	}
	if cut > 0 {
		return fmt.Errorf("running calls were cut after %s (drain.calls): %d; each burns an attempt of its run", g.cfg.Drain.Calls, cut)
	}
	return nil
}

// stopApps waits for requests of apps as long as drain.apps says. Events that
// Inngest has not taken by half of that go to the spool: their senders get an
// answer yet.
func (g *Gateway) stopApps(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Drain.Apps)
	defer cancel()
	defer time.AfterFunc(g.cfg.Drain.Apps/2, g.events.Hurry).Stop()
	err := g.outbound.Shutdown(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("after %s (drain.apps): %w", g.cfg.Drain.Apps, err)
	}
	return errors.Join(err, closeListener(g.listeners.apps))
}

func (g *Gateway) stopBackground(context.Context) error {
	g.stopWorkers()
	g.workers.Wait()
	g.transport.CloseIdleConnections()
	return g.eventKeys.Close()
}

func (g *Gateway) stopAdmin(ctx context.Context) error {
	err := errors.Join(g.admin.Shutdown(ctx), closeListener(g.listeners.admin))
	g.servers.Wait()
	return err
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
