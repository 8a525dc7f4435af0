package inbound

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What fasthttp is shown instead of the caller's head: it needs to know only
// whether the answer has a body and which version the caller speaks.
const (
	shown     = "GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"
	shownHTTP = "GET / HTTP/1.0\r\nHost: gateway\r\n\r\n"
	shownHead = "HEAD / HTTP/1.1\r\nHost: gateway\r\n\r\n"
)

// A conn is a caller's connection. To fasthttp it is a connection on which one
// constant head after the other arrives; the real ones it reads and judges
// itself, so that one parser alone decides what a request is. Bodies are read
// by the handler.
type conn struct {
	socket
	server *Server

	// Where the connection is and since when, for the sweeper; see phase.
	phase    atomic.Uint64
	arrived  atomic.Int64 // bytes of the body that is read
	progress progress     // the sweeper's own

	block       *block // block.bytes[begin:end] arrived and is not used yet
	begin, end  int
	left        string    // of what is shown to fasthttp
	x           *exchange // the request that is not answered whole yet
	last        bool      // no request follows
	unread      bool      // the caller may still be sending what nobody reads
	peer        [64]byte
	peerLen     int
	trusted     bool // the peer is a proxy that is believed
	closed      sync.Once
	writeFailed error
	gone        func() bool // tells whether the caller hung up

	newer, older *conn // in the registry
}

// Read gives fasthttp the head of the next request when there is one.
func (c *conn) Read(p []byte) (int, error) {
	if c.left == "" {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Write sends a part of an answer.
func (c *conn) Write(p []byte) (int, error) {
	c.enter(phaseWrite)
	n, err := c.send(p, c.wroteSome)
	if err != nil {
		c.writeFailed = err
		c.unread = false
		return n, err
	}
	c.enter(phaseBusy)
	return n, nil
}

func (c *conn) wroteSome() { c.enter(phaseWrite) }

// next ends the request before and reads the head of the next one. An error
// ends the connection.
func (c *conn) next() error {
	c.finish()
	if c.last {
		return io.EOF
	}
	if c.begin == c.end {
		c.release()
		if err := c.wait(); err != nil {
			return err
		}
	}
	if !c.enter(phaseHead) {
		return net.ErrClosed
	}
	x := c.server.newExchange(c)
	c.x = x
	raw, refused, err := c.readHead()
	if err != nil {
		return err
	}
	x.received = time.Now()
	if refused == nil {
		refused = x.head.read(raw, c.server.opts.MaxURI)
	}
	switch {
	case bytes.HasPrefix(raw, []byte("HEAD ")):
		c.left = shownHead
	case x.head.http10:
		c.left = shownHTTP
	default:
		c.left = shown
	}
	if refused != nil {
		x.refused = refused
		c.last, c.unread = true, true
	}
	c.last = c.last || x.head.close || c.server.draining.Load()
	return nil
}

// wait waits for the first bytes of a request.
func (c *conn) wait() error {
	if c.server.draining.Load() && c.current() != phaseFresh {
		return io.EOF
	}
	if c.current() != phaseFresh {
		c.enter(phaseIdle)
		if c.server.draining.Load() { // began just now: the sweep that closes idle connections may have passed
			return io.EOF
		}
	}
	b, n, err := c.await(false)
	if err != nil {
		return err
	}
	c.block, c.begin, c.end = b, 0, n
	return nil
}

// release gives the block back, which holds nothing any more that is needed.
func (c *conn) release() {
	if c.block != nil {
		c.server.blocks.give(c.block)
		c.block = nil
	}
	c.begin, c.end = 0, 0
}

// readHead reads until the head is complete, and takes it. A refused head is
// returned as far as it arrived. An error says that the caller went away.
func (c *conn) readHead() ([]byte, *refusal, error) {
	limit := c.server.opts.MaxHead
	scanned := 0 // bytes from c.begin on in which no end was found
	for {
		arrived := c.block.bytes[c.begin:c.end]
		n, complete, refused := scanHead(arrived, scanned)
		switch {
		case refused != nil:
			return arrived, refused, nil
		case complete && n == len(crlf) && c.x.blank == 0:
			// One empty line before a request is ignored (RFC 9112, section 2.2).
			c.x.blank++
			c.begin += n
			scanned = 0
			continue
		case n >= limit && n > c.server.opts.MaxURI && !bytes.Contains(arrived, crlf):
			return arrived, uriTooLong(n, c.server.opts.MaxURI), nil
		case n > limit || n == limit && !complete:
			return arrived, headTooLarge(limit), nil
		case complete:
			c.begin += n
			return arrived[:n], nil, nil
		}
		scanned = n
		if err := c.readMore(); err != nil {
			return nil, nil, err
		}
	}
}

// scanHead looks for the empty line that ends a head, from the offset on. It
// returns how many bytes belong to the head, or were looked at. Nobody has to
// wait for the end of a head with a line that does not end with CR LF.
func scanHead(b []byte, from int) (n int, complete bool, r *refusal) {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return len(b), false, nil
		}
		from += i + 1
		if from < 2 || b[from-2] != '\r' {
			return from, false, malformed("a line of the head does not end with CR LF")
		}
		if from == 2 || b[from-3] == '\n' {
			return from, true, nil
		}
	}
}

// readMore reads more of a head, into a larger block if it must.
func (c *conn) readMore() error {
	if c.end == len(c.block.bytes) {
		to := c.block
		if c.begin == 0 {
			to = c.server.blocks.take(true)
		}
		c.end = copy(to.bytes, c.block.bytes[c.begin:c.end])
		c.begin = 0
		if to != c.block {
			c.server.blocks.give(c.block)
			c.block = to
		}
	}
	n, err := c.receive(c.block.bytes[c.end:])
	c.end += n
	if n > 0 {
		return nil
	}
	return err
}

// finish ends a request whose answer has been written, or never will be.
func (c *conn) finish() {
	x := c.x
	if x == nil {
		return
	}
	c.x = nil
	x.finish(c.writeFailed)
	c.server.exchanges.Put(x)
}

// Close ends the connection. fasthttp calls it when the loop of requests is
// over.
func (c *conn) Close() error {
	var err error
	c.closed.Do(func() {
		if c.unread {
			c.linger()
		}
		err = c.Conn.Close()
		c.finish()
		c.release()
		c.server.conns.remove(c)
	})
	return err
}

// abort closes the socket under whoever reads or writes. TLS would say goodbye
// first, which can take seconds.
func (c *conn) abort() {
	if secure, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		secure.NetConn().Close()
		return
	}
	c.Conn.Close()
}

// linger lets a caller that still sends read the answer first: closing now
// would reset the connection, and the answer could be lost with it. The sweeper
// bounds it.
func (c *conn) linger() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if !c.enter(phaseLinger) {
		return
	}
	b := c.server.blocks.take(true)
	defer c.server.blocks.give(b)
	for n := int64(0); n < c.server.opts.MaxBody; {
		got, err := c.receive(b.bytes)
		if err != nil {
			return
		}
		n += int64(got)
	}
}

// remote returns the peer's address as text, empty for a unix socket.
func (c *conn) remote() []byte { return c.peer[:c.peerLen] }

// proto is the scheme that the caller used.
func (c *conn) proto() string {
	if _, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return "https"
	}
	return "http"
}
