package gateway

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// What of the spool is nobody's to choose.
const (
	spoolOpTimeout = 10 * time.Second
	spoolMinFree   = 64 << 20 // bytes of the disk that removing what was delivered can use
	spoolSweep     = 10 * time.Second
	// What a gateway holds of an external spool goes to another one when nothing
	// was heard of it for so long. It is heard of four times in that time, so a
	// gateway or a network has to stand still for seconds before an event goes out
	// twice (with the same id).
	spoolAckWait  = 6 * time.Second
	spoolExtend   = spoolAckWait / 4
	spoolInFlight = 80 // records of one destination handed out at once: small ones are sent together
	// Records of one destination that wait because they get no clear answer while
	// others are taken, and for how long. That is from the time of a blip to that of
	// an operator.
	spoolSetBack    = 1000
	spoolSetBackMin = time.Second
	spoolSetBackMax = 5 * time.Minute
	spoolRetryMin   = 200 * time.Millisecond // between attempts to open it
	spoolRetryMax   = 10 * time.Second
)

// newSpool returns nil where the configuration has no place for a spool.
func newSpool(c *config.Config, now func() time.Time, log *slog.Logger) (*spool.Spool, error) {
	s := c.Events.Spool
	o := spool.Options{
		URL:         s.URL.Reveal(),
		Name:        s.Name,
		Replicas:    s.Replicas,
		MaxBytes:    int64(s.MaxBytes),
		MinFree:     spoolMinFree,
		MaxAge:      s.MaxAge,
		AckWait:     spoolAckWait,
		MaxInFlight: spoolInFlight,
		MaxDelayed:  spoolSetBack,
		OpTimeout:   spoolOpTimeout,
		Sweep:       spoolSweep,
		Now:         now,
		Log:         log,
	}
	if o.URL == "" {
		if c.StateDir == "" {
			return nil, nil
		}
		o.Dir = filepath.Join(c.StateDir, "spool")
	}
	return spool.New(o)
}

// OpenSpool opens the spool of a gateway that does not run, or that of an
// external server, for the commands that work on dead letters. The function
// returned closes it.
func OpenSpool(ctx context.Context, c *config.Config, log *slog.Logger) (*spool.Spool, func(), error) {
	s, err := newSpool(c, time.Now, log)
	switch {
	case err != nil:
		return nil, nil, err
	case s == nil:
		return nil, nil, errors.New("the configuration has no spool: neither state_dir nor events.spool.url is set")
	}
	if err := s.Open(ctx); err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// keepSpool opens the spool, again and again until that works, and serves it
// until ctx ends. Until then events that Inngest does not take are refused: a
// gateway that did not start at all would lose more.
func (g *Gateway) keepSpool(ctx context.Context) error {
	open := ctx
	if g.cfg.Events.Spool.URL.IsZero() {
		// A NATS server that is shut down while it makes a stream leaves
		// goroutines and files behind; it has made it in a moment.
		open = context.WithoutCancel(ctx)
	}
	wait := spoolRetryMin
	for {
		err := g.spool.Open(open)
		if err == nil {
			defer g.spool.Close()
			g.log.Info("spool is open")
			g.spoolOpen.Store(true)
			return g.drainSpool(ctx)
		}
		if ctx.Err() == nil {
			g.log.Error("spool cannot be opened; it is tried again", "err", err, "wait", wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
			wait = min(2*wait, spoolRetryMax)
		}
	}
}

// errSpoolNotOpen is the answer to those who need the spool before it is open.
var errSpoolNotOpen = errors.New("the spool is not open yet; see the log")

// openedSpool is the spool as the event plane sees it. Listeners are open before
// it is: after a kill with a large backlog that may take a while.
type openedSpool struct {
	spool *spool.Spool
	open  *atomic.Bool
}

func (s openedSpool) Append(ctx context.Context, r spool.Record) error {
	if !s.open.Load() {
		return errSpoolNotOpen
	}
	return s.spool.Append(ctx, r)
}

// drainSpool serves the open spool and brings to Inngest what is in it.
func (g *Gateway) drainSpool(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		defer stop()
		drained <- g.drainer.Run(ctx)
	}()
	err := g.spool.Run(ctx)
	stop()
	return errors.Join(err, <-drained)
}
