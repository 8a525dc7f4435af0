package load

import (
	"bufio"
	"fmt"
	"net"
	"time"
)

// A Caller makes one call after the other. It belongs to one goroutine.
type Caller struct {
	address string
	fresh   bool // a new connection for each call
	limit   time.Duration
	conn    net.Conn
	buffer  *bufio.Reader
	out     []byte
	answer  Answer
}

// joined is the size up to which head and body leave in one write.
const joined = 64 << 10

// NewCaller returns a caller of address; a call may take as long as limit.
func NewCaller(address string, fresh bool, limit time.Duration) *Caller {
	return &Caller{address: address, fresh: fresh, limit: limit, buffer: bufio.NewReaderSize(nil, maxHead)}
}

// Call sends a prepared request and reads its answer. After an error the next
// call has a connection of its own.
func (c *Caller) Call(r *Request) (*Answer, error) { return c.call(r) }

func (c *Caller) call(r message) (*Answer, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return nil, err
		}
	}
	err := c.exchange(r)
	if err != nil || c.fresh || c.answer.Closed {
		c.Close()
	}
	if err != nil {
		return nil, err
	}
	return &c.answer, nil
}

func (c *Caller) dial() error {
	conn, err := net.DialTimeout("tcp", c.address, c.limit)
	if err != nil {
		return err
	}
	c.conn = conn
	c.buffer.Reset(conn)
	return nil
}

func (c *Caller) exchange(r message) error {
	if err := c.conn.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return err
	}
	var err error
	head, body := r.parts()
	if len(body) <= joined {
		c.out = append(append(c.out[:0], head...), body...)
		_, err = c.conn.Write(c.out)
	} else {
		parts := net.Buffers{head, body}
		_, err = parts.WriteTo(c.conn)
	}
	if err != nil {
		// Who refuses a body early answers before it closes.
		if c.answer.read(c.buffer) == nil {
			c.answer.Closed = true
			return nil
		}
		return fmt.Errorf("send: %w", err)
	}
	return c.answer.read(c.buffer)
}

// Close closes the connection, if one is open.
func (c *Caller) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
