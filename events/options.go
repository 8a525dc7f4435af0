package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/events/schema"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// A Mode says when a caller has its answer.
type Mode string

// The modes.
const (
	ModeHybrid  Mode = "hybrid"  // when Inngest has the events or, failing that, when they are on disk
	ModeDurable Mode = "durable" // when they are on disk
	ModeNone    Mode = "none"    // when Inngest has them; there is no spool
)

// A Trace says what becomes of the trace headers of requests.
type Trace string

// The treatments of trace headers.
const (
	TraceBatch Trace = "batch" // kept where all requests of a batch have the same ones
	TraceKeep  Trace = "keep"  // always kept: requests with different ones are not batched together
	TraceDrop  Trace = "drop"  // none are sent
)

// sender brings a batch to Inngest; deliver.Client does.
type sender interface {
	Send(ctx context.Context, b *deliver.Batch) deliver.Result
	Up(environment string) bool
	Limit(d deliver.Destination) int
}

// spooler keeps a batch on disk; spool.Spool does.
type spooler interface {
	Append(ctx context.Context, r spool.Record) error
}

// Options configures a Plane.
type Options struct {
	Environments []string // the names that a Request may have, at least one
	Mode         Mode
	Sender       sender
	Spool        spooler // nil with ModeNone
	Keys         *Keys

	Limits  intake.Limits
	Schemas *schema.Set // nil: none

	MaxEvents int           // of a batch, > 0; a request is never cut, so a larger one is a batch of its own
	MaxBytes  int           // of a batch, > 0; likewise
	MaxWait   time.Duration // longest wait of an event for others, >= 0
	InFlight  int           // batches of one destination on their way at once, > 0
	Patience  time.Duration // a batch that waited this long for its turn goes to the spool, > 0
	MaxMemory int64         // bytes of events that are not answered yet, > 0
	Trace     Trace

	GiveUp     time.Duration // ModeNone: how long a batch is tried, > 0
	BackoffMin time.Duration // ModeNone: between two tries, > 0; it doubles with each
	BackoffMax time.Duration // ModeNone: >= BackoffMin

	SeedDir    string        // where callers' own seeds outlive the process; empty: nowhere
	SeedWindow time.Duration // how long they are remembered, > 0
	MaxSeeds   int           // how many at most, > 0

	DedupeWindow time.Duration // how long events' ids are remembered; 0: not at all
	MaxIDs       int           // how many at most, > 0

	Rate  int // events a second of one key; 0: no bound
	Burst int // events that one key may send at once; > 0 with Rate

	Now     func() time.Time // what ids and remembered seeds are dated with
	Metrics *metrics.Events
	Log     *slog.Logger
}

func (o *Options) check() error {
	if err := o.checkParts(); err != nil {
		return err
	}
	for name, n := range map[string]int64{
		"MaxEvents": int64(o.MaxEvents), "MaxBytes": int64(o.MaxBytes), "InFlight": int64(o.InFlight),
		"Patience": int64(o.Patience), "MaxMemory": o.MaxMemory,
		"SeedWindow": int64(o.SeedWindow), "MaxSeeds": int64(o.MaxSeeds), "MaxIDs": int64(o.MaxIDs),
	} {
		if n <= 0 {
			return fmt.Errorf("events: %s is %d, must be above 0", name, n)
		}
	}
	switch {
	case o.MaxWait < 0:
		return fmt.Errorf("events: MaxWait is %v, must not be below 0", o.MaxWait)
	case o.DedupeWindow < 0:
		return fmt.Errorf("events: DedupeWindow is %v, must not be below 0", o.DedupeWindow)
	case o.Mode == ModeNone && (o.GiveUp <= 0 || o.BackoffMin <= 0 || o.BackoffMax < o.BackoffMin):
		return fmt.Errorf("events: GiveUp %v and the back-off from %v to %v must be above 0", o.GiveUp, o.BackoffMin, o.BackoffMax)
	case o.Rate < 0 || o.Rate > 0 && o.Burst <= 0:
		return fmt.Errorf("events: Rate is %d and Burst %d, must be above 0, or Rate 0", o.Rate, o.Burst)
	}
	return nil
}

func (o *Options) checkParts() error {
	switch o.Mode {
	case ModeHybrid, ModeDurable:
		if o.Spool == nil {
			return fmt.Errorf("events: Mode is %q, Spool is missing", o.Mode)
		}
	case ModeNone:
		if o.Spool != nil {
			return errors.New("events: a Spool, but Mode is none")
		}
	default:
		return fmt.Errorf("events: Mode is %q", o.Mode)
	}
	switch {
	case len(o.Environments) == 0:
		return errors.New("events: Environments is empty")
	case o.Sender == nil:
		return errors.New("events: Sender is missing")
	case o.Keys == nil:
		return errors.New("events: Keys is missing")
	case o.Trace != TraceBatch && o.Trace != TraceKeep && o.Trace != TraceDrop:
		return fmt.Errorf("events: Trace is %q", o.Trace)
	case o.Now == nil:
		return errors.New("events: Now is missing")
	case o.Metrics == nil:
		return errors.New("events: Metrics is missing")
	case o.Log == nil:
		return errors.New("events: Log is missing")
	}
	return nil
}
