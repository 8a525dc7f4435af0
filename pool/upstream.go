package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An Upstream is an app: endpoints that serve the same.
type Upstream struct {
	opt           Options
	tls           *tls.Config
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
	answerTimeout time.Duration
	vanishAfter   time.Duration
	start         time.Time // of the upstream's clock
	headSeconds   prometheus.Observer
	answers       sync.Pool // *answer

	fixed   []*endpoint
	sources []*source

	live atomic.Pointer[[]*endpoint] // what calls choose from; written with mu held

	mu      sync.Mutex
	leaving []*endpoint // retired ones that still have calls
}

// New builds an upstream. It dials nothing and starts nothing; see
// [Upstream.Run].
func New(o Options) (*Upstream, error) {
	u, err := newUpstream(o)
	if err != nil {
		return nil, fmt.Errorf("upstream of app %q: %w", o.App, err)
	}
	return u, nil
}

func newUpstream(o Options) (*Upstream, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	u := &Upstream{
		opt: o, tls: clientTLS(o.TLS), dial: o.Dial, answerTimeout: o.AnswerTimeout, vanishAfter: vanishAfter, start: time.Now(),
		headSeconds: o.Metrics.Duration.WithLabelValues(o.App),
	}
	if u.dial == nil {
		u.dial = dialer().DialContext
	}
	if u.answerTimeout == 0 {
		u.answerTimeout = longestStep
	}
	for _, text := range o.Endpoints {
		a, err := parseAddress(text)
		switch {
		case err != nil:
			return nil, err
		case a.lookup && o.ResolveInterval <= 0:
			return nil, fmt.Errorf("ResolveInterval is %v, must be above 0 for %s", o.ResolveInterval, text)
		case a.lookup:
			u.sources = append(u.sources, newSource(u, text, a))
			continue
		}
		e, err := u.newEndpoint(text, a)
		if err != nil {
			return nil, err
		}
		u.fixed = append(u.fixed, e)
	}
	u.publish()
	return u, nil
}

// publish makes the present endpoints those that calls choose from.
func (u *Upstream) publish() {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := append([]*endpoint(nil), u.fixed...)
	for _, s := range u.sources {
		all = append(all, s.endpoints()...)
	}
	u.live.Store(&all)
}

// now is the time on the upstream's clock.
func (u *Upstream) now() int64 { return int64(time.Since(u.start)) }

func (u *Upstream) observeHead(began int64) {
	u.headSeconds.Observe(time.Duration(u.now() - began).Seconds())
}

// lifetime of a new connection.
func (u *Upstream) lifetime() int64 {
	life := int64(u.opt.MaxLifetime)
	return life - rand.Int64N(life/10+1)
}

// Do makes a call. The error is an *[Error]. Nothing of the call may be changed
// until the answer is released.
//
// A call goes to a second endpoint or connection only when nothing of it has
// reached the app. With Options.ResendAfterReset it is also sent again, once,
// when the connection broke before a byte of the answer came: the app may then
// run it twice.
func (u *Upstream) Do(ctx context.Context, cl *call.Call) (*call.Answer, error) {
	if err := checkCall(cl); err != nil {
		return nil, &Error{Code: inngest.CodeInternal, Err: err}
	}
	if cl.Timeout > 0 && cl.WholeAnswer {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cl.Timeout, ErrTimeout)
		defer cancel()
	}
	var last *Error
	var refused []*endpoint // that could not be reached
	for resent := false; ; {
		e, ticket := u.choose(refused)
		if e == nil {
			if last == nil {
				last = u.unusable()
			}
			return nil, last
		}
		a, err := e.take(ctx, ticket, cl)
		if err == nil {
			return &a.Answer, nil
		}
		last = err
		switch {
		case errors.Is(err, errCanceled):
			return nil, canceled(ctx, err)
		case err.Code == inngest.CodeUpstreamRefused:
			refused = append(refused, e)
			continue
		case err.Code != inngest.CodeUpstreamReset || cl.NoResend || resent:
			return nil, err
		case !err.Sent:
			u.opt.Metrics.Resends.WithLabelValues(u.opt.App, "unsent").Inc()
		case u.opt.ResendAfterReset && !err.answered:
			u.opt.Metrics.Resends.WithLabelValues(u.opt.App, "reset").Inc()
		default:
			return nil, err
		}
		resent = true
	}
}

