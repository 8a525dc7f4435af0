package inbound

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Methods that a path takes.
const (
	allowCalls   = "GET, POST, PUT"
	allowDurable = "GET, POST, PUT, PATCH, DELETE"
)

// handle makes the answer of an exchange. It never fails, and returns when the
// app's part is over, even if the caller hung up long ago.
func (s *Server) handle(ctx context.Context, x *exchange) {
	s.inFlight.Add(1)
	defer func() {
		if p := recover(); p != nil {
			x.conn.last, x.conn.unread = true, true
			x.refuse(internal(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
		}
		x.handed = time.Now()
	}()
	r := s.serve(ctx, x)
	if r == nil && x.head.http10 && x.answer.Stream != nil {
		r = x.hold(ctx, x.answer)
	}
	if r != nil {
		x.refuse(r)
	}
}

// serve is the life of a request, in the order of its steps.
func (s *Server) serve(ctx context.Context, x *exchange) *refusal {
	if x.refused != nil {
		return x.refused
	}
	if r := s.checkHead(x); r != nil {
		x.skipBody()
		return r
	}
	x.route.metrics.inFlight.Inc()
	x.counted = true
	if r := s.readBody(ctx, x); r != nil {
		return r
	}
	x.read = time.Now()
	if r := s.believe(x); r != nil {
		return r
	}
	x.verified = time.Now()
	x.composeCall()
	if x.kind == kindSync {
		return s.sync(ctx, x)
	}
	return s.pass(ctx, x)
}

// refuse makes the refusal the answer.
func (x *exchange) refuse(r *refusal) {
	if x.answer != nil {
		x.answer.Settled = true // no repetition of the call would fare better with it
		x.answer.Release()
	}
	x.refused = r
	x.answer = r.answer(x)
}

// checkHead makes the checks that need the head alone, before a byte of the
// body is read on a stranger's word.
func (s *Server) checkHead(x *exchange) *refusal {
	h := &x.head
	durable := false
	x.route, durable = s.table.Load().find(h.path)
	method := methodOf(h.method)
	switch {
	case method == "" && durable:
		return methodNotAllowed(allowDurable)
	case method == "":
		return methodNotAllowed(allowCalls)
	case x.route == nil:
		return unknownPath()
	case durable && len(h.runID) == 0:
		return unknownPath() // ordinary traffic of the app is no business of ours
	}
	x.call.App, x.call.Method = x.route.App, method
	switch {
	case durable:
		x.kind = kindDurable
	case method == "POST":
		x.kind = kindCall
	case method == "GET":
		x.kind = kindIntrospection
	case method == "PUT":
		x.kind = kindSync
	default:
		return methodNotAllowed(allowCalls)
	}
	if r := s.checkSignature(x); r != nil {
		return r
	}
	if h.length > s.opts.MaxBody {
		return bodyTooLarge(fmt.Sprintf("The request declares a body of %d bytes", h.length), s.opts.MaxBody)
	}
	return x.checkQuery()
}

// methodOf returns a method that some path takes, as it is written there.
func methodOf(method []byte) string {
	switch string(method) {
	case "POST":
		return "POST"
	case "GET":
		return "GET"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	}
	return ""
}

// checkSignature wants one signature with a time inside the tolerance. Only a
// sync may come without: as a hint.
func (s *Server) checkSignature(x *exchange) *refusal {
	pair := x.route.Pair
	if !pair.Verifies() {
		return nil
	}
	if equalFold(x.head.serverKind, "dev") && x.kind == kindSync {
		return &refusal{
			code:   inngest.CodeServerKindRefused,
			detail: "A development server must not sync an app of a gateway that verifies signatures.",
		}
	}
	if len(x.head.signature) == 0 && x.kind == kindSync {
		return nil
	}
	if err := pair.CheckHeader(x.head.signature); err != nil {
		return notBelieved(err)
	}
	x.signed = true
	return nil
}

// believe verifies the signature over the body, and compares what the head says
// with it.
func (s *Server) believe(x *exchange) *refusal {
	switch {
	case x.signed:
		if err := x.route.Pair.OpenRequest(x.head.signature, x.call.Body); err != nil {
			return notBelieved(err)
		}
	case !x.route.Pair.Verifies():
		s.opts.Metrics.Unverified.WithLabelValues(x.route.App).Inc()
	}
	return x.identify()
}

// notBelieved is the refusal of a signature.
func notBelieved(err error) *refusal {
	var reject *signature.RejectError
	if !errors.As(err, &reject) {
		return internal(fmt.Errorf("verify: %w", err))
	}
	text := reject.Error()
	return unsigned(reject.Reason.Code(), strings.ToUpper(text[:1])+text[1:]+": the gateway does not believe that Inngest sent this.")
}

// composeCall writes what goes to the app: the endpoint's path with the
// caller's query, and the head that was judged.
func (x *exchange) composeCall() {
	h := &x.head
	if x.kind == kindDurable {
		x.target = append(x.target[:0], h.target...)
	} else {
		x.target = append(append(x.target[:0], x.route.UpstreamPath...), h.query...)
	}
	h.addForwarded(x.conn)
	c := &x.call
	c.Target, c.Head, c.Signature = x.target, h.lines, h.signature
	c.Received = x.received
	c.Gone = x.conn.gone
	c.Waits = x.kind.waits()
	if x.signed {
		c.Signed = signedAt(h.signature)
	}
	if x.route.Pair.NeedsWhole() { // the gateway signs for the app, or nobody does
		c.Reseal = x.reseal
	}
	c.WholeAnswer = h.http10 // cannot be streamed to
}

// signedAt returns the time in a signature that was verified: t=<seconds>&s=….
func signedAt(signature []byte) time.Time {
	var seconds int64
	for _, c := range signature[len("t="):] {
		if c < '0' || c > '9' {
			break
		}
		seconds = seconds*10 + int64(c-'0')
	}
	return time.Unix(seconds, 0)
}

// addForwarded says who called: what the socket tells, and what a trusted proxy
// in front of it said.
func (h *head) addForwarded(c *conn) {
	if !c.trusted {
		h.forwardedFor, h.forwardedProto, h.forwardedHost = nil, nil, nil
	}
	if len(c.remote()) > 0 || len(h.forwardedFor) > 0 {
		h.lines = append(h.lines, "X-Forwarded-For: "...)
		h.lines = append(h.lines, h.forwardedFor...)
		if len(h.forwardedFor) > 0 && len(c.remote()) > 0 {
			h.lines = append(h.lines, ", "...)
		}
		h.lines = append(h.lines, c.remote()...)
		h.lines = append(h.lines, crlf...)
	}
	h.lines = append(h.lines, "X-Forwarded-Proto: "...)
	if equalFold(h.forwardedProto, "http") || equalFold(h.forwardedProto, "https") {
		h.lines = append(h.lines, h.forwardedProto...)
	} else {
		h.lines = append(h.lines, c.proto()...)
	}
	h.lines = append(h.lines, crlf...)
	host := h.forwardedHost
	if !isHost(host) {
		host = h.host
	}
	if len(host) > 0 {
		h.lines = append(h.lines, "X-Forwarded-Host: "...)
		h.lines = append(h.lines, host...)
		h.lines = append(h.lines, crlf...)
	}
}
