package inbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// Options configures a Server.
type Options struct {
	MaxHead        int            // bytes of a request's head, > 0
	MaxURI         int            // bytes of a request target, > 0
	MaxBody        int64          // bytes of a request's body, > 0
	MaxAnswer      int64          // bytes of an answer that is held whole, inflated, > 0
	MaxConnections int            // open at once, > 0
	MinBodyRate    int64          // bytes a second that an unverified body must bring, > 0
	HeadTimeout    time.Duration  // for a head to arrive, > 0
	IdleTimeout    time.Duration  // of a connection between requests, > 0
	WriteTimeout   time.Duration  // for one write of an answer to make progress, > 0
	CompressFrom   int            // bytes from which answers are compressed; 0: none is
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-* is believed
	LogEvery       int            // one of so many good calls is logged; failures always are; > 0
	Budget         *budget.Budget // bodies are charged to it
	Metrics        *metrics.Inbound
	Log            *slog.Logger
}

func (o *Options) check() error {
	switch {
	case o.MaxHead <= 0, o.MaxURI <= 0, o.MaxBody <= 0, o.MaxAnswer <= 0, o.MaxConnections <= 0, o.MinBodyRate <= 0:
		return errors.New("MaxHead, MaxURI, MaxBody, MaxAnswer, MaxConnections and MinBodyRate must be above 0")
	case o.HeadTimeout <= 0, o.IdleTimeout <= 0, o.WriteTimeout <= 0:
		return errors.New("HeadTimeout, IdleTimeout and WriteTimeout must be above 0")
	case o.CompressFrom < 0 || o.LogEvery <= 0:
		return errors.New("CompressFrom must not be below 0, LogEvery must be above 0")
	case o.Budget == nil || o.Metrics == nil || o.Log == nil:
		return errors.New("Budget, Metrics or Log is missing")
	}
	return nil
}

// A Server is the listener that Inngest calls.
type Server struct {
	opts   Options
	table  atomic.Pointer[Table]
	logger *callLog

	conns     registry
	open      sync.WaitGroup // connections
	inFlight  atomic.Int64   // requests whose head was read
	clock     atomic.Int64   // milliseconds since start, moved by the sweeper
	blocks    blocks
	exchanges sync.Pool
	coders    coders
	nowhere   [classes]prometheus.Counter // requests on no app's path

	tick       time.Duration // of the sweeper; tests shorten it
	bodyWindow time.Duration

	draining atomic.Bool
	mu       sync.Mutex
	listener *listener               // nil before Serve
	cut      context.CancelCauseFunc // ends the calls that still run
	stopped  bool                    // Close was called
	done     chan struct{}           // closed when Serve has returned
}

// New builds a server without routes: until the first [Server.Swap] every path
// is unknown.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("inbound: %w", err)
	}
	s := &Server{opts: o, tick: sweepTick, bodyWindow: bodyWindow, done: make(chan struct{})}
	s.blocks.max = max(o.MaxHead, smallBlock)
	s.logger = &callLog{log: o.Log, every: uint64(o.LogEvery)}
	for class := 1; class < classes; class++ {
		s.nowhere[class] = o.Metrics.Requests.WithLabelValues("", kindOther.String(), classOf(class))
	}
	s.table.Store(&Table{})
	return s, nil
}

// Swap makes a table the one of all requests whose head is read from now on.
func (s *Server) Swap(t *Table) {
	for _, r := range t.exact {
		if r.metrics.inFlight == nil { // a table may come back
			r.metrics.bind(s.opts.Metrics, r.App)
		}
	}
	s.table.Store(t)
}

// errDrained ends the calls that outlived the drain.
var errDrained = errors.New("the gateway is going away")

// Serve accepts connections from ln, which it closes, and returns after the
// last of them has ended: after [Server.Drain] or [Server.Close]. It is called
// once.
func (s *Server) Serve(ln net.Listener) error {
	// A call goes on when its caller hangs up: what the app began it should
	// end. Only Close cuts calls.
	calls, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	s.mu.Lock()
	if s.listener != nil {
		s.mu.Unlock()
		return errors.New("inbound: Serve is called for the second time")
	}
	s.listener = &listener{Listener: ln, server: s}
	s.cut = cut
	if s.stopped {
		ln.Close()
	}
	s.mu.Unlock()
	defer close(s.done)
	deferAccept(ln, true)
	if s.draining.Load() {
		s.listener.drain()
	}

	stop := make(chan struct{})
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.sweep(stop) })
	err := s.front(calls).Serve(s.listener)
	ln.Close()
	s.open.Wait()
	close(stop)
	sweeper.Wait()
	if err != nil {
		return fmt.Errorf("inbound: accept on %s: %w", ln.Addr(), err)
	}
	return nil
}

// Drain stops accepting: what waits to be accepted still is, then the listener
// is closed. Idle connections are closed, the others after the answer that they
// wait for.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.mu.Lock()
	ln := s.listener
	s.mu.Unlock()
	if ln != nil {
		ln.drain()
		s.conns.each(s.look)
	}
}

// WaitIdle waits until no connection is left after [Server.Drain].
func (s *Server) WaitIdle(ctx context.Context) error {
	s.mu.Lock()
	serving := s.listener != nil
	s.mu.Unlock()
	if !serving {
		return nil
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("inbound: %d requests still run: %w", s.InFlight(), context.Cause(ctx))
	}
}

// InFlight returns the number of requests that are not answered yet.
func (s *Server) InFlight() int { return int(s.inFlight.Load()) }

// closeGrace is how long Close lets cut calls be answered.
const closeGrace = time.Second

// Close ends everything: running calls are cut and answered with a refusal,
// then connections are closed. It may be called before Serve, and twice.
func (s *Server) Close() error {
	s.Drain()
	s.mu.Lock()
	s.stopped = true
	ln, cut := s.listener, s.cut
	s.mu.Unlock()
	if ln == nil {
		return nil
	}
	ln.Close()
	cut(errDrained)
	for range 2 {
		select {
		case <-s.done:
			return nil
		case <-time.After(closeGrace):
		}
		s.conns.each(func(c *conn) { s.end(c, c.phase.Load(), "shutdown") })
	}
	return fmt.Errorf("inbound: %d requests do not end", s.InFlight())
}
