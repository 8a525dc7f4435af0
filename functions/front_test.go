package functions_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A front is the listener before a host: it does what the gateway's call plane
// does in mode strip.
type front struct {
	t    testing.TB
	key  signature.Key
	mu   sync.Mutex
	host *functions.Host
	seen []exchange
	cut  func(n int) bool // the n-th call, from 0, is answered to nobody
	n    int
	open map[int]context.CancelFunc // calls that are being answered, by number

	blind atomic.Bool // hosts do not see that callers hung up
}

// An exchange is a call and its answer.
type exchange struct {
	target, body string
	status       int
	answer       string
	header       http.Header
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller hung up
	}
	var head bytes.Buffer
	for name, values := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", name, values[0])
	}
	f.mu.Lock()
	host, cut := f.host, false
	there, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	if r.Method == http.MethodPost {
		cut = f.cut != nil && f.cut(f.n)
		f.open[f.n] = hangUp
		defer func(n int) { f.mu.Lock(); delete(f.open, n); f.mu.Unlock() }(f.n)
		f.n++
	}
	f.mu.Unlock()
	done := make(chan struct{})
	var a *call.Answer
	go func() {
		defer close(done)
		a, err = host.Do(context.Background(), &call.Call{
			App: "shop", Method: r.Method, Target: []byte(r.URL.RequestURI()), Head: head.Bytes(), Body: body, Received: time.Now(),
			Gone: func() bool { return there.Err() != nil && !f.blind.Load() },
		})
	}()
	select {
	case <-done:
	case <-there.Done():
		panic(http.ErrAbortHandler)
	}
	if err != nil || cut {
		panic(http.ErrAbortHandler)
	}
	defer a.Release()
	for _, field := range a.Fields {
		w.Header().Set(string(field.Name), string(field.Value))
	}
	w.Header().Set(inngest.HeaderSignature, signature.Sign(f.key, a.Body, time.Now()))
	f.mu.Lock()
	f.seen = append(f.seen, exchange{r.URL.RequestURI(), string(body), a.Status, string(a.Body), w.Header().Clone()})
	f.mu.Unlock()
	w.WriteHeader(a.Status)
	w.Write(a.Body)
}

// posts returns the calls so far.
func (f *front) posts() []exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []exchange
	for _, x := range f.seen {
		if strings.Contains(x.target, "fnId=") {
			out = append(out, x)
		}
	}
	return out
}

// hangUp loses the connections of all calls that are being answered: what a
// gateway that was killed does to them.
func (f *front) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cut := range f.open {
		cut()
	}
}

// stay has hosts go on when callers hang up.
func (f *front) stay() { f.blind.Store(true) }

// swap puts another host in the place of the one that answers.
func (f *front) swap(h *functions.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host = h
}

// An apiClient asks the devserver. before may answer in its place.
type apiClient struct {
	base   string
	key    signature.Key
	client *http.Client

	mu     sync.Mutex
	asked  []string
	before func(method, path string) (status int, ok bool)
}

func (c *apiClient) Ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	c.mu.Lock()
	c.asked = append(c.asked, method+" "+path)
	before := c.before
	c.mu.Unlock()
	if before != nil {
		if status, ok := before(method, path); ok {
			if status == 0 {
				return 0, nil, io.ErrUnexpectedEOF
			}
			return status, nil, nil
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+signature.BearerToken(c.key))
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

func (c *apiClient) Read(ctx context.Context, path string, into *budget.Buffer) (int, error) {
	status, body, err := c.Ask(ctx, http.MethodGet, path, nil)
	return status, errors.Join(err, into.Write(ctx, body))
}

// A lossyAPI asks, and loses every second answer.
type lossyAPI struct {
	*apiClient
	asks atomic.Int32
}

func (c *lossyAPI) Ask(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	status, answer, err := c.apiClient.Ask(ctx, method, path, body)
	if c.asks.Add(1)%2 == 1 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return status, answer, err
}

// until waits for something that tells nobody.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := soon(t); !holds(); {
		select {
		case <-tick.C:
		case <-late.Done():
			t.Fatalf("never: %s", what)
		}
	}
}

// leave begins a host's end and tells when it has ended.
func leave(t testing.TB, h *functions.Host) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	until(t, "the host leaves", func() bool { return h.Status().Leaving })
	return ended
}

func (c *apiClient) count(method, part string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.asked {
		if strings.HasPrefix(a, method) && strings.Contains(a, part) {
			n++
		}
	}
	return n
}
