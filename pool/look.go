package pool

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// A looker tells without blocking whether an idle connection is still good: no
// byte waits, and it is open. Whatever arrived unasked would be read as the
// next call's answer.
type looker interface {
	Peek() (waiting int, err error)
}

// newLooker returns nil for a connection that cannot be looked at.
func newLooker(nc net.Conn) looker {
	switch nc := nc.(type) {
	case looker:
		return nc
	case *tls.Conn:
		if below := newLooker(nc.NetConn()); below != nil {
			return &tlsLooker{below, nc}
		}
	case syscall.Conn:
		if raw, err := nc.SyscallConn(); err == nil {
			return newSocketLooker(raw)
		}
	}
	return nil
}

// tlsLooker looks below TLS first: there every waiting record counts as
// unasked, a session ticket too. Then above it, where a record may lie that was
// read together with the last answer.
type tlsLooker struct {
	below looker
	nc    *tls.Conn
}

func (l *tlsLooker) Peek() (int, error) {
	if waiting, err := l.below.Peek(); waiting > 0 || err != nil {
		return waiting, err
	}
	if err := l.nc.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return 0, err
	}
	var b [1]byte
	n, err := l.nc.Read(b[:])
	var timeout net.Error
	switch {
	case n == 0 && err == nil:
		return 0, io.ErrNoProgress
	case n > 0, !errors.As(err, &timeout), !timeout.Timeout():
		return n, err
	}
	return 0, l.nc.SetReadDeadline(time.Time{})
}
