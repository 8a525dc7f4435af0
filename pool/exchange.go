package pool

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// maxInterim is how many 1xx answers may come before the answer.
const maxInterim = 8

// writeGrace is how long the end of an exchange waits for the other direction:
// what is done but has not said so yet says it at once.
const writeGrace = 20 * time.Millisecond

var errHeadTooLarge = errors.New("the head is larger than the limit")

// written is how the writing of a large request ended.
type written struct {
	n   int64
	err error
}

// exchange sends a call and receives its answer: whole, or up to the head where
// the body is to be streamed. sent tells whether a byte of the call went out.
func (c *conn) exchange(ctx context.Context, cl *call.Call) (a *answer, sent bool, err error) {
	if sent, err = c.send(cl); err != nil {
		return nil, sent, err
	}
	a = c.endpoint.up.newAnswer(c.endpoint)
	err = c.receiveAnswer(ctx, cl, a)
	if err == nil && a.Stream == nil && c.r != c.w && c.doubtful(cl.Method) {
		err = errExtra
	}
	if err != nil {
		a.Free = nil
		a.recycle()
		return nil, sent, err
	}
	return a, sent, nil
}

// doubtful tells whether what follows an answer puts it in doubt: the answer may
// have been shorter or longer than it declared, or another call's, with this
// one's behind it. An empty line is harmless, and so is the body of a first
// answer that must have none.
func (c *conn) doubtful(method string) bool {
	if c.uses == 0 && c.head.bodiless(method) {
		return false
	}
	for _, b := range c.in[c.r:c.w] {
		if b != '\r' && b != '\n' {
			return true
		}
	}
	return false
}

// send writes the call. A small one goes out in one write; a large one is
// written by a goroutine of its own, because the app may answer before it has
// read all, and then waits until somebody reads.
func (c *conn) send(cl *call.Call) (sent bool, err error) {
	up := c.endpoint.up
	c.answered = false
	c.began = up.now()
	c.deadline.Store(c.began + int64(up.answerTimeout))
	c.out = c.endpoint.appendHead(c.out[:0], cl)
	if len(cl.Body) > smallBody {
		if c.written == nil {
			c.written = make(chan written, 1)
		}
		c.vec = [2][]byte{c.out, cl.Body}
		c.writing = true
		go c.writeLarge()
		return true, nil
	}
	c.out = append(c.out, cl.Body...)
	n, err := c.nc.Write(c.out)
	if cap(c.out) > inSize {
		c.out = nil
	}
	return n > 0, err
}

func (c *conn) writeLarge() {
	c.buffers = c.vec[:]
	n, err := c.buffers.WriteTo(c.nc)
	c.vec = [2][]byte{}
	if err != nil {
		// What the app said before it stopped reading is here by now; more will
		// not come. The connection is not used again.
		c.nc.SetReadDeadline(time.Now().Add(writeGrace))
	}
	c.written <- written{n, err}
}

// finishWriting waits until all of a request is written. An app that answers
// before it has read all never reads the rest: then the connection is closed
// and false returned. Either way the body is the caller's again.
func (c *conn) finishWriting() (all bool) {
	if !c.writing {
		return true
	}
	c.writing = false
	select {
	case w := <-c.written:
		return w.err == nil
	default:
	}
	timer := time.NewTimer(writeGrace)
	defer timer.Stop()
	select {
	case w := <-c.written:
		return w.err == nil
	case <-timer.C:
	}
	c.kill()
	<-c.written
	return false
}

