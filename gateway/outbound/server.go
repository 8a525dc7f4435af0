package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// lingerTime is how long an app may go on sending what was refused already.
const lingerTime = 2 * time.Second

var errShutdown = errors.New("the gateway is going away")

// A Server is the apps listener.
type Server struct {
	opts    Options
	app     *fiber.App
	router  router
	creds   *credentials
	tickets *tickets
	open    *tracker     // requests and WebSockets under way
	conns   atomic.Int64 // open connections of apps
}

// New builds the listener. It opens nothing; see [Server.Serve].
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	creds, err := newCredentials(&o)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, creds: creds, router: newRouter(), tickets: newTickets(), open: newTracker()}
	s.app = fiber.New(fiber.Config{
		StrictRouting:         true,
		CaseSensitive:         true,
		DisableStartupMessage: true,
		StreamRequestBody:     true,
		// Bodies are counted where they are read. With a limit of one byte the
		// server reads one ahead instead of 8 KiB, which a stream may be slow
		// to deliver.
		BodyLimit:                    1,
		DisablePreParseMultipartForm: true,
		DisableDefaultContentType:    true,
		Concurrency:                  o.MaxConnections + 2*turnedAway, // a connection's goroutine ends a moment after it
		ReadBufferSize:               o.MaxHead,
		ReadTimeout:                  o.HeadTimeout,
		IdleTimeout:                  o.IdleTimeout,
		ErrorHandler:                 s.serverError,
	})
	// One handler: what a path is, and what it may have, is written in
	// routes.go alone.
	s.app.Use(func(c *fiber.Ctx) error {
		s.handle(c.Context())
		return nil
	})
	s.app.Server().ContinueHandler = s.wants
	return s, nil
}

// Serve answers apps until [Server.Shutdown]. It takes any stream listener;
// several may be served at once.
func (s *Server) Serve(ln net.Listener) error {
	if s.open.refusing() {
		return ln.Close()
	}
	if err := s.app.Listener(s.limit(ln)); err != nil {
		return fmt.Errorf("apps listener %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops taking connections, ends streams and WebSockets, which have
// no end of their own, and waits for other requests. When ctx ends first, they
// are cut, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.open.refuse()
	s.open.cut((*exchange).endless)
	err := s.app.ShutdownWithContext(ctx)
	waited := s.open.wait(ctx)
	s.open.cut(func(*exchange) bool { return true })
	s.open.wait(context.Background()) // ctx may have ended; what was cut ends at once
	if err = errors.Join(err, waited); err != nil {
		return fmt.Errorf("apps listener: requests were cut: %w", err)
	}
	return nil
}

// wants tells a client that asks first whether it may send its body.
func (s *Server) wants(*fasthttp.RequestHeader) bool { return !s.open.refusing() }

// handle runs one request: what is common to all of them.
func (s *Server) handle(rc *fasthttp.RequestCtx) {
	if !s.open.add() {
		s.refuse(rc, nil, &refusal{status: http.StatusServiceUnavailable, code: inngest.CodeDraining,
			detail: "The gateway is going away; try again, another one or its successor will answer."})
		rc.SetConnectionClose()
		return
	}
	s.opts.Metrics.InFlight.WithLabelValues().Inc()
	name, events := "other", false
	q, r := s.understand(rc)
	defer func() {
		if p := recover(); p != nil {
			s.opts.Log.Error("request of an app crashed", "route", name, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			r := &refusal{status: http.StatusInternalServerError, code: inngest.CodeInternal, detail: "The gateway failed; see its log."}
			r.write(&rc.Response, events)
			rc.SetConnectionClose()
		}
		s.opts.Metrics.Requests.WithLabelValues(name, class(rc.Response.StatusCode())).Inc()
		// What streams, or became a WebSocket, is counted until its end.
		if !rc.Response.IsBodyStream() && !rc.Hijacked() {
			s.ended()
		}
	}()
	if r == nil {
		r = s.room(rc)
	}
	last := r != nil // the connection has no room, or where the request ends is in doubt
	if r == nil {
		name, events = q.route.name, q.route.events
		r = s.serve(rc, q)
	}
	if r != nil {
		s.refuse(rc, q, r)
		// What is left of a body is read and dropped after the answer, or the
		// app would see a reset instead of it. Not for long.
		switch {
		case q == nil, (last || r.status < 500) && q.more(rc, last):
			closeRefused(rc)
		case last:
			rc.SetConnectionClose()
		}
		_ = rc.SetReadDeadline(time.Now().Add(lingerTime)) // fails only on a closed connection
	}
}

func (s *Server) serve(rc *fasthttp.RequestCtx, q *request) *refusal {
	switch q.route.name {
	case "register":
		return s.register(rc, q)
	case "event":
		return s.event(rc, q)
	case "event_keyless":
		return noEventKey()
	case "event_stray":
		return noEventPath()
	case "connect_gateway":
		return s.worker(rc, q)
	default:
		return s.pass(rc, q)
	}
}

// ended counts one request or WebSocket less.
func (s *Server) ended() {
	s.opts.Metrics.InFlight.WithLabelValues().Dec()
	s.open.done()
}

// refuse answers in the gateway's name, counts and logs it. What the answer
// was before is gone.
func (s *Server) refuse(rc *fasthttp.RequestCtx, q *request, r *refusal) {
	events := q != nil && q.route.events
	r.write(&rc.Response, events)
	s.opts.Metrics.Errors.WithLabelValues(string(r.code)).Inc()
	attrs := []any{"code", r.code, "status", r.status}
	if q != nil {
		attrs = append(attrs, "route", q.route.name, "method", q.method, "path", q.logPath())
	}
	if r.err != nil {
		attrs = append(attrs, "err", r.err)
	}
	s.opts.Log.Warn("request of an app refused", attrs...)
}

// serverError answers what never became a request: the head did not arrive,
// or could not be read.
func (s *Server) serverError(c *fiber.Ctx, err error) error {
	r := &refusal{status: http.StatusBadRequest, code: inngest.CodeMalformedRequest, err: unquoted(err),
		detail: "The request could not be read."}
	var fe *fiber.Error
	if errors.As(err, &fe) {
		r.status = fe.Code
		switch fe.Code {
		case http.StatusRequestHeaderFieldsTooLarge:
			r.code, r.limit, r.setting = inngest.CodeHeadTooLarge, sizeText(s.opts.MaxHead), "limits.head"
			r.detail = "The head of the request is larger than the gateway takes."
		case http.StatusRequestTimeout:
			r.code, r.setting = inngest.CodeBodyTooSlow, "limits.head_timeout"
			r.detail = "The request did not arrive in time."
			// Most often a connection on which nothing was ever said.
			r.write(&c.Context().Response, false)
			s.opts.Log.Debug("connection of an app timed out", "err", unquoted(err))
			return nil
		}
	}
	s.refuse(c.Context(), nil, r)
	closeRefused(c.Context())
	return nil
}

// unquoted is an error of fasthttp without what it quotes: that may be any of a
// request that could not be read, with its keys, tokens and events.
func unquoted(err error) error {
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if !quotes {
		return err
	}
	return errors.New(text + "…")
}

func class(status int) string {
	if status/100 == 2 {
		return "2xx"
	}
	return strconv.Itoa(status/100) + "xx"
}
