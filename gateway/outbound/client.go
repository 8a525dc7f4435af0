package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// ClientOptions configures a Client.
type ClientOptions struct {
	APIURL    string
	Keys      *Keys             // shared with the Server
	Transport http.RoundTripper // shared with the Server
	Branch    string            // X-Inngest-Env for registrations that have none; may be empty
	MaxAnswer int64             // bytes of an answer that is taken, > 0
	Timeout   time.Duration     // for one request, with all keys together, > 0
}

// A Client makes the gateway's own requests to one Inngest environment: the
// registrations of package gateway/apps, which knows it as its registrar, and
// what hosted functions ask.
type Client struct {
	opts ClientOptions
	api  *url.URL

	mu    sync.Mutex
	reach Reach
}

// Reach is what a Client knows about whether Inngest can be reached. Any
// answer counts as reached, a refusal too.
type Reach struct {
	Reached time.Time // of the last answer; zero: none yet
	Failed  time.Time // when the last attempt without an answer ended; zero: there was none
	Err     error     // why it got none
}

// Reachable tells whether the last attempt got an answer. Before the first
// one, it is taken to be reachable.
func (r Reach) Reachable() bool { return !r.Failed.After(r.Reached) }

// NewClient makes a Client. It connects to nothing.
func NewClient(o ClientOptions) (*Client, error) {
	api, err := parseBase(o.APIURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("outbound: client: APIURL: %w", err)
	case o.Keys == nil:
		return nil, errors.New("outbound: client: Keys is missing")
	case o.Transport == nil:
		return nil, errors.New("outbound: client: Transport is missing")
	case o.MaxAnswer <= 0:
		return nil, fmt.Errorf("outbound: client: MaxAnswer is %d, must be above 0", o.MaxAnswer)
	case o.Timeout <= 0:
		return nil, fmt.Errorf("outbound: client: Timeout is %v, must be above 0", o.Timeout)
	}
	return &Client{opts: o, api: api}, nil
}

// Reach tells what is known from the requests so far.
func (c *Client) Reach() Reach {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reach
}

// Register posts a registration with the real key, and with the next one after
// a 401 or 403. An error means that there was no answer.
func (c *Client) Register(ctx context.Context, r apps.Registration) (apps.Result, error) {
	result, err := c.try(ctx, question{method: http.MethodPost, path: "/fn/register", query: r.Query, header: r.Header, body: r.Body})
	if err != nil {
		return apps.Result{}, fmt.Errorf("register at %s: %w", c.api.Host, err)
	}
	return result, nil
}

// Ask makes one request of the gateway's own functions, such as a checkpoint,
// with the real key and with the next one after a 401 or 403. An error means
// that there was no answer, or one that is too large.
func (c *Client) Ask(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	h := http.Header{}
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	result, err := c.try(ctx, question{method: method, path: path, header: h, body: body})
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s of %s: %w", method, path, c.api.Host, err)
	}
	return result.Status, result.Body, nil
}

// Read is Ask for a GET whose answer may be large: it is charged to the budget
// as it arrives, and bounded by the buffer.
func (c *Client) Read(ctx context.Context, path string, into *budget.Buffer) (status int, err error) {
	result, err := c.try(ctx, question{method: http.MethodGet, path: path, into: into})
	if err != nil {
		return 0, fmt.Errorf("GET %s of %s: %w", path, c.api.Host, err)
	}
	return result.Status, nil
}

// A question is a request of the gateway's own.
type question struct {
	method, path, query string
	header              http.Header
	body                []byte
	into                *budget.Buffer // for the body of the answer; nil: it is in the result
}

// try asks with one key after the other while they are refused.
func (c *Client) try(ctx context.Context, q question) (apps.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	tokens := c.opts.Keys.order()
	if len(tokens) == 0 {
		tokens = []string{""}
	}
	var first apps.Result
	for i, token := range tokens {
		result, err := c.send(ctx, q, token)
		c.note(err)
		refused := result.Status == http.StatusUnauthorized || result.Status == http.StatusForbidden
		switch {
		case err != nil && i > 0 && q.into == nil:
			return first, nil
		case err != nil:
			return apps.Result{}, err
		case !refused && i > 0:
			c.opts.Keys.took(token)
			return result, nil
		case !refused:
			return result, nil
		case i == 0:
			first = result
		}
	}
	return first, nil
}

func (c *Client) send(ctx context.Context, q question, token string) (apps.Result, error) {
	req := (&http.Request{
		Method:        q.method,
		URL:           atBase(c.api, q.path, q.query),
		Header:        c.header(q.header, token),
		Body:          io.NopCloser(bytes.NewReader(q.body)),
		ContentLength: int64(len(q.body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(q.body)), nil },
	}).WithContext(ctx)
	if len(q.body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	a, err := c.opts.Transport.RoundTrip(req)
	if err != nil {
		return apps.Result{}, err
	}
	defer a.Body.Close()
	text, err := c.readAnswer(ctx, a, q.into)
	if err != nil {
		return apps.Result{}, err
	}
	result := apps.Result{Status: a.StatusCode, Header: http.Header{}, Body: text}
	for name, values := range a.Header {
		if passes(name, a.Header.Get("Connection")) {
			result.Header[name] = values
		}
	}
	return result, nil
}

// readAnswer returns the body of an answer, or puts it into a buffer.
func (c *Client) readAnswer(ctx context.Context, a *http.Response, into *budget.Buffer) ([]byte, error) {
	if into != nil {
		into.Free() // of what an answer to another key has left
		_, err := into.ReadFrom(ctx, a.Body, a.ContentLength)
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(a.Body, c.opts.MaxAnswer+1))
	if err == nil && int64(len(text)) > c.opts.MaxAnswer {
		err = fmt.Errorf("answer of more than %d bytes", c.opts.MaxAnswer)
	}
	return text, err
}

func (c *Client) header(from http.Header, token string) http.Header {
	h := http.Header{}
	for name, values := range from {
		if passes(name, "") {
			h[name] = values
		}
	}
	forInngest(h)
	h.Del("Accept-Encoding") // the registry reads the answer
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if c.opts.Branch != "" && h.Get(inngest.HeaderEnv) == "" {
		h.Set(inngest.HeaderEnv, c.opts.Branch)
	}
	return h
}

// note keeps what an attempt says about Inngest. One that was given up says
// nothing.
func (c *Client) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, budget.ErrTooLarge), errors.Is(err, budget.ErrExhausted):
		c.reach.Reached = time.Now()
	case !errors.Is(err, context.Canceled):
		c.reach.Failed, c.reach.Err = time.Now(), err
	}
}
