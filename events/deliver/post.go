package deliver

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

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// userAgent tells Inngest's logs who batches there.
const userAgent = "inngest-gateway"

// post sends a piece with one key after the other until Inngest takes one. An
// error means that there is no answer about the events.
func (r *round) post(ctx context.Context, p Range) (answer, error) {
	body := r.b.Body
	if p.To-p.From < r.b.Count {
		body = part(body, r.events, p)
	}
	var a answer
	sure := true // that it is Inngest who refuses the keys
	for i, key := range r.keys {
		var err error
		if a, err = r.attempt(ctx, p, key, body); err != nil {
			return a, err
		}
		if !refusesKey(a.status) {
			if i > 0 {
				r.took(i)
			}
			if key != r.first {
				r.c.o.Metrics.Fallbacks.WithLabelValues(r.e.name).Inc()
			}
			return a, nil
		}
		sure = sure && a.ours
	}
	err := &StatusError{a.status, a.message}
	if !sure {
		return a, err
	}
	return a, fmt.Errorf("%w: %w", ErrKeyRefused, err)
}

// took remembers that another key than the first tried one was taken.
func (r *round) took(i int) {
	key := r.keys[i]
	r.c.memory.tookKey(r.b.account(), key)
	r.c.o.Log.Warn("event key refused, another one was taken", "environment", r.e.name, "key", r.b.KeyID, "taken", KeyID(key))
	rest := append([]string{key}, r.keys[:i]...)
	r.keys = append(rest, r.keys[i+1:]...)
}

// attempt is one POST with the breaker's permission.
func (r *round) attempt(ctx context.Context, p Range, key string, body []byte) (answer, error) {
	done, ok := r.e.allow()
	if !ok {
		return answer{}, ErrDown
	}
	start := time.Now()
	a, err := r.exchange(ctx, p, key, body)
	done(verdict(ctx, r.b, a, err))
	r.c.o.Metrics.Duration.WithLabelValues(r.e.name).Observe(time.Since(start).Seconds())
	r.c.o.Metrics.Posts.WithLabelValues(r.e.name, outcome(a, err)).Inc()
	if err != nil {
		return a, err
	}
	if a.retryAfter > 0 && (a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable) {
		r.c.memory.hold(r.b.account(), a.retryAfter)
	}
	return a, nil
}

// allow asks the breaker. A half-open one lets a single batch through at a
// time: it is the probe.
func (e *environment) allow() (done func(breaker.Outcome), ok bool) {
	if ticket, ok := e.breaker.Allow(); ok {
		return ticket.Done, true
	}
	if probe, ok := e.breaker.AllowProbe(); ok {
		return probe.Done, true
	}
	return nil, false
}

// opens returns how long the breaker lets nothing through; 0 if a probe may go
// or is on its way.
func (e *environment) opens(openFor time.Duration) time.Duration {
	state, since := e.breaker.State()
	if state != breaker.Open {
		return 0
	}
	return max(time.Until(since.Add(openFor)), 0)
}

func (r *round) exchange(ctx context.Context, p Range, key string, body []byte) (answer, error) {
	sent := &sentBody{text: body}
	defer sent.wait() // after cancel: a transport may read until then
	ctx, cancel := context.WithTimeout(ctx, r.c.o.Timeout)
	defer cancel()
	seed := r.b.Seed.From(p.From + 1)
	a, err := r.c.o.Transport.RoundTrip(r.request(ctx, key, seed, sent))
	if err != nil {
		return answer{}, fmt.Errorf("post events to %s: %w", r.e.base.Host, withoutURL(err))
	}
	defer a.Body.Close()
	text, err := readBound(a, r.c.o.MaxAnswer)
	if err != nil {
		return answer{}, fmt.Errorf("read answer %d of %s: %w", a.StatusCode, r.e.base.Host, err)
	}
	return readAnswer(a.StatusCode, a.Header, text, seed, time.Now()), nil
}

func (r *round) request(ctx context.Context, key string, seed inngest.Seed, body *sentBody) *http.Request {
	h := http.Header{
		"Content-Type":            {"application/json"},
		"User-Agent":              {userAgent},
		inngest.HeaderEventIDSeed: {seed.String()},
		"Accept-Encoding":         {"identity"}, // else the transport asks for gzip and inflates without a bound
		"Idempotency-Key":         {},           // not sent; the seed makes it true: a stale connection may be replaced
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set(inngest.HeaderEnv, r.b.Branch)
	set(inngest.HeaderTraceparent, r.b.Traceparent)
	set(inngest.HeaderTracestate, r.b.Tracestate)
	first, _ := body.open()
	return (&http.Request{
		Method:        http.MethodPost,
		URL:           r.e.address(key),
		Host:          r.e.base.Host,
		Header:        h,
		Body:          first,
		GetBody:       body.open,
		ContentLength: int64(len(body.text)),
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
	}).WithContext(ctx)
}

// address is where a key's events go. The key is one segment, whatever it holds.
func (e *environment) address(key string) *url.URL {
	u := *e.base
	u.Path, u.RawPath = e.base.Path+"/e/"+key, e.base.EscapedPath()+"/e/"+url.PathEscape(key)
	return &u
}

// sentBody is the body of a request. Its bytes are the caller's, so it tells
// when no transport reads them any more.
type sentBody struct {
	text    []byte
	readers sync.WaitGroup
}

func (b *sentBody) open() (io.ReadCloser, error) {
	b.readers.Add(1)
	return &sentReader{Reader: bytes.NewReader(b.text), body: b}, nil
}

func (b *sentBody) wait() { b.readers.Wait() }

type sentReader struct {
	*bytes.Reader
	body *sentBody
	once sync.Once
}

// Close ends this reader; a transport may do so more than once.
func (r *sentReader) Close() error {
	r.once.Do(r.body.readers.Done)
	return nil
}

// readBound reads an answer. One with ids must be there as a whole; of the
// others the start is enough.
func readBound(a *http.Response, limit int64) ([]byte, error) {
	text := bytes.NewBuffer(make([]byte, 0, 512+min(max(a.ContentLength, 0), limit)))
	_, err := text.ReadFrom(io.LimitReader(a.Body, limit+1))
	if int64(text.Len()) > limit {
		if a.StatusCode == http.StatusOK {
			return nil, fmt.Errorf("more than %d bytes", limit)
		}
		return text.Bytes()[:limit], nil
	}
	return text.Bytes(), err
}

// withoutURL unwraps what net/http puts around errors of a client: the URL has
// the key in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// outcome names what a POST came to, for metrics.
func outcome(a answer, err error) string {
	switch {
	case err != nil:
		return "unreachable"
	case a.status == http.StatusOK && a.ours:
		return "taken"
	case a.status == http.StatusBadRequest && a.ours && a.taken > 0:
		return "partial"
	case (a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity) && a.ours:
		return "refused"
	case a.status == http.StatusRequestEntityTooLarge:
		return "too_large"
	case refusesKey(a.status) && a.ours:
		return "key_refused"
	case a.status == http.StatusTooManyRequests:
		return "throttled"
	case a.status >= 500:
		return "unavailable"
	default:
		return "unreadable"
	}
}
