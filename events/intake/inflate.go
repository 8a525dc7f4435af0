package intake

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Codings are the content codings that Inflate undoes, for Accept-Encoding in
// the answer to another one.
const Codings = "gzip, zstd, br"

// maxWindow is the memory that a zstd frame may ask for. 8 MiB is what the
// format's specification asks decoders to support.
const maxWindow = 8 << 20

// Spare decoders: each costs more to make than a small body to inflate.
var (
	gzips   sync.Pool
	zstds   sync.Pool
	brotlis sync.Pool
)

// Inflate undoes a content coding. What it gives never has more than limit
// bytes, and it holds at most twice as many. An error is an *Error. The result
// is body itself if there is nothing to undo.
func Inflate(coding string, body []byte, limit int) ([]byte, error) {
	coding = strings.ToLower(strings.TrimSpace(coding))
	if len(body) == 0 || coding == "" || coding == "identity" {
		if len(body) > limit {
			return nil, wholeError(http.StatusRequestEntityTooLarge, RuleBodySize, "body has %d bytes, limit %d", len(body), limit)
		}
		return body, nil
	}
	var plain []byte
	var err error
	switch coding {
	case "gzip", "x-gzip":
		plain, err = gunzip(body, limit)
	case "zstd":
		plain, err = unzstd(body, limit)
	case "br":
		plain, err = unbrotli(body, limit)
	default:
		return nil, wholeError(http.StatusUnsupportedMediaType, RuleCoding, "content coding %q is not known, want one of: %s", shorten([]byte(coding)), Codings)
	}
	switch {
	case err != nil:
		return nil, wholeError(http.StatusBadRequest, RuleCoding, "body is no valid %s: %s", coding, err)
	case len(plain) > limit:
		return nil, wholeError(http.StatusRequestEntityTooLarge, RuleBodySize, "body has more than %d bytes when inflated", limit)
	}
	return plain, nil
}

func gunzip(body []byte, limit int) ([]byte, error) {
	z, ok := gzips.Get().(*gzip.Reader)
	if !ok {
		z = new(gzip.Reader)
	}
	defer gzips.Put(z)
	if err := z.Reset(bytes.NewReader(body)); err != nil {
		return nil, err
	}
	return readUpTo(z, len(body), limit)
}

func unzstd(body []byte, limit int) ([]byte, error) {
	z, ok := zstds.Get().(*zstd.Decoder)
	if !ok {
		var err error
		// Concurrency 1 starts no goroutine.
		if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true)); err != nil {
			return nil, err
		}
	}
	defer zstds.Put(z)
	if err := z.Reset(bytes.NewReader(body)); err != nil {
		return nil, err
	}
	return readUpTo(z, len(body), limit)
}

func unbrotli(body []byte, limit int) ([]byte, error) {
	from := bytes.NewReader(body)
	z, ok := brotlis.Get().(*brotli.Reader)
	if !ok {
		z = brotli.NewReader(from)
	} else if err := z.Reset(from); err != nil {
		return nil, err
	}
	defer brotlis.Put(z)
	return readUpTo(z, len(body), limit)
}

// readUpTo reads at most one byte more than limit into a buffer that grows with
// what arrives. A coded body is small beside what it becomes: a guess of four
// times saves most of the growing.
func readUpTo(from io.Reader, coded, limit int) ([]byte, error) {
	buf := make([]byte, 0, min(max(4*coded, 512), limit+1))
	for idle := 0; idle < 100; idle++ {
		if len(buf) == cap(buf) {
			if len(buf) > limit {
				return buf, nil
			}
			grown := make([]byte, len(buf), min(2*len(buf), limit+1))
			copy(grown, buf)
			buf = grown
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		if buf = buf[:len(buf)+n]; n > 0 {
			idle = 0
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, io.ErrNoProgress
}
