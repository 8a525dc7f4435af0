//go:build unix

package pool

import (
	"io"
	"syscall"
)

// socketLooker reads one byte without taking it and without waiting.
type socketLooker struct {
	raw     syscall.RawConn
	peek    func(fd uintptr) bool // made once: a new one for each look would be allocated
	buf     [1]byte
	waiting int
	err     error
}

func newSocketLooker(raw syscall.RawConn) looker {
	l := &socketLooker{raw: raw}
	l.peek = l.recv
	return l
}

// recv always returns true: it is not to be called again when bytes arrive.
func (l *socketLooker) recv(fd uintptr) bool {
	l.waiting, l.err = 0, nil
	for {
		n, _, err := syscall.Recvfrom(int(fd), l.buf[:], syscall.MSG_PEEK)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return true // the one sign of health
		case err != nil:
			l.err = err
		case n == 0:
			l.err = io.EOF
		}
		l.waiting = max(n, 0)
		return true
	}
}

func (l *socketLooker) Peek() (int, error) {
	if err := l.raw.Read(l.peek); err != nil {
		return 0, err
	}
	return l.waiting, l.err
}
