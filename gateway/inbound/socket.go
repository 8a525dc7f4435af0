package inbound

import (
	"io"
	"net"
	"syscall"
)

// A socket reads and writes a caller's connection. Where the connection is a
// plain TCP or unix one, on a system that allows it (socket_linux.go), it does
// so by system calls that the scheduler is not told about: they cannot block,
// and about a tenth of a call's CPU is saved (with a raw upstream exchange).
// TLS and other systems take the ordinary way.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil: the ordinary way

	// Arguments and results of one raw read and one raw write. The functions
	// are bound once: made anew for each call they would allocate.
	readable, writable func(fd uintptr) bool
	in, out            []byte
	block              *block // taken when there is something to read, where in is nil
	large              bool   // it is to be a large one
	read, wrote        int
	readErr, writeErr  error
	more               bool // hold the last segment back, the end of the connection follows
	blocks             *blocks
}

// open makes the socket of an accepted connection.
func (s *socket) open(c net.Conn, blocks *blocks) {
	s.Conn, s.blocks = c, blocks
	if sc, ok := c.(syscall.Conn); ok && rawSupported {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			s.readable, s.writable = s.tryRead, s.tryWrite
		}
	}
}

// receive reads into p.
func (s *socket) receive(p []byte) (int, error) {
	if s.raw == nil {
		return s.Conn.Read(p)
	}
	s.in = p
	err := s.raw.Read(s.readable)
	s.in = nil
	if err == nil {
		err = s.readErr
	}
	if err == nil && s.read == 0 {
		err = io.EOF
	}
	return s.read, err
}

// await waits for bytes and returns them in a block, a large one or a small one.
// While it waits it holds none: idle connections and bodies that do not come
// cost no buffer.
func (s *socket) await(large bool) (*block, int, error) {
	if s.raw == nil {
		return s.awaitOrdinary(large)
	}
	s.large = large
	_, err := s.receive(nil)
	b := s.block
	s.block = nil
	if err != nil && b != nil {
		s.blocks.give(b)
		b = nil
	}
	return b, s.read, err
}

// awaitOrdinary holds a large block while it waits, but only a byte for a small
// one.
func (s *socket) awaitOrdinary(large bool) (*block, int, error) {
	if large {
		b := s.blocks.take(true)
		n, err := s.Conn.Read(b.bytes)
		if n > 0 {
			return b, n, nil
		}
		s.blocks.give(b)
		return nil, 0, err
	}
	var first [1]byte
	n, err := s.Conn.Read(first[:])
	if n == 0 {
		return nil, 0, err
	}
	b := s.blocks.take(false)
	b.bytes[0] = first[0]
	return b, 1, nil
}

// send writes p whole. progress is called after each part.
func (s *socket) send(p []byte, progress func()) (int, error) {
	if s.raw == nil {
		return s.Conn.Write(p)
	}
	done := 0
	for done < len(p) {
		s.out = p[done:]
		err := s.raw.Write(s.writable)
		s.out = nil
		if err == nil {
			err = s.writeErr
		}
		if err != nil {
			return done, err
		}
		done += s.wrote
		if done < len(p) {
			progress()
		}
	}
	return done, nil
}