// canceled tells why the context of a call ended.
func canceled(ctx context.Context, err *Error) *Error {
	err.Err = fmt.Errorf("%w: %w", errCanceled, context.Cause(ctx))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err.Code = inngest.CodeUpstreamTimeout
	}
	return err
}

// unusable is the error of a call for which no endpoint is left.
func (u *Upstream) unusable() *Error {
	eps := *u.live.Load()
	if len(eps) == 0 {
		return &Error{
			Code: inngest.CodeUpstreamRefused, Endpoint: strings.Join(u.opt.Endpoints, ", "),
			Err: errors.New("no address is known"),
		}
	}
	err := &Error{Code: inngest.CodeUpstreamOpen, Err: errors.New("every endpoint is out of use until a probe is good")}
	for _, e := range eps {
		if since := e.status().DownSince; since.After(err.Since) {
			err.Since = since
		}
	}
	if len(eps) == 1 {
		err.Endpoint = eps[0].name
	}
	u.opt.Metrics.Calls.WithLabelValues(u.opt.App, err.Endpoint, string(err.Code)).Inc()
	return err
}

// choose returns the less busy of two endpoints taken at random, among those
// whose breaker lets calls pass and that are not in not; nil if there is none.
func (u *Upstream) choose(not []*endpoint) (*endpoint, breaker.Ticket) {
	eps := *u.live.Load()
	if n := len(eps); n > 2 {
		i := rand.IntN(n)
		j := (i + 1 + rand.IntN(n-1)) % n
		a, b := eps[i], eps[j]
		if b.calls.Load() < a.calls.Load() {
			a = b
		}
		if a.calls.Load() < int64(u.opt.MaxConns) && !slices.Contains(not, a) {
			if ticket, ok := a.breaker.Allow(); ok {
				return a, ticket
			}
		}
	}
	return u.leastBusy(eps, not)
}

// leastBusy looks at all endpoints, beginning anywhere.
func (u *Upstream) leastBusy(eps, not []*endpoint) (best *endpoint, ticket breaker.Ticket) {
	from := 0
	if len(eps) > 1 {
		from = rand.IntN(len(eps))
	}
	for i := range eps {
		e := eps[(from+i)%len(eps)]
		if best != nil && e.calls.Load() >= best.calls.Load() || slices.Contains(not, e) {
			continue
		}
		if t, ok := e.breaker.Allow(); ok {
			best, ticket = e, t
		}
	}
	return best, ticket
}

// Usable tells whether some endpoint takes calls.
func (u *Upstream) Usable() bool {
	for _, e := range *u.live.Load() {
		if e.breaker.Closed() {
			return true
		}
	}
	return false
}

// An EndpointStatus is what is known about one address.
type EndpointStatus struct {
	Endpoint    string // as configured
	Address     string // what is connected to
	State       breaker.State
	DownSince   time.Time // when its breaker opened; zero while calls pass
	Calls       int       // in flight
	Connections int
	Idle        int
	LastError   error // the last one, nil if there was none
	LastErrorAt time.Time
	Connect     Timing // the last connection that was opened
	Probe       Timing // the last good probe
}

// A Timing is how long something took, and when that was.
type Timing struct {
	Took time.Duration
	At   time.Time // its end; zero: never yet
}

// Status tells about every address, in the order of Options.Endpoints.
func (u *Upstream) Status() []EndpointStatus {
	eps := *u.live.Load()
	all := make([]EndpointStatus, len(eps))
	for i, e := range eps {
		all[i] = e.status()
	}
	return all
}
