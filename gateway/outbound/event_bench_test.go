package outbound

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

// taker takes events without a look at them.
type taker struct {
	answer events.Answer
	count  int
}

func (t *taker) Accept(context.Context, events.Request) events.Answer {
	t.count++
	return t.answer
}

// repeatConn is a connection on which the same request comes n times.
type repeatConn struct {
	net.Conn // addresses and deadlines
	request  []byte
	left     int
	rest     []byte
}

func (c *repeatConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.left == 0 {
			return 0, io.EOF
		}
		c.left--
		c.rest = c.request
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *repeatConn) Write(p []byte) (int, error)     { return len(p), nil }
func (c *repeatConn) SetReadDeadline(time.Time) error { return nil }
func (c *repeatConn) Close() error                    { return nil }

// What the listener costs for a request with an event, without the kernel and
// without the event plane.
func BenchmarkServer_event(b *testing.B) {
	o := options(b, "http://127.0.0.1:1", apps.Passthrough)
	o.Log = slog.New(slog.DiscardHandler)
	plane := &taker{answer: events.Answer{Status: 200, ContentType: "application/json", Body: []byte(`{"ids":["01M8"],"status":200}`)}}
	o.Events = plane
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	s.app.Handler() // makes the routes
	var request bytes.Buffer
	request.WriteString("POST /e/" + realEvent + " HTTP/1.1\r\nHost: 127.0.0.1:8481\r\nUser-Agent: inngest-js:v3.40.0\r\n" +
		"Content-Type: application/json\r\nAccept: */*\r\nX-Inngest-Sdk: inngest-js:v3.40.0\r\n" +
		"X-Inngest-Event-Id-Seed: 1795540000000,AAAAAAAAAAAAAA==\r\nContent-Length: 274\r\n\r\n")
	request.Write(bytes.Repeat([]byte("x"), 274))
	a, other := net.Pipe()
	defer a.Close()
	defer other.Close()
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.app.Server().ServeConn(&repeatConn{Conn: a, request: request.Bytes(), left: b.N}); err != nil {
		b.Fatal(err)
	}
	if plane.count != b.N {
		b.Fatalf("%d requests were taken, want %d", plane.count, b.N)
	}
}
