package pool

import (
	"io"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
)

// answer is a call.Answer with the buffers that its bytes lie in. They are used
// again once it is released.
type answer struct {
	call.Answer
	up     *Upstream
	head   []byte
	fields []call.Field
	body   budget.Buffer
	free   func(*call.Answer) // made once with the answer
}

func (u *Upstream) newAnswer(e *endpoint) *answer {
	a, ok := u.answers.Get().(*answer)
	if !ok {
		a = &answer{up: u}
		a.free = func(*call.Answer) { a.recycle() }
	}
	a.Answer = call.Answer{Endpoint: e.name, Length: -1, Free: a.free}
	a.body = u.opt.Budget.Answer(u.opt.MaxAnswer)
	return a
}

// recycle gives back what the answer held. Large heads are rare: their buffers
// are left to the garbage collector.
func (a *answer) recycle() {
	a.body.Free()
	clear(a.fields[:cap(a.fields)])
	if cap(a.head) > inSize {
		a.head, a.fields = nil, nil
	}
	a.Answer = call.Answer{}
	a.up.answers.Put(a)
}

// verdict says what an answer tells about its endpoint: errors of an SDK are
// answers of a healthy app. A backend without one has its own 404 and 500; only
// what proxies and overload answer speaks of the endpoint there.
func (a *answer) verdict(cl *call.Call) breaker.Outcome {
	switch {
	case a.Status < 400 || a.FromSDK():
		return breaker.Success
	case cl.Plain && a.Status != 502 && a.Status != 503 && a.Status != 504:
		return breaker.Success
	}
	return breaker.Failure
}

// stream is the body of an answer that is still arriving. The connection
// belongs to it until its end, and the context of the call bounds it as well.
type stream struct {
	trip    trip
	use     uint64          // of the connection, for Abort
	verdict breaker.Outcome // if it arrives whole
	err     error           // how it ended
	over    bool
}

// Read reads what arrived next. An error other than io.EOF is an *Error.
func (s *stream) Read(p []byte) (int, error) {
	if s.over {
		return 0, s.err
	}
	n, err := s.trip.conn.chunks.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		s.over, s.err = true, io.EOF
		s.trip.complete(s.verdict)
	default:
		s.over = true
		s.err = s.trip.fail(err)
	}
	return n, s.err
}

// Abort ends a Read that waits for the app, now or later, by closing the
// connection. Unlike all else here it may be called beside a Read; Close is still
// due.
func (s *stream) Abort() { s.trip.conn.abort(s.use, connCanceled) }

// Close gives up what was not read, and the connection with it.
func (s *stream) Close() error {
	if !s.over {
		s.over, s.err = true, io.ErrClosedPipe
		s.trip.giveUp()
	}
	return nil
}
