package inbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
)

// continueAnswer asks a caller that waits for it to send its body.
const continueAnswer = "HTTP/1.1 100 Continue\r\n\r\n"

// readBody reads the body. What has arrived with the head stays where it is;
// the rest goes into a buffer that grows with what arrives, whatever length was
// declared.
func (s *Server) readBody(ctx context.Context, x *exchange) *refusal {
	c, h := x.conn, &x.head
	if !h.chunked && h.length <= int64(c.end-c.begin) {
		end := c.begin + int(h.length)
		x.call.Body = c.block.bytes[c.begin:end:end]
		c.begin = end
		c.enter(phaseBusy)
		return nil
	}
	c.arrived.Store(0)
	c.enter(phaseBody)
	if h.expect && c.begin == c.end {
		if _, err := c.send([]byte(continueAnswer), c.wroteSome); err != nil {
			return x.brokenBody(err)
		}
		c.enter(phaseBody)
	}
	x.keepHead()
	x.body = s.opts.Budget.Request(int(s.opts.MaxBody))
	var err error
	if h.chunked {
		err = x.readChunks(ctx)
	} else {
		err = x.readLength(ctx, h.length)
	}
	if err == nil && !c.enter(phaseBusy) {
		err = errInterrupted
	}
	if err != nil {
		return x.brokenBody(err)
	}
	if c.begin == c.end { // the app may work for hours
		c.release()
	}
	x.call.Body = x.body.Bytes()
	return nil
}

// errInterrupted says that the sweeper lost patience with a body.
var errInterrupted = errors.New("interrupted by the sweeper")

// keepHead keeps the block that the head is in. What arrived behind it moves to
// another one, to be read from there.
func (x *exchange) keepHead() {
	c := x.conn
	x.block, c.block = c.block, nil
	behind := x.block.bytes[c.begin:c.end]
	c.begin, c.end = 0, 0
	if len(behind) > 0 {
		c.block = x.server.blocks.take(len(behind) > smallBlock)
		c.end = copy(c.block.bytes, behind)
	}
}

// readLength reads a body of known length. Room for more is made only when
// there is something to put there.
func (x *exchange) readLength(ctx context.Context, left int64) error {
	c := x.conn
	for left > 0 {
		if c.begin == c.end {
			if err := c.fill(); err != nil {
				return err
			}
		}
		n := min(left, int64(c.end-c.begin))
		if err := x.store(ctx, c.take(int(n)), left); err != nil {
			return err
		}
		left -= n
		if left > 0 {
			c.release()
		}
		for room := x.body.Spare(); len(room) > 0 && left > 0; {
			n, err := c.receive(room[:min(left, int64(len(room)))])
			if err := c.came(n, err); err != nil {
				return err
			}
			x.body.Advance(n)
			room = room[n:]
			left -= int64(n)
		}
	}
	return nil
}

// store appends what arrived, of more that was expected; -1: nobody knows. It waits while the budget is spent: the caller is
// not to blame for that time.
func (x *exchange) store(ctx context.Context, p []byte, more int64) error {
	c := x.conn
	if len(p) <= len(x.body.Spare()) {
		return x.body.Append(ctx, p, more)
	}
	before := c.phase.Load()
	if !c.enter(phaseMemory) {
		return errInterrupted
	}
	if err := x.body.Append(ctx, p, more); err != nil {
		return err
	}
	if _, since := split(c.phase.Load()); since == x.server.clock.Load() {
		c.phase.Store(before) // took no time
		return nil
	}
	c.enter(phaseBody)
	return nil
}

// came counts what a read brought. A body that ends while more of it is expected
// is broken.
func (c *conn) came(n int, err error) error {
	if n > 0 {
		c.arrived.Add(int64(n))
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// fill waits for more of the body.
func (c *conn) fill() (err error) {
	c.release()
	c.block, c.end, err = c.await(true)
	return c.came(c.end, err)
}

// take takes n bytes of what arrived.
func (c *conn) take(n int) []byte {
	p := c.block.bytes[c.begin : c.begin+n]
	c.begin += n
	return p
}

// brokenBody is the refusal of a body that did not come whole. Where it ends is
// not known, so nothing is read after it.
func (x *exchange) brokenBody(err error) *refusal {
	c := x.conn
	c.last, c.unread = true, true
	limits := &x.server.opts
	var bad *chunkError
	switch {
	case c.current() == phaseSlow || errors.Is(err, errInterrupted):
		c.Conn.SetReadDeadline(time.Time{}) // the sweeper set one to wake us
		c.enter(phaseBusy)
		return bodyTooSlow(limits.MinBodyRate)
	case errors.Is(err, budget.ErrTooLarge):
		return bodyTooLarge("The body of the request is too large", limits.MaxBody)
	case errors.Is(err, errDrained):
		return draining(err)
	case errors.Is(err, budget.ErrExhausted):
		return memoryExhausted(limits.Budget.Max(), err)
	case errors.As(err, &bad):
		return malformed(bad.why)
	default:
		r := malformed("its body ends too early")
		r.cause = fmt.Errorf("read body: %w", err)
		return r
	}
}

// skipBody passes over the body of a refused request if it is there already;
// else no request can follow it.
func (x *exchange) skipBody() {
	c, h := x.conn, &x.head
	if !h.chunked && h.length <= int64(c.end-c.begin) {
		c.begin += int(h.length)
		return
	}
	c.last, c.unread = true, true
}
