//go:build linux && (amd64 || arm64)

package inbound

import (
	"os"
	"syscall"
)

const (
	rawSupported = true
	msgMore      = 0x8000 // MSG_MORE
)

// tryRead reads what is there; false lets the caller wait until something is.
func (s *socket) tryRead(fd uintptr) bool {
	s.read, s.readErr = 0, nil
	p := s.in
	if p == nil {
		s.block = s.blocks.take(s.large)
		p = s.block.bytes
	}
	for {
		n, errno := rawRead(fd, p)
		switch errno {
		case 0:
			s.read = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			if s.block != nil {
				s.blocks.give(s.block)
				s.block = nil
			}
			return false
		default:
			s.readErr = os.NewSyscallError("read", errno)
			return true
		}
	}
}

// tryWrite writes what fits; false lets the caller wait for room.
func (s *socket) tryWrite(fd uintptr) bool {
	s.wrote, s.writeErr = 0, nil
	flags := syscall.MSG_NOSIGNAL
	if s.more {
		flags |= msgMore
	}
	for {
		n, errno := rawSend(fd, s.out, flags)
		switch errno {
		case 0:
			s.wrote = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			s.writeErr = os.NewSyscallError("write", errno)
			return true
		}
	}
}

// hungUp tells whether the caller closed its side: nothing to read, and the end
// in sight. It may be called while the connection waits for its answer.
func (s *socket) hungUp() bool {
	if s.raw == nil {
		return false
	}
	gone := false
	err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = err == nil && n == 0 || err == syscall.ECONNRESET
	})
	return gone || err != nil
}
