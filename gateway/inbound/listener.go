package inbound

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	// A listener that is closed resets what waits in its accept queue. A drain
	// accepts on, and takes the queue for empty when nobody came for one slice;
	// it does not go on for ever.
	drainSlice = 10 * time.Millisecond
	drainLimit = time.Second

	// acceptPause is how long accepting rests when the system has no descriptor
	// left.
	acceptPause = 50 * time.Millisecond
)

// A listener makes a conn of every accepted connection, within the limit of
// connections.
type listener struct {
	net.Listener
	server  *Server
	drained atomic.Pointer[time.Time] // when the drain must be over; nil: none
}

// Accept returns io.EOF when the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	quiet := false // nobody came during the last slice of a drain
	for {
		inner, err := l.Listener.Accept()
		var timeout net.Error
		switch {
		case err == nil:
			quiet = false
			if c := l.server.newConn(inner); c != nil {
				return c, nil
			}
		case errors.Is(err, net.ErrClosed):
			return nil, io.EOF
		case errors.As(err, &timeout) && timeout.Timeout():
			if quiet || !l.slice() {
				l.Listener.Close()
				return nil, io.EOF
			}
			quiet = true
		default:
			l.server.opts.Log.Error("accepting a connection failed", "err", err)
			l.server.conns.evict()
			<-time.After(acceptPause)
		}
	}
}

// drain lets Accept go on until the queue is empty.
func (l *listener) drain() {
	until := time.Now().Add(drainLimit)
	if !l.drained.CompareAndSwap(nil, &until) {
		return
	}
	deferAccept(l.Listener, false)
	if !l.slice() {
		l.Listener.Close()
	}
}

// slice lets Accept wait for one slice more; false says that it must not.
func (l *listener) slice() bool {
	ln, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	now, until := time.Now(), l.drained.Load()
	return ok && until != nil && now.Before(*until) && ln.SetDeadline(now.Add(drainSlice)) == nil
}

// newConn makes a conn of an accepted connection. At the limit the oldest idle
// one goes; where there is none, the new one is answered and closed, and nil
// returned.
func (s *Server) newConn(inner net.Conn) *conn {
	c := &conn{server: s}
	c.socket.open(inner, &s.blocks)
	if c.raw != nil { // else it cannot be told
		c.gone = c.hungUp
	}
	if s.conns.len() >= s.opts.MaxConnections {
		if !s.conns.evict() {
			s.opts.Metrics.Refusals.WithLabelValues("", string(inngest.CodeTooManyConnections)).Inc()
			c.turnAway()
			return nil
		}
		s.opts.Metrics.Closed.WithLabelValues("limit").Inc()
	}
	switch addr := inner.RemoteAddr().(type) {
	case *net.TCPAddr:
		ip := addr.AddrPort().Addr().Unmap()
		c.peerLen = len(ip.WithZone("").AppendTo(c.peer[:0]))
		c.trusted = s.trusts(ip)
	}
	c.enter(phaseFresh)
	s.open.Add(1)
	s.conns.add(c)
	return c
}

func (s *Server) trusts(ip netip.Addr) bool {
	for _, p := range s.opts.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// turnAway answers a connection for which there is no room, without waiting for
// anything, and closes it.
func (c *conn) turnAway() {
	defer c.Conn.Close()
	if c.raw == nil {
		return // an answer might have to wait, for a handshake say
	}
	b := c.server.blocks.take(true)
	defer c.server.blocks.give(b)
	c.raw.Control(func(fd uintptr) {
		c.in = b.bytes
		for range 16 { // what is not read resets the connection, and the answer is lost
			if !c.tryRead(fd) || c.read == 0 || c.readErr != nil {
				break
			}
		}
		c.out = fullAnswer(c.server.opts.MaxConnections)
		c.tryWrite(fd)
	})
}
