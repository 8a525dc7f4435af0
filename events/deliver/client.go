package deliver

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
)

// A Client posts batches to the event APIs of the environments. Any number of
// goroutines may use it.
type Client struct {
	o            Options
	environments map[string]*environment
	memory       *memory
	quiet        quiet
}

// An environment is one Inngest with a breaker of its own.
type environment struct {
	name    string
	base    *url.URL
	breaker *breaker.Breaker

	mu        sync.Mutex
	recovered chan struct{} // closed when the breaker closes
}

// New makes a client. It connects to nothing.
func New(o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{o: o, environments: map[string]*environment{}, memory: newMemory(o)}
	for name, text := range o.Environments {
		e, err := c.environment(name, text)
		if err != nil {
			return nil, fmt.Errorf("deliver: environment %q: %w", name, err)
		}
		c.environments[name] = e
	}
	for _, e := range c.environments {
		e.breaker.Enlist()
		o.Metrics.Up.WithLabelValues(e.name).Set(1)
	}
	return c, nil
}

func (c *Client) environment(name, text string) (*environment, error) {
	base, err := parseBase(text)
	if err != nil {
		return nil, err
	}
	e := &environment{name: name, base: base, recovered: make(chan struct{})}
	o := c.o.Breaker
	o.App, o.Endpoint = "", text
	o.OnChange = func(from, to breaker.State) {
		up := 0.0
		if to == breaker.Closed {
			up = 1
			e.recover()
		}
		c.o.Metrics.Up.WithLabelValues(name).Set(up)
		c.o.Log.Warn("event API breaker", "environment", name, "endpoint", text, "from", from.String(), "to", to.String())
	}
	if e.breaker, err = breaker.New(o); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *environment) recover() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.recovered)
	e.recovered = make(chan struct{})
}

// Recovered returns a channel that is closed when the breaker of the
// environment closes the next time: what waits for it may be sent at once. It is
// nil for an environment that is not known.
func (c *Client) Recovered(environment string) <-chan struct{} {
	e := c.environments[environment]
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.recovered
}

// Up tells whether the breaker of the environment is closed. While it is not,
// Send is worth while only for who has nowhere else to put a batch: it may be
// the probe.
func (c *Client) Up(environment string) bool {
	e := c.environments[environment]
	return e != nil && e.breaker.Closed()
}

// Limit returns how many bytes the body of a batch may have: Options.MaxBytes,
// or less after Inngest has refused that much. Send cuts larger ones.
func (c *Client) Limit(d Destination) int { return c.memory.limit(d.account()) }

func (d Destination) account() account { return account{d.Environment, d.KeyID} }

// Close takes the breakers out of the metrics, when another client takes over.
func (c *Client) Close() {
	for _, e := range c.environments {
		e.breaker.Retire()
	}
}

// Status is what a client knows about the other side.
type Status struct {
	Environments []EnvironmentStatus
	Accounts     []AccountStatus
}

// EnvironmentStatus is what is known about one event API.
type EnvironmentStatus struct {
	Name  string
	State breaker.State
	Since time.Time
}

// Status returns what is known now, sorted.
func (c *Client) Status() Status {
	s := Status{Accounts: c.memory.status()}
	for _, e := range c.environments {
		state, since := e.breaker.State()
		s.Environments = append(s.Environments, EnvironmentStatus{e.name, state, since})
	}
	slices.SortFunc(s.Environments, func(x, y EnvironmentStatus) int { return strings.Compare(x.Name, y.Name) })
	return s
}

// Send brings a batch to Inngest, or says what of it is left. It tries once: a
// batch is cut, and sent with other keys, as answers demand, but what could not
// be delivered is for the caller to try again.
func (c *Client) Send(ctx context.Context, b *Batch) Result {
	e := c.environments[b.Environment]
	if e == nil {
		return all(b, 0, fmt.Errorf("environment %q: %w", b.Environment, ErrKeyUnknown))
	}
	keys, ok := c.o.Keys.EventKeys(b.Environment, b.KeyID)
	if !ok || len(keys) == 0 {
		return all(b, 0, ErrKeyUnknown)
	}
	if wait := c.memory.held(b.account()); wait > 0 {
		return all(b, wait, ErrHeld)
	}
	r := round{c: c, e: e, b: b, keys: c.memory.order(b.account(), keys), first: keys[0]}
	r.run(ctx)
	c.count(b, &r.result)
	return r.result
}

// all is the result of a batch that was not tried.
func all(b *Batch, wait time.Duration, err error) Result {
	return Result{Left: []Range{{0, b.Count}}, RetryAfter: wait, Err: err}
}

func (c *Client) count(b *Batch, r *Result) {
	left := 0
	for _, l := range r.Left {
		left += l.To - l.From
	}
	events := c.o.Metrics.Events
	events.WithLabelValues(b.Environment, "left").Add(float64(left))
	events.WithLabelValues(b.Environment, "refused").Add(float64(len(r.Refused)))
	events.WithLabelValues(b.Environment, "taken").Add(float64(b.Count - left - len(r.Refused)))
}

// quietFor is how long a line that would repeat itself is left out.
const quietFor = time.Minute

// quiet leaves out repeats of a line and counts them.
type quiet struct {
	mu   sync.Mutex
	next time.Time
	left int
}

// line tells whether the line is due, and how many were left out before it.
func (q *quiet) line() (left int, due bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); now.Before(q.next) {
		q.left++
		return 0, false
	} else {
		q.next = now.Add(quietFor)
	}
	left, q.left = q.left, 0
	return left, true
}
