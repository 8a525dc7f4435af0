package functions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// api is Inngest's REST API. Ask makes one request with the real key, and with
// the next one after a 401 or 403, and returns what came. An error means that
// there was no answer, or one that is too large.
type api interface {
	Ask(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error)

	// Read is Ask for a GET whose answer may be large: it is charged to the
	// budget as it arrives.
	Read(ctx context.Context, path string, into *budget.Buffer) (status int, err error)
}

// callee is a backend: a [pool.Upstream].
type callee interface {
	Do(context.Context, *call.Call) (*call.Answer, error)
}

// Options configures a Host.
type Options struct {
	App       string     // id of the app, also the beginning of each function's id
	Version   string     // of the gateway: X-Inngest-Sdk is "gateway:v" and this
	Functions []Function // the first ones, see Host.Swap

	API         api           // checkpoints, and the state of calls that are too large for it; nil: neither
	APITimeout  time.Duration // of one request to it, > 0
	APIAttempts int           // for one checkpoint, > 0
	APIBackoff  time.Duration // before the second attempt, doubled for each further one; >= 0
	Yield       time.Duration // a call begins no further step when it is this old, > 0
	MaxAnswer   int           // bytes of an answer to Inngest, > 0
	MaxState    int           // bytes of a run's events and steps that a call does not carry itself, > 0

	// RetryAfter says when to try again where a backend could not be called;
	// nil: the server decides.
	RetryAfter func(attempt, maxAttempts int) time.Duration

	// Inspection is what the answer to a GET tells beside what the host knows.
	// Where AuthenticationSucceeded is nil, what only Inngest may know is left out.
	Inspection inngest.Introspection

	Budget  *budget.Budget // charged for such state
	Metrics *metrics.Functions
	Log     *slog.Logger
	Now     func() time.Time
}

// A Function is one function of the app.
type Function struct {
	Config     inngest.Function // as it is registered; the host sets the URL of its step
	Driver     run.Driver
	Kind       string   // endpoint, program or conversation: for people
	Backends   []string // where it calls, for people
	Checkpoint bool     // several steps in one call
}

func (o *Options) check() error {
	switch {
	case o.App == "":
		return errors.New("functions: App is missing")
	case o.Version == "":
		return errors.New("functions: Version is missing")
	case o.APITimeout <= 0:
		return fmt.Errorf("functions: APITimeout is %v, must be above 0", o.APITimeout)
	case o.APIAttempts <= 0:
		return fmt.Errorf("functions: APIAttempts is %d, must be above 0", o.APIAttempts)
	case o.APIBackoff < 0:
		return fmt.Errorf("functions: APIBackoff is %v, must not be negative", o.APIBackoff)
	case o.Yield <= 0:
		return fmt.Errorf("functions: Yield is %v, must be above 0", o.Yield)
	case o.MaxAnswer <= 0:
		return fmt.Errorf("functions: MaxAnswer is %d, must be above 0", o.MaxAnswer)
	case o.MaxState <= 0:
		return fmt.Errorf("functions: MaxState is %d, must be above 0", o.MaxState)
	case o.Budget == nil:
		return errors.New("functions: Budget is missing")
	case o.Metrics == nil:
		return errors.New("functions: Metrics is missing")
	case o.Log == nil:
		return errors.New("functions: Log is missing")
	case o.Now == nil:
		return errors.New("functions: Now is missing")
	}
	return nil
}

func (f *Function) check() error {
	switch {
	case f.Config.ID == "":
		return errors.New("a function has no id")
	case f.Driver == nil:
		return fmt.Errorf("function %s has no driver", f.Config.ID)
	}
	return nil
}
