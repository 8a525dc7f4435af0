package outbound

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Answers of known length up to this are not flushed before their body is
// there: they come in one piece.
const onePiece = 64 << 10

// answer passes Inngest's answer to the app as it comes.
func (s *Server) answer(rc *fasthttp.RequestCtx, x *exchange, a *http.Response) {
	res := &rc.Response
	copyHead(res, a)
	if !x.body.upload.over() {
		// Inngest answers before it has the whole body. What is left of it
		// would be read as the next request.
		res.SetConnectionClose()
	}
	if x.q.method == http.MethodHead || a.ContentLength == 0 || bodyless(a.StatusCode) {
		a.Body.Close()
		x.finish()
		if x.q.method == http.MethodHead {
			res.SkipBody = true
			res.Header.SetContentLength(int(max(a.ContentLength, 0)))
		}
		return
	}
	res.ImmediateHeaderFlush = a.ContentLength < 0 || a.ContentLength > onePiece
	res.SetBodyStream(&answerStream{
		server: s,
		rc:     rc,
		x:      x,
		body:   a.Body,
		silent: time.AfterFunc(s.opts.StreamIdle, func() { x.cancel(errSilent) }),
	}, int(a.ContentLength))
}

var (
	errSilent = errors.New("nothing came for too long")
	errClosed = errors.New("the app did not read the whole answer")
)

func bodyless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// copyHead copies status and fields of an answer. Date is written by the
// server itself, and says the same.
func copyHead(res *fasthttp.Response, a *http.Response) {
	res.SetStatusCode(a.StatusCode)
	listed := strings.Join(a.Header.Values("Connection"), ",")
	for name, values := range a.Header {
		if !passes(name, listed) {
			continue
		}
		for _, v := range values {
			res.Header.Add(name, v)
		}
	}
}

// An answerStream is the body of an answer on its way to the app. The server
// reads it after the handler has returned, and closes it.
type answerStream struct {
	server *Server
	rc     *fasthttp.RequestCtx
	x      *exchange
	body   io.ReadCloser
	silent *time.Timer // ends the exchange when nothing comes
	err    error       // how it ended
}

func (a *answerStream) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	a.silent.Reset(a.server.opts.StreamIdle)
	n, err := a.body.Read(p)
	if n > 0 {
		// The app must take what is written next.
		if err := a.rc.SetWriteDeadline(time.Now().Add(a.server.opts.StreamIdle)); err != nil {
			return 0, err
		}
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("answer of inngest: %w", err)
		a.server.opts.Log.Warn("answer to an app cut", "route", a.x.q.route.name, "path", a.x.q.logPath(), "err", err)
	}
	if err != nil {
		a.end(err)
	}
	return n, err
}

// Close ends the exchange; what Inngest still wants to say is not read.
func (a *answerStream) Close() error {
	a.end(errClosed)
	return nil
}

func (a *answerStream) end(how error) {
	if a.err != nil {
		return
	}
	a.err = how
	a.silent.Stop()
	a.body.Close()
	a.x.finish()
	a.server.ended()
}
