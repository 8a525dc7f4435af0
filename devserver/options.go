package devserver

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Dialect says how a server learns an app's functions.
type Dialect int

const (
	// Register is the dialect of the recorded self-hosted server: its PUT only
	// wakes the app up, which then posts its functions to /fn/register.
	Register Dialect = iota
	// InBandOnly takes the functions from the signed answer to its PUT and
	// refuses /fn/register.
	InBandOnly
)

// Options configures a Server. What is left zero is as on the recorded server.
type Options struct {
	SigningKey string   // signkey-<env>-<hex>; empty: nothing is signed and no token is asked for
	EventKeys  []string // keys that /e/{key} takes; empty: any
	ServerKind string   // cloud (the recorded one, also if empty) or dev
	Dialect    Dialect
	AppURLs    []string // addresses "from the settings": their PUT is signed and repeated while it fails

	// Fenced makes checkpoints of an old generation a 409. Server 1.43 does it
	// with EXPERIMENTAL_ASYNC_DISPATCH_VALIDATION only; without it they count.
	Fenced bool
	// FenceAfter is how long the old generation may still write. 0: 10 s.
	FenceAfter time.Duration

	// Backoff is the wait before attempt n, from 1, where the app names none.
	Backoff func(attempt int) time.Duration
	// SyncInterval is the time between two PUTs while they fail. 0: 5 s.
	SyncInterval time.Duration
	// SyncTimeout is how long a PUT may take. 0: 10 s.
	SyncTimeout time.Duration
	// CallTimeout is how long a call may take. 0: 2 h.
	CallTimeout time.Duration
	// OutputWait is how long /output waits for a run to end. 0: 5 min.
	OutputWait time.Duration
	// StateLimit is the size in bytes from which a call carries no state and
	// the app reads it from the API (use_api). 0: 4 MiB.
	StateLimit int

	// Keep is how many runs that have ended are remembered, and ten times as
	// many events. 0: 10,000.
	Keep int

	Clock    *Clock // nil: one of its own
	Observer func(StepEvent)
	Log      *slog.Logger // nil: none
}

// Limits of the recorded server.
const (
	defaultFenceAfter   = 10 * time.Second
	defaultSyncInterval = 5 * time.Second
	defaultSyncTimeout  = 10 * time.Second
	defaultCallTimeout  = 2 * time.Hour
	defaultOutputWait   = 5 * time.Minute
	defaultKeep         = 10_000
	defaultStateLimit   = inngest.MaxCallBytes
)

func (o *Options) check() error {
	switch o.ServerKind {
	case "":
		o.ServerKind = "cloud"
	case "cloud", "dev":
	default:
		return fmt.Errorf("devserver: server kind %q, want cloud or dev", o.ServerKind)
	}
	if o.Dialect != Register && o.Dialect != InBandOnly {
		return fmt.Errorf("devserver: dialect %d is not known", o.Dialect)
	}
	if o.Dialect == InBandOnly && o.SigningKey == "" {
		return errors.New("devserver: in-band syncs are signed: they need a signing key")
	}
	for _, u := range o.AppURLs {
		if _, err := url.ParseRequestURI(u); err != nil {
			return fmt.Errorf("devserver: app url: %w", err)
		}
	}
	for name, d := range map[string]time.Duration{
		"fence after": o.FenceAfter, "sync interval": o.SyncInterval, "sync timeout": o.SyncTimeout,
		"call timeout": o.CallTimeout, "output wait": o.OutputWait,
	} {
		if d < 0 {
			return fmt.Errorf("devserver: %s %s is negative", name, d)
		}
	}
	if o.StateLimit < 0 || o.Keep < 0 {
		return fmt.Errorf("devserver: state limit %d or keep %d is negative", o.StateLimit, o.Keep)
	}
	o.fill()
	return nil
}

func (o *Options) fill() {
	orDuration(&o.FenceAfter, defaultFenceAfter)
	orDuration(&o.SyncInterval, defaultSyncInterval)
	orDuration(&o.SyncTimeout, defaultSyncTimeout)
	orDuration(&o.CallTimeout, defaultCallTimeout)
	orDuration(&o.OutputWait, defaultOutputWait)
	if o.StateLimit == 0 {
		o.StateLimit = defaultStateLimit
	}
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
	if o.Clock == nil {
		o.Clock = NewClock()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func orDuration(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

// Backoff is the server's own wait before attempt n (from 1): a step of a
// fixed table plus up to 30 s of jitter.
func Backoff(attempt int) time.Duration {
	table := [...]time.Duration{
		15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, 2 * time.Hour,
	}
	n := min(max(attempt, 1), len(table)) - 1
	return table[n] + time.Duration(rand.Int64N(int64(30*time.Second)))
}
