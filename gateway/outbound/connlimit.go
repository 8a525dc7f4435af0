package outbound

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// turnedAway is how many connections over the limit are taken nevertheless, to
// tell them which limit it was; the server answers more in plain text. Their
// first request has to be read for it: clients do not take an answer to what
// they have not asked.
const turnedAway = 64

// limitListener marks the connections that are over the limit.
type limitListener struct {
	net.Listener
	open *atomic.Int64
	max  int
}

func (l limitListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, open: l.open, over: l.open.Add(1) > int64(l.max)}, nil
}

// A countedConn counts itself less when it is closed.
type countedConn struct {
	net.Conn
	open *atomic.Int64
	over bool // one of those that are too many
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// room refuses a request that came on a connection over the limit.
func (s *Server) room(rc *fasthttp.RequestCtx) *refusal {
	if conn, ok := rc.Conn().(*countedConn); !ok || !conn.over {
		return nil
	}
	return &refusal{
		status: http.StatusServiceUnavailable, code: inngest.CodeTooManyConnections,
		detail: "The gateway has as many connections of apps as it may; try again.",
		limit:  strconv.Itoa(s.opts.MaxConnections), setting: "limits.connections",
	}
}
