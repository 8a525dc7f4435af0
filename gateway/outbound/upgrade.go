package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// upgrade passes a WebSocket upgrade to Inngest's API.
func (s *Server) upgrade(rc *fasthttp.RequestCtx, q *request, g grant) *refusal {
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    q.target(g.env),
		Header: q.headerFor(g.env, g.authorizations[0]),
	})
	return s.dialSocket(rc, q, req, nil)
}

// dialSocket sends an upgrade and, if it is accepted, copies bytes both ways.
// Greet, if set, passes the first bytes from the app to Inngest in its own way
// before all others are copied.
func (s *Server) dialSocket(rc *fasthttp.RequestCtx, q *request, req *http.Request, greet func(io.Writer, io.Reader) error) *refusal {
	if q.length != 0 {
		return malformed("An upgrade has no body.")
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	ctx, x := s.exchange(q, grant{})
	head := time.AfterFunc(s.opts.AnswerTimeout, func() { x.cancel(errAnswerTimeout) })
	a, err := s.opts.Transport.RoundTrip(req.WithContext(ctx))
	head.Stop()
	if err != nil {
		r := x.failure(ctx, err)
		x.finish()
		return r
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		s.answer(rc, x, a)
		return nil
	}
	far, ok := a.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(a.Header.Get("Upgrade"), "websocket") {
		a.Body.Close()
		x.finish()
		return unavailable(http.StatusBadGateway, errors.New("status 101 for something else than a WebSocket"))
	}
	rc.SetStatusCode(http.StatusSwitchingProtocols)
	s.opts.Metrics.Upgrades.WithLabelValues().Inc()
	// The handler writes the head itself: it is called in any case then, and
	// can let go of Inngest's side.
	rc.HijackSetNoResponse(true)
	rc.Hijack(func(near net.Conn) {
		defer s.ended()
		defer s.opts.Metrics.Upgrades.WithLabelValues().Dec()
		defer x.finish()
		defer far.Close()
		if _, err := near.Write(switchingHead(a)); err != nil {
			return
		}
		if err := tunnel(ctx, near, far, s.opts.StreamIdle, greet); err != nil {
			s.opts.Log.Warn("websocket cut", "route", q.route.name, "path", q.logPath(), "err", err)
		}
	})
	return nil
}

// switchingHead is the head of an accepted upgrade.
func switchingHead(a *http.Response) []byte {
	h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for name, values := range a.Header {
		if passes(name, "") {
			h[name] = values
		}
	}
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&head) // writing to memory cannot fail
	head.WriteString("\r\n")
	return head.Bytes()
}

// tunnel copies both ways until one side ends, neither has said anything for
// the idle limit, or ctx ends. It returns when both directions are at rest.
func tunnel(ctx context.Context, near net.Conn, far io.ReadWriteCloser, idle time.Duration, greet func(io.Writer, io.Reader) error) error {
	var once sync.Once
	var cause error
	end := func(err error) {
		once.Do(func() {
			cause = err
			far.Close()
			_ = near.SetDeadline(time.Unix(1, 0)) // the server closes it when we return
		})
	}
	silent := time.AfterFunc(idle, func() { end(errSilent) })
	defer silent.Stop()
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	defer stop()

	live := func(r io.Reader) io.Reader { return &liveReader{r, func() { silent.Reset(idle) }} }
	var up sync.WaitGroup
	up.Go(func() {
		var err error
		from := live(near)
		if greet != nil {
			err = greet(far, from)
		}
		if err == nil {
			_, err = io.Copy(onlyWriter{far}, from)
		}
		end(unlessClosed(err))
	})
	_, err := io.Copy(onlyWriter{near}, live(far))
	end(unlessClosed(err))
	up.Wait()
	return cause
}

// unlessClosed drops what only says that a side hung up.
func unlessClosed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// A liveReader tells when something came.
type liveReader struct {
	r    io.Reader
	came func()
}

func (l *liveReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 {
		l.came()
	}
	return n, err
}

// onlyWriter hides ReadFrom, which would take the copying out of our sight.
type onlyWriter struct{ io.Writer }
