// Package admin is the listener of operators: health, metrics, status,
// profiles and control. What it tells comes from functions that it is given;
// what those mean is for the packages behind them.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gofiber/fiber/v2/middleware/pprof"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Options configures a Server.
type Options struct {
	Ready    func() []Check                                        // what readiness depends on, asked for each request
	Status   func() any                                            // the state of everything, as JSON
	Control  map[string]func(context.Context, []byte) (any, error) // POST /control/<name>, for those who may
	Gatherer prometheus.Gatherer
	Pprof    bool   // serve /debug/pprof
	Token    string // bearer token for what changes state; empty: only peers on loopback may
	Log      *slog.Logger
}

// A Check is one thing that readiness looks at.
type Check struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`         // not OK means not ready; else it is told and no more
	Reason   string `json:"reason,omitempty"` // why it is not OK, for people
}

// Bounds of what the listener takes. Nobody needs more, and nobody needs to
// set them.
const (
	maxBody     = 64 << 10
	maxHead     = 8 << 10
	maxConns    = 256
	readTimeout = 10 * time.Second
	idleTimeout = time.Minute
)

// A Server is the admin listener.
type Server struct {
	opts Options
	app  *fiber.App
}

// New builds the listener. It opens nothing, see [Server.Serve].
func New(o Options) (*Server, error) {
	switch {
	case o.Ready == nil, o.Status == nil:
		return nil, errors.New("admin: Ready or Status is missing")
	case o.Gatherer == nil, o.Log == nil:
		return nil, errors.New("admin: Gatherer or Log is missing")
	}
	s := &Server{opts: o}
	s.app = fiber.New(fiber.Config{
		StrictRouting:         true,
		CaseSensitive:         true,
		DisableStartupMessage: true,
		BodyLimit:             maxBody,
		ReadBufferSize:        maxHead,
		Concurrency:           maxConns,
		ReadTimeout:           readTimeout,
		IdleTimeout:           idleTimeout,
		ErrorHandler:          s.refuse,
	})
	s.app.Get("/livez", func(c *fiber.Ctx) error { return c.JSON(fiber.Map{"status": "alive"}) })
	s.app.Get("/readyz", s.readyz)
	s.app.Get("/metrics", adaptor.HTTPHandler(promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})))
	s.app.Get("/status", s.status)
	s.app.Post("/control/:name", s.control)
	if o.Pprof {
		s.app.Use(s.trusted, pprof.New())
	}
	return s, nil
}

// Serve answers until [Server.Shutdown].
func (s *Server) Serve(ln net.Listener) error {
	if err := s.app.Listener(ln); err != nil {
		return fmt.Errorf("admin listener %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops taking connections and waits for running requests.
func (s *Server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }

// readyz is 200 while everything that is required is well. The reasons of the
// rest are told too: an app that is down is no reason to take the gateway out,
// it is there for that.
func (s *Server) readyz(c *fiber.Ctx) error {
	checks := s.opts.Ready()
	status, word := fiber.StatusOK, "ready"
	for _, check := range checks {
		if check.Required && !check.OK {
			status, word = fiber.StatusServiceUnavailable, "not ready"
		}
	}
	return c.Status(status).JSON(struct {
		Status string  `json:"status"`
		Checks []Check `json:"checks"`
	}{word, checks})
}

func (s *Server) status(c *fiber.Ctx) error {
	body, err := json.MarshalIndent(s.opts.Status(), "", "  ")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(append(body, '\n'))
}

// control runs one of the functions that change state. An error that has a
// method NotFound says with it that what was named is not there.
func (s *Server) control(c *fiber.Ctx) error {
	if !s.mayControl(c) {
		return s.forbid(c)
	}
	do := s.opts.Control[c.Params("name")]
	if do == nil {
		return fiber.ErrNotFound
	}
	result, err := do(c.Context(), append([]byte(nil), c.BodyRaw()...))
	var missing interface{ NotFound() bool }
	switch {
	case err == nil:
		return c.JSON(result)
	case errors.As(err, &missing) && missing.NotFound():
		return s.problem(c, inngest.Problem{Detail: err.Error(), Status: fiber.StatusNotFound, Code: inngest.CodeUnknownPath})
	}
	return fiber.NewError(fiber.StatusBadRequest, err.Error())
}

// trusted lets those through who may control.
func (s *Server) trusted(c *fiber.Ctx) error {
	if strings.HasPrefix(c.Path(), "/debug/pprof") && !s.mayControl(c) {
		return s.forbid(c)
	}
	return c.Next()
}

// mayControl tells whether a request has the token or, where none is set,
// comes from this host. The address is that of the socket: nobody can write it
// into a header. But a browser or a proxy on this host may speak for somebody
// else: what it adds to a request gives it away.
func (s *Server) mayControl(c *fiber.Ctx) bool {
	if s.opts.Token != "" {
		token, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
		given, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.opts.Token))
		return ok && subtle.ConstantTimeCompare(given[:], want[:]) == 1
	}
	for _, name := range []string{fiber.HeaderOrigin, fiber.HeaderForwarded, fiber.HeaderXForwardedFor, "X-Real-IP"} {
		if c.Get(name) != "" {
			return false
		}
	}
	switch peer := c.Context().RemoteAddr().(type) {
	case *net.TCPAddr:
		return peer.IP.IsLoopback() && named(string(c.Context().Host()))
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}

// named tells whether a Host field names this host by address or as localhost.
// A page whose own name was made to lead here keeps that name in it.
func named(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")) != nil
}

func (s *Server) forbid(c *fiber.Ctx) error {
	detail := "This needs the token that admin.token names, as Authorization: Bearer <token>."
	if s.opts.Token == "" {
		detail = "Only this host may do that; set admin.token to let others."
	}
	return s.problem(c, inngest.Problem{Detail: detail, Status: fiber.StatusUnauthorized, Code: inngest.CodeUnauthorized})
}

// refuse answers what no handler did.
func (s *Server) refuse(c *fiber.Ctx, err error) error {
	p := inngest.Problem{Detail: "The admin listener failed: " + err.Error(), Status: fiber.StatusInternalServerError, Code: inngest.CodeInternal}
	var fe *fiber.Error
	switch {
	case !errors.As(err, &fe):
		s.opts.Log.Error("admin request failed", "path", c.Path(), "err", err)
	case fe.Code == fiber.StatusNotFound:
		p = inngest.Problem{Detail: "There is nothing at this path; see /livez, /readyz, /metrics, /status.", Status: fe.Code, Code: inngest.CodeUnknownPath}
	case fe.Code == fiber.StatusMethodNotAllowed:
		p = inngest.Problem{Detail: "This path does not take that method.", Status: fe.Code, Code: inngest.CodeMethodNotAllowed}
	case fe.Code == fiber.StatusRequestEntityTooLarge:
		p = inngest.Problem{Detail: "The body is larger than the admin listener takes.", Status: fe.Code, Code: inngest.CodeBodyTooLarge, Limit: "64KiB"}
	default:
		p = inngest.Problem{Detail: fe.Message, Status: fe.Code, Code: inngest.CodeMalformedRequest}
	}
	return s.problem(c, p)
}

func (s *Server) problem(c *fiber.Ctx, p inngest.Problem) error {
	c.Set(inngest.HeaderGatewayError, string(p.Code))
	c.Set(fiber.HeaderContentType, inngest.ContentTypeProblem)
	return c.Status(p.Status).Send(p.Body())
}
