package inbound

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// maxCodings bounds how often one answer is inflated.
const maxCodings = 4

// undoCoding inflates an answer whose coding Inngest does not know. It knows a
// single gzip or br; anything else, identity too, fails the attempt. Where the
// answer is signed anew, no coding may stay at all.
func (s *Server) undoCoding(ctx context.Context, x *exchange, a *call.Answer) *refusal {
	whole := x.route.Pair.NeedsWhole()
	codings := codingsOf(a)
	keeps := codings == nil || len(codings) == 1 && (codings[0] == "gzip" || codings[0] == "br") && !whole
	if !keeps && onlyIdentity(codings) {
		a.Del("Content-Encoding")
		keeps = true
	}
	if !keeps || whole && a.Status != 201 {
		if r := x.hold(ctx, a); r != nil {
			return r
		}
	}
	if keeps {
		return nil
	}
	if len(codings) > maxCodings {
		return x.badCoding(a, errors.New("too many codings"))
	}
	a.Del("Content-Encoding")
	for _, coding := range slices.Backward(codings) {
		if coding == "identity" {
			continue
		}
		if r := x.inflate(ctx, a, coding); r != nil {
			return r
		}
	}
	return nil
}

// codingsOf returns the codings of an answer in the order in which they were
// applied, nil if it has no such header.
func codingsOf(a *call.Answer) []string {
	var codings []string
	for _, f := range a.Fields {
		if !equalFold(f.Name, "content-encoding") {
			continue
		}
		if codings == nil {
			codings = []string{}
		}
		for token := range strings.SplitSeq(string(f.Value), ",") {
			if token = strings.ToLower(strings.Trim(token, " \t")); token != "" {
				codings = append(codings, token)
			}
		}
	}
	return codings
}

func onlyIdentity(codings []string) bool {
	return !slices.ContainsFunc(codings, func(c string) bool { return c != "identity" })
}

// inflate undoes one coding of a whole answer. What it comes to is limited as
// an answer is.
func (x *exchange) inflate(ctx context.Context, a *call.Answer, coding string) *refusal {
	decoder, err := decoderFor(coding, bytes.NewReader(a.Body))
	if err != nil {
		return x.badCoding(a, err)
	}
	defer decoder.Close()
	plain := x.server.opts.Budget.Answer(int(x.server.opts.MaxAnswer))
	source := &decodeReader{from: decoder}
	if _, err := plain.ReadFrom(ctx, source, -1); err != nil {
		plain.Free()
		if source.err != nil {
			return x.badCoding(a, fmt.Errorf("%s: %w", coding, source.err))
		}
		return x.notHeld(a, err)
	}
	x.held.Free()
	x.held = plain
	a.Body = plain.Bytes()
	return nil
}

func (x *exchange) badCoding(a *call.Answer, cause error) *refusal {
	r := x.badAnswer(inngest.CodeUpstreamEncoding, a,
		"compressed its answer in a way that Inngest does not know and the gateway cannot undo (Content-Encoding)")
	r.cause = cause
	return r
}

// A decodeReader remembers the error of what it reads from, so that a broken
// coding is told from a spent budget.
type decodeReader struct {
	from io.Reader
	err  error
}

func (d *decodeReader) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}

// decoderFor returns a reader that undoes one coding.
func decoderFor(coding string, from io.Reader) (io.ReadCloser, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(from)
	case "br":
		return io.NopCloser(brotli.NewReader(from)), nil
	case "deflate":
		return inflater(from)
	case "zstd":
		d, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("coding %q is not known", coding)
}

// zstdWindow bounds what a decoder holds: the largest window that RFC 9659
// allows on the web.
const zstdWindow = 8 << 20

// inflater undoes deflate: zlib by the standard, but some send it without the
// header.
func inflater(from io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(from)
	if h, err := b.Peek(2); err == nil && h[0]&0x0f == 8 && (int(h[0])<<8|int(h[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}
