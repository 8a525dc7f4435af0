package breaker

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// State is what a breaker does with calls.
type State uint8

// The states, see the package's comment.
const (
	Closed State = iota
	HalfOpen
	Open
)

// String returns the word that labels and pages show.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case HalfOpen:
		return "half_open"
	default:
		return "open"
	}
}

// Outcome is the verdict on a call or probe.
type Outcome uint8

// A call that its caller gave up, or that found no free connection, says
// nothing about the endpoint: Ignored.
const (
	Success Outcome = iota
	Failure
	Ignored
)

// Options configures a Breaker.
type Options struct {
	App      string // for metrics
	Endpoint string // for metrics

	ConsecutiveFailures int           // failures in a row that open it, >= 0; 0: not counted
	FailureRatio        float64       // share of failed calls that opens it, from 0 to 1; 0: not counted
	MinCalls            int           // calls in Window before the share counts, > 0
	Window              time.Duration // how far back calls count, >= 10 ms
	OpenFor             time.Duration // how long nothing passes, > 0
	HalfOpenProbes      int           // good probes in a row that close it, > 0
	ProbeTimeout        time.Duration // after it a probe without a verdict was a bad one, > 0

	// OnChange is told each change of state, in order and without locks held;
	// may be nil.
	OnChange func(from, to State)
	Metrics  *metrics.Breaker
}

func (o *Options) check() error {
	switch {
	case o.ConsecutiveFailures < 0:
		return fmt.Errorf("ConsecutiveFailures is %d, must not be below 0", o.ConsecutiveFailures)
	case !(o.FailureRatio >= 0 && o.FailureRatio <= 1):
		return fmt.Errorf("FailureRatio is %v, must be from 0 to 1", o.FailureRatio)
	case o.ConsecutiveFailures == 0 && o.FailureRatio == 0:
		return errors.New("ConsecutiveFailures and FailureRatio are both 0: it would never open")
	case o.MinCalls <= 0:
		return fmt.Errorf("MinCalls is %d, must be above 0", o.MinCalls)
	case o.Window < buckets*time.Millisecond:
		return fmt.Errorf("Window is %v, must be at least %v", o.Window, buckets*time.Millisecond)
	case o.OpenFor <= 0:
		return fmt.Errorf("OpenFor is %v, must be above 0", o.OpenFor)
	case o.HalfOpenProbes <= 0:
		return fmt.Errorf("HalfOpenProbes is %d, must be above 0", o.HalfOpenProbes)
	case o.ProbeTimeout <= 0:
		return fmt.Errorf("ProbeTimeout is %v, must be above 0", o.ProbeTimeout)
	case o.Metrics == nil:
		return errors.New("Metrics is missing")
	}
	return nil
}

// buckets is how many parts of the window expire one after another.
const buckets = 10

// A Breaker decides whether an endpoint gets calls.
type Breaker struct {
	opt Options

	// epoch counts the states since New: it is even while closed, so that
	// Allow is one atomic load. It changes under mu only.
	epoch atomic.Uint64

	mu      sync.Mutex
	counter *gobreaker.CircuitBreaker[struct{}]
	since   time.Time // of the present state
	inRow   int       // failures since the last success, however long ago they were
	probe   *Probe    // the one that has no verdict yet
	listed  bool      // in the metrics
	changed []change  // to be told once mu is released
	telling bool
}

type change struct{ from, to State }

// New returns a closed breaker.
func New(o Options) (*Breaker, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("breaker of %s: %w", o.Endpoint, err)
	}
	b := &Breaker{opt: o, since: time.Now()}
	b.counter = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         o.Endpoint,
		MaxRequests:  uint32(o.HalfOpenProbes),
		Interval:     o.Window,
		BucketPeriod: o.Window / buckets,
		// The counter is still open at the very end of Timeout.
		Timeout:       max(o.OpenFor-1, 1),
		ReadyToTrip:   b.mustOpen,
		OnStateChange: b.onChange,
	})
	return b, nil
}