// appendHead appends the head of a request: the target and lines that the
// caller has validated, and what only the exchange knows.
func (e *endpoint) appendHead(b []byte, cl *call.Call) []byte {
	b = append(b, cl.Method...)
	b = append(b, ' ')
	b = append(b, cl.Target...)
	b = append(b, e.versionAndHost...)
	b = append(b, cl.Head...)
	if len(cl.Signature) > 0 {
		b = append(b, inngest.HeaderSignature+": "...)
		b = append(b, cl.Signature...)
		b = append(b, "\r\n"...)
	}
	if len(cl.Body) > 0 || cl.Method == "POST" || cl.Method == "PUT" || cl.Method == "PATCH" {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(cl.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// receiveAnswer reads the head of the answer, and its body unless that is to be
// streamed.
func (c *conn) receiveAnswer(ctx context.Context, cl *call.Call, a *answer) error {
	if err := c.receiveHead(a); err != nil {
		return err
	}
	c.endpoint.up.observeHead(c.began)
	h := &c.head
	switch {
	case h.bodiless(cl.Method):
		// A 204 that declares a body leaves in doubt whether one follows.
		h.close = h.close || h.status == 204 && (h.chunked || h.length > 0)
		return nil
	case h.chunked:
		c.chunks = chunks{conn: c}
		if !cl.WholeAnswer && h.status != 206 && h.status < 400 && !allChunks(c.in[c.r:c.w]) {
			a.Stream = new(stream)
			return nil
		}
		_, err := a.body.ReadFrom(ctx, &c.chunks, -1)
		a.Body = a.body.Bytes()
		return err
	case h.length >= 0:
		err := c.receiveBody(ctx, a, h.length)
		a.Body = a.body.Bytes()
		return err
	default:
		h.close = true // its end is the body's end
		_, err := a.body.ReadFrom(ctx, c, -1)
		a.Body = a.body.Bytes()
		return err
	}
}

// receiveHead reads heads until one is no interim answer.
func (c *conn) receiveHead(a *answer) error {
	for interim := 0; ; interim++ {
		length, err := c.bufferHead()
		if err != nil {
			return err
		}
		a.head = append(a.head[:0], c.in[c.r:c.r+length]...)
		c.r += length
		err = c.head.parse(a.head, a.fields[:0])
		a.Fields, a.fields = c.head.fields, c.head.fields[:0]
		switch {
		case err != nil:
			return err
		case c.head.status >= 200:
			a.Status = c.head.status
			return nil
		case c.head.status == 101:
			return errUpgrade
		case interim == maxInterim:
			return errInterim
		}
	}
}

// bufferHead reads until the buffer holds a complete head, which grows for it
// up to the limit, and returns its length.
func (c *conn) bufferHead() (int, error) {
	limit := c.endpoint.up.opt.MaxHead
	for next := 0; ; {
		unread := c.in[c.r:c.w]
		var length int
		var err error
		if len(unread) > 0 {
			length, next, err = findHead(unread, next)
		}
		switch {
		case err != nil:
			return 0, err
		case length > limit || length == 0 && len(unread) >= limit:
			return 0, errHeadTooLarge
		case length > 0:
			return length, nil
		}
		switch err = c.fill(); {
		case err == errFull:
			c.in = append(make([]byte, 0, 2*len(c.in)), c.in...)
			c.in = c.in[:cap(c.in)]
		case err != nil && len(unread) > 0:
			return 0, noEOF(err)
		case err != nil:
			return 0, err
		}
	}
}

// receiveBody reads a body of that length: what fits into the connection's
// buffer in as few reads as it arrives in, the rest straight into its place.
func (c *conn) receiveBody(ctx context.Context, a *answer, length int64) error {
	if limit := c.endpoint.up.opt.MaxAnswer; length > int64(limit) {
		return budget.ErrTooLarge
	}
	if length <= int64(len(c.in)-c.r) {
		for int64(c.w-c.r) < length {
			if err := c.fill(); err != nil {
				return noEOF(err)
			}
		}
	}
	here := c.in[c.r:min(c.w, c.r+int(length))]
	if len(here) > 0 {
		if err := a.body.Append(ctx, here, length); err != nil {
			return err
		}
		c.r += len(here)
	}
	if rest := length - int64(len(here)); rest > 0 {
		_, err := a.body.ReadFrom(ctx, c, rest)
		return noEOF(err)
	}
	return nil
}

// fit prepares the connection for its next call, or says why there is none.
func (c *conn) fit() (reason string) {
	if len(c.in) > inSize {
		c.in = make([]byte, inSize)
	}
	switch {
	case c.r != c.w:
		return discardUnasked
	case !c.head.reusable():
		return discardClosed
	case c.look == nil:
		return discardBroken
	}
	c.r, c.w = 0, 0
	c.uses++
	return ""
}
