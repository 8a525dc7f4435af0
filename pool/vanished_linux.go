package pool

import (
	"crypto/tls"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// answerWithin is how soon a host that is there acknowledges what it is sent.
const answerWithin = time.Second

// vanished tells whether the system of the other end has acknowledged nothing for
// that long although it was asked to. TCP_USER_TIMEOUT would also end connections
// to an app that reads nothing: what is asked of a closed window is answered, but
// that does not stop its clock. Here an app can be frozen for as long as it likes.
func (c *conn) vanished(after time.Duration) bool {
	nc := c.nc
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	var failed error
	err = raw.Control(func(fd uintptr) {
		info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err != nil || failed != nil {
		return false
	}
	heard, sent := milliseconds(info.Last_ack_recv), milliseconds(info.Last_data_sent)
	switch {
	case heard <= after:
		return false
	case info.Unacked > 0:
		// Repeats come ever more rarely. One that has just gone out may be
		// acknowledged in a moment.
		return sent < heard && sent >= answerWithin
	default:
		// A window that is closed is asked about, as rarely in the end; the first
		// of these questions may have just gone out.
		return info.Notsent_bytes > 0 && info.Probes > 1
	}
}

func milliseconds(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
