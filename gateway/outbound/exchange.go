package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// The server holds GET …/output for five minutes (CheckpointOutputWaitMax).
const outputWait = 5 * time.Minute

var errAnswerTimeout = errors.New("no answer in time")

// pass sends a request to Inngest and its answer to the app.
func (s *Server) pass(rc *fasthttp.RequestCtx, q *request) *refusal {
	g, r := s.creds.forRoute(q)
	if r != nil {
		return r
	}
	if q.upgrade && q.route.upgrade {
		return s.upgrade(rc, q, g)
	}
	ctx, x := s.exchange(q, g)
	passed := false
	defer func() {
		if !passed {
			x.finish()
		}
	}()
	if x.body, r = s.readBody(ctx, rc, q); r != nil {
		return r
	}
	answer, r := x.send(ctx)
	if r != nil {
		return r
	}
	if q.route.name == "connect_start" && answer.StatusCode/100 == 2 {
		return s.start(rc, x, answer)
	}
	s.answer(rc, x, answer)
	passed = true
	return nil
}

// An exchange is one request on its way to Inngest and its answer.
type exchange struct {
	server *Server
	q      *request
	grant  grant
	body   *body

	cancel context.CancelCauseFunc
	head   *time.Timer // ends the exchange when no answer begins
	began  atomic.Bool // the answer has begun
	sent   atomic.Bool // something may have reached Inngest
}

// exchange begins one. Its context is that of nobody else: the server that
// reads requests has none, and an answer outlives its handler.
func (s *Server) exchange(q *request, g grant) (context.Context, *exchange) {
	ctx, cancel := context.WithCancelCause(context.Background())
	x := &exchange{server: s, q: q, grant: g, body: &body{}, cancel: cancel}
	s.open.hold(x)
	return ctx, x
}

// endless tells whether the exchange has no end of its own.
func (x *exchange) endless() bool {
	return x.q.route.wait == waitStream || (x.q.upgrade && x.q.route.upgrade)
}

// finish ends the exchange. It may be called twice, and must be called before
// the server reads on from the app's connection.
func (x *exchange) finish() {
	if x.head != nil {
		x.head.Stop()
	}
	x.cancel(nil)
	x.body.upload.stop()
	x.body.free()
	x.server.open.drop(x)
}

// send makes the attempts. The answer it returns is not read yet.
func (x *exchange) send(ctx context.Context) (*http.Response, *refusal) {
	x.watchHead()
	defer func() {
		x.began.Store(true)
		x.head.Stop()
	}()
	started := time.Now()
	var refused *http.Response // the first 401 or 403: what is returned if no key is taken
	for i, authorization := range x.grant.authorizations {
		if i > 0 {
			x.server.opts.Metrics.Fallbacks.WithLabelValues().Inc()
		}
		answer, err := x.attempt(ctx, authorization)
		switch {
		case err != nil && refused != nil:
			return refused, nil
		case err != nil:
			return nil, x.failure(ctx, err)
		case answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden:
			if refused != nil {
				refused.Body.Close()
				x.grant.env.Keys.took(bearer(authorization))
			}
			x.server.opts.Metrics.Duration.WithLabelValues(x.q.route.name).Observe(time.Since(started).Seconds())
			return answer, nil
		case refused == nil:
			refused = answer
		default:
			answer.Body.Close()
		}
		if !x.body.again() {
			break
		}
	}
	return refused, nil
}

// watchHead bounds the time to the head of the answer. It runs from when the
// whole request is out; until then Inngest must take what arrives of it.
func (x *exchange) watchHead() {
	limit := x.server.opts.AnswerTimeout
	if x.q.route.wait == waitOutput {
		limit += outputWait
	}
	ends := func() {
		if !x.began.Load() { // an upload that ends after it sets the timer for nothing
			x.cancel(errAnswerTimeout)
		}
	}
	up := x.body.upload
	if up == nil {
		x.head = time.AfterFunc(limit, ends)
		return
	}
	stalled := x.server.opts.StreamIdle + limit // later than an app that falls silent is noticed
	x.head = time.AfterFunc(stalled, ends)
	up.came = func() { x.head.Reset(stalled) }
	up.finished = func() { x.head.Reset(limit) }
}

// attempt sends the request once.
func (x *exchange) attempt(ctx context.Context, authorization string) (*http.Response, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { x.sent.Store(true) },
	})
	req := (&http.Request{
		Method:        x.q.method,
		URL:           x.q.target(x.grant.env),
		Header:        x.q.headerFor(x.grant.env, authorization),
		Body:          x.body.reader(),
		ContentLength: x.body.length,
	}).WithContext(ctx)
	switch {
	case x.q.route.stream && x.body.length != 0:
		req.ContentLength = -1 // net/http flushes every chunk, but not every piece of a body of known length
	case x.body.again() && !x.q.replayable:
		// Lets the transport use another connection when the one it took from
		// its pool turned out to be closed and nothing was written to it. With
		// an Idempotency-Key it would also send again what had arrived.
		req.GetBody = func() (io.ReadCloser, error) { return x.body.reader(), nil }
	}
	answer, err := x.server.opts.Transport.RoundTrip(req)
	if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
		answer.Body.Close()
		return nil, errors.New("status 101 that nobody asked for")
	}
	return answer, err
}

// failure says what to answer when an attempt has failed.
func (x *exchange) failure(ctx context.Context, err error) *refusal {
	cause := context.Cause(ctx)
	x.body.upload.stop()
	if r := x.body.upload.failure(); r != nil {
		return r
	}
	switch {
	case errors.Is(cause, errShutdown):
		return &refusal{status: http.StatusServiceUnavailable, code: inngest.CodeDraining, err: err,
			detail: "The gateway is going away and did not wait for Inngest's answer."}
	case errors.Is(cause, errAnswerTimeout):
		r := unavailable(http.StatusBadGateway, errAnswerTimeout)
		r.setting = "outbound.answer_timeout"
		return r
	case x.sent.Load():
		return unavailable(http.StatusBadGateway, err)
	default:
		return unavailable(http.StatusServiceUnavailable, err)
	}
}

// target is the URL of a request in an environment, its path byte for byte as
// the app sent it.
func (q *request) target(env *Environment) *url.URL {
	return atBase(env.api, q.path, q.query)
}

func atBase(base *url.URL, path, query string) *url.URL {
	u := *base
	raw := strings.TrimSuffix(base.EscapedPath(), "/") + path
	u.RawQuery = query
	if decoded, err := url.PathUnescape(raw); err == nil {
		u.Path, u.RawPath = decoded, raw
	}
	if u.EscapedPath() != raw {
		u.Opaque = raw // bytes that url would write in another way
	}
	return &u
}

func (q *request) headerFor(env *Environment, authorization string) http.Header {
	h := q.header()
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	if env.Branch != "" && h.Get(inngest.HeaderEnv) == "" {
		h.Set(inngest.HeaderEnv, env.Branch)
	}
	if q.route.name == "connect_start" {
		h.Del("Accept-Encoding") // the answer must be read
	}
	return h
}
