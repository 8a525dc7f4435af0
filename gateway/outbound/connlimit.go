package outbound

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// limitListener takes no more connections than there may be, and tells those
// it does not take why: the server's own limit answers in plain text.
type limitListener struct {
	net.Listener
	server *Server
}

func (l limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		open := &l.server.conns
		if open.Add(1) <= int64(l.server.opts.MaxConnections) {
			return &countedConn{Conn: conn, open: open}, nil
		}
		open.Add(-1)
		l.server.turnAway(conn)
	}
}

// turnAway answers a connection that is one too many. What it writes fits a
// fresh socket's buffer, so it does not wait.
func (s *Server) turnAway(conn net.Conn) {
	defer conn.Close()
	var res fasthttp.Response
	r := &refusal{
		status: http.StatusServiceUnavailable, code: inngest.CodeTooManyConnections,
		detail: "The gateway has as many connections of apps as it may; try again.",
		limit:  strconv.Itoa(s.opts.MaxConnections), setting: "limits.connections",
	}
	r.write(&res, false)
	res.SetConnectionClose()
	s.opts.Metrics.Errors.WithLabelValues(string(r.code)).Inc()
	w := bufio.NewWriter(conn)
	if res.Write(w) == nil {
		_ = w.Flush() // a caller that is gone already needs no answer
	}
}

// A countedConn counts itself less when it is closed.
type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
