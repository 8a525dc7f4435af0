package deliver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Client posts batches to the event APIs of the environments. Any number of
// goroutines may use it.
type Client struct {
	o            Options
	environments map[string]*environment
}

// An environment is one Inngest with a breaker of its own.
type environment struct {
	name    string
	base    *url.URL
	breaker *breaker.Breaker
}

// New makes a client. It connects to nothing.
func New(o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Client{o: o, environments: map[string]*environment{}}
	for name, text := range o.Environments {
		base, err := parseBase(text)
		if err != nil {
			return nil, fmt.Errorf("deliver: environment %q: %w", name, err)
		}
		options := o.Breaker
		options.App, options.Endpoint = "events", name
		b, err := breaker.New(options)
		if err != nil {
			return nil, fmt.Errorf("deliver: breaker: %w", err)
		}
		c.environments[name] = &environment{name: name, base: base, breaker: b}
	}
	return c, nil
}

// Up tells whether batches are tried at all: the breaker of the environment is
// closed.
func (c *Client) Up(environment string) bool {
	e := c.environments[environment]
	return e != nil && e.breaker.Closed()
}

// Limit returns how many bytes the body of a batch may have: Options.MaxBytes,
// or less after Inngest has refused that much.
func (c *Client) Limit(d Destination) int { return c.o.MaxBytes }

// Send tries once to bring a batch to Inngest.
func (c *Client) Send(ctx context.Context, b *Batch) Result {
	all := []Range{{0, b.Count}}
	e := c.environments[b.Environment]
	if e == nil {
		return Result{Left: all, Err: fmt.Errorf("environment %q: %w", b.Environment, ErrKeyUnknown)}
	}
	keys, ok := c.o.Keys.EventKeys(b.Environment, b.KeyID)
	if !ok || len(keys) == 0 {
		return Result{Left: all, Err: ErrKeyUnknown}
	}
	ticket, ok := e.breaker.Allow()
	if !ok {
		return Result{Left: all, Err: ErrDown}
	}
	status, message, err := c.post(ctx, e, keys[0], b)
	switch {
	case err != nil:
		ticket.Done(breaker.Failure)
		return Result{Left: all, Err: err}
	case status != http.StatusOK:
		ticket.Done(breaker.Success)
		return Result{Left: all, Err: &StatusError{status, message}}
	}
	ticket.Done(breaker.Success)
	return Result{}
}

func (c *Client) post(ctx context.Context, e *environment, key string, b *Batch) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	h := http.Header{"Content-Type": {"application/json"}, inngest.HeaderEventIDSeed: {b.Seed.String()}}
	req := (&http.Request{
		Method:        http.MethodPost,
		URL:           e.base.JoinPath("e", key),
		Header:        h,
		Body:          io.NopCloser(bytes.NewReader(b.Body)),
		ContentLength: int64(len(b.Body)),
	}).WithContext(ctx)
	a, err := c.o.Transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, c.o.MaxAnswer))
	return a.StatusCode, string(text), err
}

// Backoff is waits between attempts, each about twice as long as the one before.
type Backoff struct {
	Min, Max time.Duration // > 0
}
