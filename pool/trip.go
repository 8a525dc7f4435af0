package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// unreadWithin is how soon a connection must be reset for the reset to count as a
// sign that the app did not read the call.
const unreadWithin = 5 * time.Second

// A trip is one call at one endpoint, from the choice of the endpoint to the
// last byte of the answer. One of complete, fail and giveUp ends it.
type trip struct {
	endpoint *endpoint
	ticket   breaker.Ticket
	conn     *conn
	stop     func() bool // ends the watch over the call's context; nil without
	began    time.Time   // when the call began to go out
	sent     bool        // a byte of the call went out
	entire   bool        // the app does nothing before it has read all of the call
}

// take makes a trip: one connection, one exchange. The body of a streamed
// answer goes on afterwards, until the stream's end.
func (e *endpoint) take(ctx context.Context, ticket breaker.Ticket, cl *call.Call) (*answer, *Error) {
	t := trip{endpoint: e, ticket: ticket, entire: cl.Identity.RunID != "" && !cl.Plain}
	e.calls.Add(1)
	e.m.inFlight.Inc()
	c, err := e.connect(ctx)
	if err != nil {
		return nil, t.fail(err)
	}
	t.conn = c
	use := c.begin()
	if ctx.Done() != nil {
		t.stop = context.AfterFunc(ctx, func() { c.abort(use, connCanceled) })
	}
	t.began = time.Now()
	a, sent, err := c.exchange(ctx, cl)
	t.sent = sent
	if err != nil {
		return nil, t.fail(err)
	}
	if s, ok := a.Stream.(*stream); ok {
		s.trip, s.use, s.verdict = t, use, a.verdict(cl)
		return a, nil
	}
	t.complete(a.verdict(cl))
	return a, nil
}

// complete ends a trip whose answer came whole. The connection serves the next
// call if nothing speaks against it.
func (t *trip) complete(verdict breaker.Outcome) {
	c, e := t.conn, t.endpoint
	if t.stop != nil {
		t.stop()
	}
	reason := discardBroken
	if c.finishWriting() {
		reason = c.fit()
	}
	if !c.end() {
		reason = discardBroken // aborted after the last byte had come
	}
	if reason == discardUnasked {
		e.distrust()
	}
	if reason == "" {
		e.put(c)
	} else {
		e.discard(c, reason)
	}
	count := e.m.ok
	if verdict == breaker.Failure {
		count = e.m.outcome(inngest.CodeUpstreamUnready)
	}
	t.leave(verdict, count)
}

// giveUp ends a trip whose answer nobody wants to its end.
func (t *trip) giveUp() {
	t.drop(discardBroken)
	t.leave(breaker.Ignored, t.endpoint.m.outcome(inngest.CodeCallCanceled))
}

// fail ends a trip that broke, and says how.
func (t *trip) fail(err error) *Error {
	e, c := t.endpoint, t.conn
	failure := &Error{Endpoint: e.name}
	cause := err
	if c != nil {
		err = c.cause(err)
		failure.answered = c.answered
	}
	var verdict breaker.Outcome
	failure.Code, verdict = classify(err)
	reason := discardBroken
	switch {
	case failure.Code == inngest.CodeUpstreamBadAnswer:
		reason = discardFraming
		if errors.Is(err, errExtra) {
			e.distrust()
		}
	case errors.Is(err, ErrVanished):
		e.closeIdle(discardBroken) // they lead to the same host
	case failure.Code == inngest.CodeUpstreamReset && failure.answered:
		err = fmt.Errorf("the connection broke inside the answer: %w", noEOF(err))
	case failure.Code == inngest.CodeUpstreamReset:
		err = fmt.Errorf("the connection broke before the answer: %w", noEOF(err))
		e.closeIdle(discardClosed) // the app is going away, or closes sooner than it says
	}
	failure.Err = err
	if c != nil {
		broke := failure.Code == inngest.CodeUpstreamReset && !failure.answered
		failure.Sent = t.cut(reason, cause, broke)
	}
	e.setLastError(failure)
	t.leave(verdict, e.m.outcome(failure.Code))
	return failure
}

// cut closes the connection of a trip that failed, and tells whether the app may
// have worked on the call. Where it does nothing before it has read all of it,
// it has not if the connection broke before that.
func (t *trip) cut(reason string, err error, broke bool) (sent bool) {
	broke = broke && t.entire
	// A reset proves nothing once there was time to work on the call: an app can
	// also reset a connection that it has read to its end (SO_LINGER).
	unread := broke && time.Since(t.began) < unreadWithin && t.conn.unread(err) // as long as there is a socket to ask
	wrote, all := t.drop(reason)
	return t.sent && wrote && !unread && (all || !broke)
}

// drop closes the connection. It tells whether the writing of a large request
// got anywhere, and to the end; the caller may use its body again afterwards.
func (t *trip) drop(reason string) (wrote, all bool) {
	if t.stop != nil {
		t.stop()
	}
	t.conn.kill()
	wrote, all = true, true
	if t.conn.writing {
		t.conn.writing = false
		w := <-t.conn.written
		wrote, all = w.n > 0, w.err == nil
	}
	t.conn.end()
	t.endpoint.discard(t.conn, reason)
	return wrote, all
}

// leave takes the call off the endpoint's books.
func (t *trip) leave(verdict breaker.Outcome, count counter) {
	e := t.endpoint
	t.ticket.Done(verdict)
	e.calls.Add(-1)
	e.m.inFlight.Dec()
	count.Inc()
}

type counter interface{ Inc() }

// classify says what an error is to the caller, and to the breaker. What the
// caller did, or what lacks in the gateway, is nothing against the endpoint.
func classify(err error) (inngest.Code, breaker.Outcome) {
	var doubt framing
	var dial *dialError
	switch {
	case errors.Is(err, errCanceled):
		return inngest.CodeCallCanceled, breaker.Ignored
	case errors.As(err, &dial):
		return inngest.CodeUpstreamRefused, breaker.Failure
	case errors.Is(err, errBusy):
		return inngest.CodeUpstreamBusy, breaker.Ignored
	case errors.Is(err, errSilent):
		return inngest.CodeUpstreamTimeout, breaker.Failure
	case errors.As(err, &doubt):
		return inngest.CodeUpstreamBadAnswer, breaker.Failure
	case errors.Is(err, budget.ErrExhausted):
		return inngest.CodeMemoryExhausted, breaker.Ignored
	case errors.Is(err, budget.ErrTooLarge), errors.Is(err, errHeadTooLarge):
		return inngest.CodeUpstreamTooLarge, breaker.Ignored
	default:
		return inngest.CodeUpstreamReset, breaker.Failure
	}
}

var _ io.ReadCloser = (*stream)(nil)
