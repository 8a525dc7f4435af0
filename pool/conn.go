package pool

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// inSize is the buffer that lives with a connection: the head of an answer and
// most bodies fit. The head of a request goes out with a body of up to
// smallBody in one write, larger bodies are never copied.
const (
	inSize    = 16 << 10
	smallBody = 8 << 10
)

// What a connection is doing; the lower bits of its state. The upper bits count
// its calls, so that a late cancellation of one call cannot hit the next.
const (
	connIdle uint64 = iota
	connBusy
	connTimedOut
	connCanceled
	connVanished

	connMask  = 7
	connShift = 3
)

// A conn is one connection to an endpoint. It belongs to one call at a time;
// only state and deadline are touched by others.
type conn struct {
	endpoint *endpoint
	nc       net.Conn
	look     looker

	state    atomic.Uint64
	deadline atomic.Int64 // on the upstream's clock; 0: nothing is waited for

	in   []byte // what was read, unread from r to w
	r, w int
	out  []byte // the head of a request, with a small body

	vec     [2][]byte // head and body of a large request
	buffers net.Buffers
	written chan written // tells the end of a large request
	writing bool

	chunks chunks
	head   head

	answered bool  // a byte of the answer came
	began    int64 // when the call was sent

	reason    string // why the sweeper takes it out
	leaving   bool   // ends after its call; with endpoint.mu held
	index     int    // in endpoint.conns
	uses      int    // calls that got an answer
	dieAt     int64  // end of its lifetime
	idleSince int64
	idleUntil int64
}

func newConn(e *endpoint, nc net.Conn, dieAt int64) *conn {
	c := &conn{endpoint: e, nc: nc, dieAt: dieAt, in: make([]byte, inSize), out: make([]byte, 0, 1<<10)}
	c.head.idle = -1 // it has not said
	c.look = newLooker(nc)
	return c
}

// begin gives the connection to a call; what it returns names this use.
func (c *conn) begin() uint64 {
	use := (c.state.Load()>>connShift+1)<<connShift | connBusy
	c.state.Store(use)
	return use
}

// end takes it from the call. False says that the call was aborted and the
// connection with it.
func (c *conn) end() bool {
	c.deadline.Store(0)
	use := c.state.Load()
	//lint:ignore SA4016 connIdle is 0 by its place in the list: the line says which state follows
	return use&connMask == connBusy && c.state.CompareAndSwap(use, use&^connMask|connIdle)
}

// abort ends the use, whoever waits in a read or write sees an error. It does
// nothing when that use is over.
func (c *conn) abort(use, why uint64) {
	if use&connMask == connBusy && c.state.CompareAndSwap(use, use&^connMask|why) {
		c.kill()
	}
}

// kill closes without a word: TLS would wait for an app that does not read.
func (c *conn) kill() {
	if nc, ok := c.nc.(*tls.Conn); ok {
		nc.NetConn().Close()
		return
	}
	c.nc.Close()
}

// overdue aborts the use if the app has been silent for too long. It tells which
// use it looked at, and for how long the app is silent.
func (c *conn) overdue(now int64) (use uint64, silence time.Duration) {
	use = c.state.Load()
	deadline := c.deadline.Load()
	if deadline == 0 {
		return use, 0
	}
	if now > deadline {
		c.abort(use, connTimedOut)
	}
	return use, c.endpoint.up.answerTimeout - time.Duration(deadline-now)
}

// cause returns why reads and writes fail: err itself, unless the use was
// aborted.
func (c *conn) cause(err error) error {
	switch c.state.Load() & connMask {
	case connTimedOut:
		return errSilent
	case connCanceled:
		return errCanceled
	case connVanished:
		return ErrVanished
	}
	return lost(err)
}

var (
	errSilent   = errors.New("the app was silent for longer than the limit")
	errCanceled = errors.New("the caller gave up")
)

// Read reads what the app sent next.
func (c *conn) Read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.in[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.receive(p)
}

// receive reads from the network. The sweeper ends it when the app is silent
// for too long: a deadline of the socket's own would cost a call more.
func (c *conn) receive(p []byte) (int, error) {
	up := c.endpoint.up
	c.deadline.Store(up.now() + int64(up.answerTimeout))
	n, err := c.nc.Read(p)
	c.deadline.Store(0)
	if n > 0 {
		c.answered = true
	} else if err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// fill reads more into the buffer. It reports errFull if there is no room.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.in) {
		if c.r == 0 {
			return errFull
		}
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	n, err := c.receive(c.in[c.w:])
	c.w += n
	if n > 0 {
		return nil // an error comes again with the next read
	}
	return err
}

var errFull = errors.New("the buffer is full")

// readLine returns the next line without its CRLF, valid until the next read.
// Lines of more than limit bytes are tooLong.
func (c *conn) readLine(limit int, tooLong error) ([]byte, error) {
	for seen := 0; ; {
		unread := c.in[c.r:c.w]
		for ; seen < len(unread); seen++ {
			if unread[seen] != '\n' {
				continue
			}
			if seen == 0 || unread[seen-1] != '\r' {
				return nil, errBareLF
			}
			c.r += seen + 1
			return unread[: seen-1 : seen-1], nil
		}
		if len(unread) >= limit {
			return nil, tooLong
		}
		switch err := c.fill(); err {
		case nil:
		case errFull:
			return nil, tooLong
		default:
			return nil, noEOF(err)
		}
	}
}

// expired tells whether an idle connection has lasted too long.
func (c *conn) expired(now int64) (reason string) {
	switch {
	case now > c.dieAt:
		return discardLifetime
	case now > c.idleUntil:
		return discardIdle
	}
	return ""
}

// examine looks whether the app closed an idle connection, or sent what nobody
// asked for.
func (c *conn) examine() (reason string) {
	switch waiting, err := c.look.Peek(); {
	case err != nil:
		return discardClosed
	case waiting > 0:
		return discardUnasked
	}
	return ""
}
