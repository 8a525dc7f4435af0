package inbound

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
)

const (
	gzipLevel = 1 // answers are JSON: level 6 saves a tenth more for three times the time
	brLevel   = 2
)

// coders are spare compressors.
type coders struct{ gzip, br sync.Pool }

// A coder compresses into a writer that it is given.
type coder interface {
	io.WriteCloser
	Reset(io.Writer)
}

func (c *coders) take(coding string) coder {
	if coding == "br" {
		if w, ok := c.br.Get().(*brotli.Writer); ok {
			return w
		}
		return brotli.NewWriterLevel(io.Discard, brLevel)
	}
	if w, ok := c.gzip.Get().(*gzip.Writer); ok {
		return w
	}
	w, _ := gzip.NewWriterLevel(io.Discard, gzipLevel) // the level is a valid one
	return w
}

func (c *coders) give(w coder) {
	w.Reset(io.Discard) // keeps nothing of the answer
	switch w := w.(type) {
	case *brotli.Writer:
		c.br.Put(w)
	case *gzip.Writer:
		c.gzip.Put(w)
	}
}

// compress compresses a whole, large, plain answer towards Inngest, after it
// was signed: signatures cover what the server reads after inflating.
func (s *Server) compress(ctx context.Context, x *exchange, a *call.Answer) {
	if s.opts.CompressFrom == 0 || !x.route.Compress || a.Stream != nil || len(a.Body) < s.opts.CompressFrom ||
		a.Has("Content-Encoding") || a.Has("Content-Range") || a.Status < 200 || a.Status == 204 || a.Status == 304 || noTransform(a) {
		return
	}
	addVary(a)
	coding := codingFor(x.head.acceptEncoding)
	if coding == "" {
		return
	}
	// Where memory is short the answer goes as it is: it is here already.
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	packed := s.opts.Budget.Answer(len(a.Body) - 1)
	w := s.coders.take(coding)
	w.Reset(&bufferWriter{ctx, &packed})
	_, err := w.Write(a.Body)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	s.coders.give(w)
	if err != nil { // it did not get smaller, or the budget is spent
		packed.Free()
		return
	}
	x.packed = packed
	a.Body = packed.Bytes()
	a.Set("Content-Encoding", coding)
	weaken(a)
	s.opts.Metrics.Compressed.WithLabelValues(x.route.App, coding).Inc()
}

// A bufferWriter writes into a buffer. With a context that has ended it does
// not wait for memory.
type bufferWriter struct {
	ctx    context.Context
	buffer *budget.Buffer
}

func (w *bufferWriter) Write(p []byte) (int, error) {
	if err := w.buffer.Write(w.ctx, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// noTransform tells whether the answer forbids changes of its form.
func noTransform(a *call.Answer) bool {
	for _, f := range a.Fields {
		if equalFold(f.Name, "cache-control") && bytes.Contains(bytes.ToLower(f.Value), []byte("no-transform")) {
			return true
		}
	}
	return false
}

// addVary says that the answer depends on Accept-Encoding.
func addVary(a *call.Answer) {
	for i := range a.Fields {
		f := &a.Fields[i]
		if !equalFold(f.Name, "vary") {
			continue
		}
		lower := bytes.ToLower(f.Value)
		if !bytes.Contains(lower, []byte("accept-encoding")) && !bytes.Contains(lower, []byte("*")) {
			f.Value = append(append([]byte{}, f.Value...), ", Accept-Encoding"...)
		}
		return
	}
	a.Set("Vary", "Accept-Encoding")
}

// weaken makes a strong entity tag a weak one: the bytes are other ones now.
func weaken(a *call.Answer) {
	if tag := a.Get("ETag"); len(tag) > 0 && tag[0] == '"' {
		a.Set("ETag", "W/"+string(tag))
	}
}

// codingFor returns the coding that an Accept-Encoding header prefers, br where
// it likes both alike, or none.
func codingFor(accept []byte) string {
	best, weight := "", 0.0
	for _, coding := range [...]string{"gzip", "br"} {
		if q := weightOf(accept, coding); q > 0 && q >= weight {
			best, weight = coding, q
		}
	}
	return best
}

// weightOf returns how much an Accept-Encoding header likes a coding, 0 if not
// at all. A header that is not there offers nothing: few callers without it can
// inflate.
func weightOf(accept []byte, coding string) float64 {
	weight := 0.0
	for item := range bytes.SplitSeq(accept, comma) {
		name, parameters, _ := bytes.Cut(item, []byte(";"))
		name = trim(name)
		if !equalFold(name, coding) && string(name) != "*" {
			continue
		}
		q := 1.0
		if p, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(string(parameters), " ", "")), "q="); ok {
			if parsed, err := strconv.ParseFloat(p, 64); err == nil && parsed >= 0 && parsed <= 1 {
				q = parsed
			} else {
				q = 0
			}
		}
		if string(name) != "*" {
			return q
		}
		weight = q
	}
	return weight
}