func (b *Breaker) mustOpen(c gobreaker.Counts) bool {
	if limit := b.opt.ConsecutiveFailures; limit > 0 && b.inRow >= limit {
		return true
	}
	return b.opt.FailureRatio > 0 && c.Requests >= uint32(b.opt.MinCalls) &&
		float64(c.TotalFailures) >= b.opt.FailureRatio*float64(c.Requests)
}

// A Ticket is the permission for one call.
type Ticket struct {
	breaker *Breaker
	epoch   uint64
}

// Allow says whether a call may go to the endpoint. If so, its verdict must be
// told by Done.
func (b *Breaker) Allow() (Ticket, bool) {
	epoch := b.epoch.Load()
	return Ticket{b, epoch}, epoch%2 == 0
}

// Done tells the verdict on the call.
func (t Ticket) Done(o Outcome) {
	b := t.breaker
	if o == Ignored || b.epoch.Load() != t.epoch {
		return
	}
	b.mu.Lock()
	if b.epoch.Load() == t.epoch {
		b.count(o)
	}
	b.unlock()
}

// count gives the counter a verdict of now.
func (b *Breaker) count(o Outcome) {
	verdict := succeeded
	b.inRow++
	if o == Failure {
		verdict = failed
	} else {
		b.inRow = 0
	}
	_, _ = b.counter.Execute(verdict) // the error is the verdict itself
}

var errFailed = errors.New("failed")

func succeeded() (struct{}, error) { return struct{}{}, nil }
func failed() (struct{}, error)    { return struct{}{}, errFailed }

// A Probe is the permission for one probe.
type Probe struct {
	breaker *Breaker
	epoch   uint64
	timer   *time.Timer
}

// AllowProbe says whether the endpoint may be probed now: the breaker is
// half-open and no other probe is on its way. The verdict is told by Done; a
// probe that tells none within ProbeTimeout was a bad one.
func (b *Breaker) AllowProbe() (*Probe, bool) {
	b.mu.Lock()
	defer b.unlock()
	if b.state() != HalfOpen || b.probe != nil {
		return nil, false
	}
	p := &Probe{breaker: b, epoch: b.epoch.Load()}
	p.timer = time.AfterFunc(b.opt.ProbeTimeout, func() { p.Done(Failure) })
	b.probe = p
	return p, true
}

// Done tells the verdict on the probe; only the first one counts. Ignored frees
// the slot for the next probe.
func (p *Probe) Done(o Outcome) {
	b := p.breaker
	b.mu.Lock()
	defer b.unlock()
	p.timer.Stop()
	if b.probe != p {
		return
	}
	b.probe = nil
	if o != Ignored && b.epoch.Load() == p.epoch {
		b.count(o)
	}
}

// State returns the present state and since when it is that.
func (b *Breaker) State() (State, time.Time) {
	b.mu.Lock()
	defer b.unlock()
	return b.state(), b.since
}

// Closed tells whether calls pass.
func (b *Breaker) Closed() bool { return b.epoch.Load()%2 == 0 }

// Enlist shows the breaker's state in the metrics, until Retire.
func (b *Breaker) Enlist() { b.list(true) }

// Retire takes the breaker out of the metrics, when its endpoint is gone.
func (b *Breaker) Retire() { b.list(false) }

func (b *Breaker) list(listed bool) {
	b.mu.Lock()
	defer b.unlock()
	state := b.state()
	switch {
	case listed && !b.listed:
		b.gauge(state).Inc()
	case !listed && b.listed:
		b.gauge(state).Dec()
	}
	b.listed = listed
}

// state asks the counter, which notices here that OpenFor has passed.
func (b *Breaker) state() State { return stateOf(b.counter.State()) }

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateClosed:
		return Closed
	case gobreaker.StateHalfOpen:
		return HalfOpen
	default:
		return Open
	}
}
