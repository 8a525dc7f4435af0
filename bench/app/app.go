// Package app is what is behind that which is measured: an app that answers call
// requests as an SDK does, with a body as large as the request's, and an event API
// that answers ids. It keeps count of both. It is on fasthttp to leave as much of
// the processor as it can to the others. Starting it as a process is left to
// package rig and the commands.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Paths of the app.
const (
	Path        = "/api/inngest"
	ArrivedPath = "/arrived" // answers how many call requests came so far
)

// Options configures an App.
type Options struct {
	Journal io.Writer     // gets the run id and a newline for each call request, before it is answered; may be nil
	Delay   time.Duration // before each answer to a call request

	EventCost  time.Duration // processor time for each request with events
	EventDelay time.Duration // before its answer
}

// Serve answers on ln until ctx ends, then finishes what it has begun.
func Serve(ctx context.Context, ln net.Listener, o Options) error {
	a := &app{options: o, body: answer(maxAnswer)}
	server := &fasthttp.Server{
		Handler:               a.handle,
		Name:                  "app",
		ReadBufferSize:        32 << 10,
		WriteBufferSize:       32 << 10,
		MaxRequestBodySize:    16 << 20,
		CloseOnShutdown:       true,
		NoDefaultServerHeader: true,
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	select {
	case err := <-done:
		return fmt.Errorf("app: %w", err)
	case <-ctx.Done():
	}
	// What ended ctx must not cut the calls that are being answered.
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := server.ShutdownWithContext(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // connections without a call count as open there
	}
	ln.Close() // a server that had not begun yet knows nothing of it
	if served := <-done; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// maxAnswer is the size of the largest answer, whatever the request's.
const maxAnswer = 8 << 20

type app struct {
	options    Options
	arrived    atomic.Int64 // call requests
	posts      atomic.Int64 // requests with events
	eventsCame atomic.Int64
	body       []byte
}

func (a *app) handle(c *fasthttp.RequestCtx) {
	switch path := string(c.Path()); {
	case c.IsPost() && strings.HasPrefix(path, EventPath):
		a.events(c)
	case path == EventsPath:
		a.eventCounts(c)
	case path == ArrivedPath:
		c.SetBodyString(strconv.FormatInt(a.arrived.Load(), 10))
	case path != Path:
		c.SetContentType("application/json") // a registration
		c.SetBodyString(`{"ok":true}`)
	case !c.IsPost():
		c.SetStatusCode(fasthttp.StatusUnauthorized) // a probe, unsigned
		c.Response.Header.Set(inngest.HeaderSDK, sdk)
		c.SetBodyString(`{"code":"sig_verification_failed"}`)
	default:
		a.answer(c)
	}
}

const sdk = "inngest-bench:v1.0.0"

// answer answers a call request with the header fields that an SDK sends.
func (a *app) answer(c *fasthttp.RequestCtx) {
	a.arrived.Add(1)
	run := c.Request.Header.Peek(inngest.HeaderRunID)
	if a.options.Journal != nil {
		if _, err := fmt.Fprintf(a.options.Journal, "%s\n", run); err != nil {
			c.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
	}
	if a.options.Delay > 0 {
		time.Sleep(a.options.Delay)
	}
	size := min(len(c.Request.Body()), len(a.body))
	h := &c.Response.Header
	h.SetContentType("application/json; charset=utf-8")
	h.Set(inngest.HeaderSDK, sdk)
	h.Set(inngest.HeaderSDKHandled, "true")
	h.Set(inngest.HeaderFramework, "fasthttp")
	h.Set("Server-Timing", "handler, action;dur=5")
	h.SetBytesV(inngest.HeaderTraceparent, c.Request.Header.Peek(inngest.HeaderTraceparent))
	h.SetBytesV(inngest.HeaderTracestate, c.Request.Header.Peek(inngest.HeaderTracestate))
	h.Set(inngest.HeaderRequestVersion, "2")
	h.SetBytesV(inngest.HeaderRunID, run)
	c.Response.SetBodyRaw(a.body[len(a.body)-size:])
}

// answer returns n bytes that end as JSON does and compress about as well.
func answer(n int) []byte {
	b := make([]byte, 0, n+64)
	for i := uint32(1); len(b) < n; i++ {
		b = fmt.Appendf(b, `{"line":%d,"item":"%x","left":true},`, i, i*2654435761)
	}
	b = b[:n]
	copy(b[max(0, n-2):], "{}")
	return b
}
