package faultyapp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Network is a network in memory. Unlike sockets it works in the bubbles of
// testing/synctest. Its zero value is ready.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
}

// Listen takes connections to that address until the listener is closed.
func (n *Network) Listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{network: n, addr: addr(address), conns: make(chan net.Conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	n.listeners[address] = l
	return l
}

// Dial connects to a listener. Where there is none the connection is refused.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "memory", Addr: addr(address), Err: syscall.ECONNREFUSED}
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, refused
	}
	there, back := newPipe(), newPipe()
	select {
	case l.conns <- &Conn{in: there, out: back, addr: l.addr}:
		return &Conn{in: back, out: there, addr: l.addr}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	network *Network
	addr    addr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if l.network.listeners[string(l.addr)] == l {
			delete(l.network.listeners, string(l.addr))
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }

// A Conn is one end of a connection in memory.
type Conn struct {
	in, out *pipe
	addr    addr
}

// Read reads what the other end wrote.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write writes; it waits while the other end leaves too much unread.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Peek tells how many bytes wait to be read, or that the other end is gone.
func (c *Conn) Peek() (int, error) { return c.in.peek() }

// Close ends the connection: the other end reads what is on its way, then
// io.EOF.
func (c *Conn) Close() error {
	c.out.end(io.EOF, net.ErrClosed)
	c.in.end(net.ErrClosed, syscall.EPIPE)
	c.in.drop()
	return nil
}

// Reset ends the connection so that the other end's reads and writes fail.
func (c *Conn) Reset() {
	c.out.end(syscall.ECONNRESET, net.ErrClosed)
	c.out.drop()
	c.in.end(net.ErrClosed, syscall.ECONNRESET)
	c.in.drop()
}

// LocalAddr returns the address of the listener.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// RemoteAddr returns the address of the listener.
func (c *Conn) RemoteAddr() net.Addr { return c.addr }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads, those that wait already too.
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.readBy.set(c.in, t); return nil }

// SetWriteDeadline bounds writes, those that wait already too.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.out.writeBy.set(c.out, t); return nil }

// pipeSize is how much one end can write before the other reads.
const pipeSize = 64 << 10

// pipe is one direction of a connection.
type pipe struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	readErr  error // what reads return once data is empty
	writeErr error // what writes return
	readBy   deadline
	writeBy  deadline
}

func newPipe() *pipe {
	p := new(pipe)
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p.data) > 0:
			n := copy(b, p.data)
			p.data = p.data[n:]
			p.changed.Broadcast()
			return n, nil
		case p.readErr != nil:
			return 0, p.readErr
		case len(b) == 0:
			return 0, nil
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.writeErr != nil:
			return n, p.writeErr
		case p.writeBy.passed:
			return n, os.ErrDeadlineExceeded
		}
		fits := min(len(b), pipeSize-len(p.data))
		p.data = append(p.data, b[:fits]...)
		n, b = n+fits, b[fits:]
		p.changed.Broadcast()
		if len(b) == 0 {
			return n, nil
		}
		p.changed.Wait()
	}
}

func (p *pipe) peek() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.data) > 0 {
		return len(p.data), nil
	}
	return 0, p.readErr
}

// end sets what reads and writes return from now on; what came first stays.
func (p *pipe) end(readErr, writeErr error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readErr == nil || readErr == net.ErrClosed {
		p.readErr = readErr
	}
	if p.writeErr == nil || writeErr == net.ErrClosed {
		p.writeErr = writeErr
	}
	p.changed.Broadcast()
}

// drop loses what is on its way.
func (p *pipe) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = nil
}

// deadline says whether its time has passed.
type deadline struct {
	passed  bool
	timer   *time.Timer
	current int // which setting the timer belongs to
}

func (d *deadline) set(p *pipe, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.current++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if t.IsZero() {
		return
	}
	if wait := time.Until(t); wait > 0 {
		setting := d.current
		d.timer = time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if d.current == setting {
				d.passed = true
				p.changed.Broadcast()
			}
		})
		return
	}
	d.passed = true
	p.changed.Broadcast()
}
