package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// nopConn is a connection that does nothing.
type nopConn struct{ net.Conn }

func (nopConn) Close() error                    { return nil }
func (nopConn) SetReadDeadline(time.Time) error { return nil }

// blocking makes the app answer when release is closed, or its context ends.
func (g *gateway) blocking() (release chan struct{}) {
	release = make(chan struct{})
	g.app.does(func(ctx context.Context, _ *call.Call) (*call.Answer, error) {
		select {
		case <-release:
			return ok("done"), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	return release
}

func TestDrain_finishesRunningCallsAndTakesNoNewOnes(t *testing.T) {
	g := newGateway(t, nil)
	release := g.blocking()
	running, idle := dial(t, g.addr), dial(t, g.addr)
	running.send(signedCall(t, callBody("run1")))
	idle.send(message("POST /api/inngest HTTP/1.1", "", "X-Inngest-Signature: x"))
	idle.reply("POST")
	eventually(t, "the call runs", func() bool { return len(g.app.requests()) == 1 })

	g.Drain()
	idle.end()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := g.WaitIdle(ctx); !errors.Is(err, context.DeadlineExceeded) || g.InFlight() != 1 {
		t.Errorf("WaitIdle = %v while %d calls run", err, g.InFlight())
	}
	eventually(t, "nobody listens", func() bool {
		c, err := net.Dial("tcp", g.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if r := running.reply("POST"); r.text != "done" || !r.Close {
		t.Errorf("answer = %q, close %v", r.text, r.Close)
	}
	running.end()
	if err := g.WaitIdle(context.Background()); err != nil {
		t.Errorf("WaitIdle = %v", err)
	}
	if err := <-g.served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestDrain_servesWhatWaitsToBeAccepted(t *testing.T) {
	gate := &gatedListener{open: make(chan struct{})}
	g := newGateway(t, func(s *setup) {
		s.listener = func(ln net.Listener) net.Listener { gate.TCPListener = ln.(*net.TCPListener); return gate }
	})
	var clients []*client
	for range 20 {
		c := dial(t, g.addr)
		c.send(signedCall(t, callBody("run1")))
		clients = append(clients, c)
	}
	g.Drain()
	close(gate.open)
	for i, c := range clients {
		r, err := c.tryReply("POST")
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("call %d that waited in the accept queue: %v", i, err)
		}
	}
	if err := g.WaitIdle(context.Background()); err != nil {
		t.Errorf("WaitIdle = %v", err)
	}
}

// gatedListener accepts nothing until its gate opens.
type gatedListener struct {
	*net.TCPListener
	open chan struct{}
}

func (l *gatedListener) Accept() (net.Conn, error) {
	<-l.open
	return l.TCPListener.Accept()
}

func TestClose_cutsCallsWithARefusal(t *testing.T) {
	g := newGateway(t, nil)
	g.blocking()
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	eventually(t, "the call runs", func() bool { return len(g.app.requests()) == 1 })
	if err := g.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	r := c.reply("POST")
	if p := problemOf(t, r); r.StatusCode != 503 || p.Code != "draining" || r.Header.Get("Retry-After") != "5" {
		t.Errorf("answer = %d %v %+v", r.StatusCode, r.Header, p)
	}
	if err := g.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}

func TestClose_saysWhenACallDoesNotEnd(t *testing.T) {
	g := newGateway(t, nil)
	release := make(chan struct{})
	g.app.does(func(context.Context, *call.Call) (*call.Answer, error) { <-release; return ok(""), nil })
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	eventually(t, "the call runs", func() bool { return len(g.app.requests()) == 1 })
	if err := g.Close(); err == nil || !strings.Contains(err.Error(), "1 requests") {
		t.Errorf("Close = %v", err)
	}
	close(release)
	if err := <-g.served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestDrain_beforeServe(t *testing.T) {
	var s setup
	g := newGateway(t, func(made *setup) { s = *made })
	server, err := New(withBudget(s.Options, g))
	if err != nil {
		t.Fatal(err)
	}
	server.Drain()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(ln); err != nil {
		t.Errorf("Serve after Drain = %v", err)
	}
}

func TestClose_beforeServe(t *testing.T) {
	var s setup
	g := newGateway(t, func(made *setup) { s = *made })
	server, err := New(withBudget(s.Options, g))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := server.WaitIdle(context.Background()); err != nil {
		t.Errorf("WaitIdle = %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(ln); err != nil {
		t.Errorf("Serve after Close = %v", err)
	}
}

func withBudget(o Options, g *gateway) Options {
	o.Budget = g.budget
	return o
}

func TestDisconnect_cancelsNothing(t *testing.T) {
	g := newGateway(t, nil)
	release, over := make(chan struct{}), make(chan error, 1)
	var gone func() bool
	g.app.does(func(ctx context.Context, c *call.Call) (*call.Answer, error) {
		gone = c.Gone
		if gone() {
			t.Error("the caller is taken for gone at once")
		}
		<-release
		eventually(t, "the caller is found gone", gone)
		over <- ctx.Err()
		return ok("nobody reads this"), nil
	})
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	eventually(t, "the call runs", func() bool { return len(g.app.requests()) == 1 })
	c.Close()
	close(release)
	if err := <-over; err != nil {
		t.Errorf("the context of the call ended: %v", err)
	}
	eventually(t, "the request is over", func() bool { return g.InFlight() == 0 && g.conns.len() == 0 })
	g.app.does(nil)
	if r := g.ask(t, signedCall(t, callBody("run2"))); r.StatusCode != 200 {
		t.Errorf("the next call: %d %q", r.StatusCode, r.text)
	}
}

func TestServe_overTLSAndUnixSockets(t *testing.T) {
	t.Run("TLS", func(t *testing.T) {
		backend := httptest.NewUnstartedServer(nil)
		backend.StartTLS()
		defer backend.Close()
		config := backend.TLS.Clone()
		config.NextProtos = nil
		g := newGateway(t, func(s *setup) {
			s.listener = func(ln net.Listener) net.Listener { return tls.NewListener(ln, config) }
		})
		inner := dial(t, g.addr)
		secure := tls.Client(inner.Conn, &tls.Config{InsecureSkipVerify: true}) // the test server's certificate
		for _, body := range []string{callBody("run1"), callBody("run1") + strings.Repeat(" ", 100<<10)} {
			if _, err := io.WriteString(secure, signedCall(t, body)); err != nil {
				t.Fatal(err)
			}
			c := newClient(t, secure)
			if r := c.reply("POST"); r.StatusCode != 200 {
				t.Errorf("answer = %d %q", r.StatusCode, r.text)
			}
		}
		s := g.app.requests()[0]
		if s.Header.Get("X-Forwarded-Proto") != "https" || s.Header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("the app saw %v", s.Header)
		}
	})
	t.Run("unix", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gw.sock")
		g := newGateway(t, func(s *setup) {
			s.listener = func(ln net.Listener) net.Listener {
				ln.Close()
				unix, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				return unix
			}
		})
		inner, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		c := newClient(t, inner)
		c.send(signedCall(t, callBody("run1")))
		if r := c.reply("POST"); r.StatusCode != 200 {
			t.Errorf("answer = %d %q", r.StatusCode, r.text)
		}
		if s := g.app.requests()[0]; s.Header.Values("X-Forwarded-For") != nil {
			t.Errorf("the app saw %v", s.Header)
		}
	})
}

func TestServe_manyConnectionsAtOnce(t *testing.T) {
	g := newGateway(t, nil)
	g.app.does(func(_ context.Context, c *call.Call) (*call.Answer, error) {
		return ok(c.Identity.RunID + string(c.Body[len(c.Body)-8:])), nil
	})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			run := strings.Repeat(string(rune('a'+i)), 10)
			body := callBody(run) + strings.Repeat(" ", i*1500)
			c := dial(t, g.addr)
			for range 30 {
				c.send(signedCall(t, body))
				if r, err := c.tryReply("POST"); err != nil || r.text != run+body[len(body)-8:] {
					t.Errorf("answer to %s = %q, %v", run, r.text, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
