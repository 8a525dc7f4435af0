package inbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	shownBuffer = 128      // holds what fasthttp is shown of a head
	writeBuffer = 32 << 10 // most answers leave with one write
)

// front returns the fasthttp server. With ReduceMemoryUsage an idle connection
// costs no buffer; the read of one byte that it makes before each request, its
// price otherwise, is served by [conn.Read] from what has arrived.
func (s *Server) front(calls context.Context) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: func(rc *fasthttp.RequestCtx) {
			c := rc.Conn().(*conn)
			s.handle(calls, c.x)
			c.x.write(rc)
		},
		ErrorHandler:                  s.notShown,
		Concurrency:                   s.opts.MaxConnections + spareWorkers,
		ReadBufferSize:                shownBuffer,
		WriteBufferSize:               writeBuffer,
		ReduceMemoryUsage:             true,
		LazyRequestTime:               true,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		DisableHeaderNamesNormalizing: true,
		DisablePreParseMultipartForm:  true,
		Logger:                        quietLogger{s.opts.Log},
	}
}

// spareWorkers serve connections beyond the limit while evicted ones end.
const spareWorkers = 1024

// write hands the answer to fasthttp. Body and stream stay ours until
// [exchange.finish].
func (x *exchange) write(rc *fasthttp.RequestCtx) {
	a, c, res := x.answer, x.conn, &rc.Response
	res.SetStatusCode(a.Status)
	for i := range a.Fields {
		res.Header.AddBytesKV(a.Fields[i].Name, a.Fields[i].Value)
	}
	if a.Stream != nil {
		x.stream.from = a.Stream
		res.ImmediateHeaderFlush = true
		res.SetBodyStream(&x.stream, -1)
	} else {
		res.SetBodyRaw(a.Body)
	}
	if c.server.draining.Load() {
		c.last = true
	}
	if c.last {
		res.SetConnectionClose()
		c.more = !c.unread && a.Stream == nil
	}
}

// notShown answers what cannot be: fasthttp sees nothing but heads of ours.
func (s *Server) notShown(rc *fasthttp.RequestCtx, err error) {
	s.opts.Log.Error("fasthttp refused a constant head", "err", err)
	rc.Response.Reset()
	rc.SetStatusCode(inngest.CodeInternal.Status())
	rc.SetContentType(inngest.ContentTypeProblem)
	rc.Response.Header.Set(inngest.HeaderGatewayError, string(inngest.CodeInternal))
	rc.SetBody(inngest.Problem{Detail: "The gateway failed inside; its log says more.", Status: rc.Response.StatusCode(), Code: inngest.CodeInternal}.Body())
}

// fullAnswer is what a connection is told for which there is no room. Each is
// told another time to come back.
func fullAnswer(limit int) []byte {
	a := tooManyConnections(limit).answer(&exchange{kind: kindCall})
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.Status, fasthttp.StatusMessage(a.Status))
	for _, f := range a.Fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(a.Body)) + "\r\nConnection: close\r\n\r\n")
	b.Write(a.Body)
	return b.Bytes()
}

// A stream is the body of an answer on its way through.
type stream struct {
	from  io.ReadCloser
	bytes int64
	err   error // why the app's side broke off
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err // fasthttp asks again where some bytes came with the error
	}
	n, err := s.from.Read(p)
	s.bytes += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Close is left to [call.Answer.Release].
func (s *stream) Close() error { return nil }

// quietLogger takes what fasthttp logs about single connections: the call's own
// line says it better.
type quietLogger struct{ log *slog.Logger }

func (q quietLogger) Printf(format string, args ...any) {
	q.log.Debug("connection", "text", fmt.Sprintf(format, args...))
}
