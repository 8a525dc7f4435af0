package outbound

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// turnedAway is how many connections over the limit are taken nevertheless, to
// tell them which limit it was. Their first request has to be read for it, in the
// shape of whose API it is answered: clients do not take an answer to what they
// have not asked. More are told at once.
const turnedAway = 512

// limitListener marks the connections that are over the limit, and closes those
// that are far beyond it.
type limitListener struct {
	net.Listener
	open    *atomic.Int64
	max     int
	refused prometheus.Counter
	answer  []byte // for connections of which nothing is read
}

func (l limitListener) Accept() (net.Conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		open := l.open.Add(1)
		c := &countedConn{Conn: inner, open: l.open, over: open > int64(l.max)}
		if open <= int64(l.max)+turnedAway {
			return c, nil
		}
		l.refused.Inc()
		c.turnAway(l.answer)
	}
}

// A countedConn counts itself less when it is closed.
type countedConn struct {
	net.Conn
	open    *atomic.Int64
	over    bool        // one of those that are too many
	refused atomic.Bool // its last request, see closeRefused
	once    sync.Once
}

// SetReadDeadline gives those that are too many less time: they hold a place in
// which others would be told why there is none.
func (c *countedConn) SetReadDeadline(t time.Time) error {
	if latest := time.Now().Add(lingerTime); c.over && (t.IsZero() || t.After(latest)) {
		t = latest
	}
	return c.Conn.SetReadDeadline(t)
}

// turnAway answers without waiting for anything, and closes.
func (c *countedConn) turnAway(answer []byte) {
	defer c.Close()
	if c.SetWriteDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	// What is not read resets the connection, and the answer is lost.
	if tcp, ok := c.Conn.(syscall.Conn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Read(skim) // fails only on a closed connection
		}
	}
	_, _ = c.Write(answer) // the buffer of a new connection has room
}

// skim reads what has arrived, as far as a head goes. It waits for nothing.
func skim(fd uintptr) (done bool) {
	var p [4 << 10]byte
	for range 16 {
		if n, err := unix.Read(int(fd), p[:]); n <= 0 || err != nil {
			break
		}
	}
	return true
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
	return tooManyConnections(s.opts.MaxConnections)
}

func tooManyConnections(limit int) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: inngest.CodeTooManyConnections,
		detail: "The gateway has as many connections of apps as it may; try again.",
		limit:  strconv.Itoa(limit), setting: "limits.connections",
	}
}

// limit makes the listener that keeps the limit of connections.
func (s *Server) limit(ln net.Listener) limitListener {
	r := tooManyConnections(s.opts.MaxConnections)
	var res fasthttp.Response
	r.write(&res, false)
	res.SetConnectionClose()
	return limitListener{
		Listener: ln, open: &s.conns, max: s.opts.MaxConnections, answer: []byte(res.String()),
		refused: s.opts.Metrics.Errors.WithLabelValues(string(r.code)),
	}
}
