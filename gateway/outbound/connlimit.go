package outbound

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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
	open    *atomic.Int64
	over    bool        // one of those that are too many
	refused atomic.Bool // its last request, see closeRefused
	once    sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		if c.refused.Load() {
			c.linger()
		}
		c.open.Add(-1)
	})
	return c.Conn.Close()
}

// linger lets an app that still sends read the answer first: closing a
// connection that has something to be read resets it.
func (c *countedConn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, c.Conn) // ends with what the app sends, or with the time
}

// closeRefused has the connection end after the refusal of a request of which
// there may be more to come than fasthttp reads and drops.
func closeRefused(rc *fasthttp.RequestCtx) {
	rc.SetConnectionClose()
	if c, ok := rc.Conn().(*countedConn); ok {
		c.refused.Store(true)
	}
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
