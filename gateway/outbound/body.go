package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

var errUploadOver = errors.New("the exchange is over")

// An upload is what of a body is still to come. The transport may read it in a
// goroutine of its own after the answer has begun; [upload.stop] ends that
// before the server goes on with the connection.
type upload struct {
	conn     net.Conn
	idle     time.Duration // longest silence
	came     func()        // called when something was read
	finished func()        // called once, when all of it was read
	stopping atomic.Bool

	mu     sync.Mutex // held while reading
	stream io.Reader
	err    error // why reading ended, io.EOF included
	cause  error // what went wrong on the app's side
}

func (u *upload) read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return 0, u.err
	}
	// The server sets its own deadline again before the next request.
	if err := u.conn.SetReadDeadline(time.Now().Add(u.idle)); err != nil {
		u.err = err
		return 0, err
	}
	// After the deadline: who sets stopping sets a deadline of its own next.
	if u.stopping.Load() {
		u.err = errUploadOver
		return 0, u.err
	}
	n, err := u.stream.Read(p)
	switch {
	case err == io.EOF:
		u.err = err
		u.finished()
	case err == nil:
		u.came()
	default:
		u.err = err
		if !u.stopping.Load() {
			u.cause = err
		}
	}
	return n, err
}

// stop makes a read that waits return, and later ones fail. It tells whether
// all was read: if not, the connection is of no use any more.
func (u *upload) stop() (complete bool) {
	if u == nil {
		return true
	}
	u.stopping.Store(true)
	if !u.mu.TryLock() {
		// A read waits, or is about to and will look at stopping.
		_ = u.conn.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed connection
		u.mu.Lock()
	}
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = errUploadOver
	}
	return u.err == io.EOF
}

// over tells, without waiting, whether reading has ended.
func (u *upload) over() bool {
	if u == nil {
		return true
	}
	if !u.mu.TryLock() {
		return false
	}
	defer u.mu.Unlock()
	return u.err != nil
}

// failure returns what went wrong on the app's side before stop, nil if
// nothing did.
func (u *upload) failure() *refusal {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cause == nil {
		return nil
	}
	return bodyRefusal(u.cause, "outbound.stream_idle")
}

// bodyRefusal says what to answer when a body did not arrive. Setting names the
// limit of its time.
func bodyRefusal(err error, setting string) *refusal {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{status: http.StatusRequestTimeout, code: inngest.CodeBodyTooSlow, err: err,
			detail: "The body of the request did not arrive in time.", setting: setting}
	case errors.Is(err, budget.ErrExhausted):
		return &refusal{status: http.StatusServiceUnavailable, code: inngest.CodeMemoryExhausted, err: err,
			detail: "The gateway holds as many bodies as it may; try again.", setting: "limits.memory"}
	default:
		return &refusal{status: http.StatusBadRequest, code: inngest.CodeMalformedRequest, err: err,
			detail: "The body of the request could not be read to its end."}
	}
}

// A body is what is sent to Inngest, at least once.
type body struct {
	length int64   // of all of it, -1 unknown
	upload *upload // what is still to come; nil: nothing

	mu     sync.Mutex
	buffer budget.Buffer // what was read before the first attempt
	freed  bool
}

// free gives the buffer back. The transport of an answer that came early may
// still want to read: it gets an error.
func (b *body) free() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed = true
	b.buffer.Free()
}

// again tells whether the body can be sent once more.
func (b *body) again() bool { return b.upload == nil }

// reader returns the body from its start.
func (b *body) reader() io.ReadCloser {
	if b.length == 0 {
		return http.NoBody
	}
	return &bodyReader{body: b}
}

// A bodyReader reads a body once.
type bodyReader struct {
	body *body
	at   int // in the buffer
}

func (r *bodyReader) Read(p []byte) (int, error) {
	if n, err := r.buffered(p); n > 0 || err != nil {
		return n, err
	}
	if r.body.upload == nil {
		return 0, io.EOF
	}
	return r.body.upload.read(p)
}

func (r *bodyReader) buffered(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	if r.body.freed {
		return 0, errUploadOver
	}
	n := copy(p, r.body.buffer.Bytes()[min(r.at, r.body.buffer.Len()):])
	r.at += n
	return n, nil
}

// Close does nothing: the transport closes what it has only partly read, and
// what happens to the rest is for the server to say.
func (r *bodyReader) Close() error { return nil }

// readBody takes the body of a request: whole if it fits the limit, else, or
// if the route is a stream by nature, as it arrives.
func (s *Server) readBody(ctx context.Context, rc *fasthttp.RequestCtx, q *request) (*body, *refusal) {
	b := &body{buffer: s.opts.Budget.Request(s.opts.MaxBody), length: q.length}
	if q.length == 0 {
		return b, nil
	}
	stream := rc.RequestBodyStream()
	if stream == nil {
		return b, malformed("The request declares a body that is not there.")
	}
	if !q.route.stream && q.length <= int64(s.opts.MaxBody) {
		whole, err := s.buffer(ctx, rc, &b.buffer, stream, q.length)
		if err != nil {
			b.free()
			return b, bodyRefusal(err, "outbound.body_timeout")
		}
		if whole {
			b.length = int64(b.buffer.Len())
			return b, nil
		}
	}
	b.upload = &upload{conn: rc.Conn(), idle: s.opts.StreamIdle, stream: stream}
	return b, nil
}

// buffer reads a body until its end or until the buffer is full, and tells
// which it was.
func (s *Server) buffer(ctx context.Context, rc *fasthttp.RequestCtx, buf *budget.Buffer, stream io.Reader, length int64) (whole bool, err error) {
	if err := rc.Conn().SetReadDeadline(time.Now().Add(s.opts.BodyTimeout)); err != nil {
		return false, err
	}
	for int64(buf.Len()) != length {
		more := int64(-1)
		if length >= 0 {
			more = length - int64(buf.Len())
		}
		room, err := buf.Room(ctx, more)
		if errors.Is(err, budget.ErrTooLarge) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if more >= 0 {
			room = room[:min(int64(len(room)), more)]
		}
		n, err := stream.Read(room)
		buf.Advance(n)
		switch {
		case err == io.EOF && length >= 0 && int64(buf.Len()) < length:
			return false, io.ErrUnexpectedEOF
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// readWhole reads a body that must fit the limit.
func (s *Server) readWhole(ctx context.Context, rc *fasthttp.RequestCtx, q *request) (*body, *refusal) {
	b, r := s.readBody(ctx, rc, q)
	if r == nil && b.upload != nil {
		b.free()
		return b, &refusal{status: http.StatusRequestEntityTooLarge, code: inngest.CodeBodyTooLarge,
			detail: "The body is larger than the gateway takes; it was not sent on.",
			limit:  sizeText(s.opts.MaxBody), setting: "limits.body"}
	}
	return b, r
}
