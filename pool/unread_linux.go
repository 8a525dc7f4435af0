package pool

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unreadPoll is how often a connection that ended is asked what became of the
// last bytes that it took, for as long as writeGrace.
const unreadPoll = time.Millisecond

// unread tells whether a connection that broke before a byte of an answer came
// proves that its other end never read the call to its end. The system says so
// where that end is on this host: it resets a connection that is closed with
// bytes unread, or to which bytes come after its close; one that was closed with
// everything read ends without a reset. Between hosts something else may reset.
func (c *conn) unread(err error) bool {
	raw := sameHost(c.nc)
	if raw == nil {
		return false
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	case err != io.EOF:
		return false
	}
	// The end came before the bytes did. They are answered with a reset that
	// comes at any moment; what the other end took before it closed was
	// acknowledged with the end.
	for end := time.Now().Add(writeGrace); ; <-time.After(unreadPoll) {
		var reset, waiting int
		var failed error
		if raw.Control(func(fd uintptr) {
			if reset, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); failed == nil {
				waiting, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			}
		}) != nil || failed != nil {
			return false
		}
		if reset != 0 || waiting == 0 || time.Now().After(end) {
			return reset != 0
		}
	}
}

// sameHost returns the socket of a connection whose other end is on this host,
// nil for any other.
func sameHost(nc net.Conn) syscall.RawConn {
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	if here, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		there, ok := nc.RemoteAddr().(*net.TCPAddr)
		if !ok || !there.IP.IsLoopback() && !there.IP.Equal(here.IP) {
			return nil
		}
	} else if _, ok := nc.(*net.UnixConn); !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
