package pool

import (
	"bytes"
	"fmt"
	"io"
)

const (
	errChunkSize    framing = "a chunk's size is no size"
	errChunkLine    framing = "a chunk's first line is too long"
	errChunkEnd     framing = "a chunk does not end with CRLF"
	errTrailer      framing = "a trailer line is malformed"
	errTrailerLarge framing = "the trailers are too large"
)

// maxChunkLine bounds the line before a chunk: the size and its extensions,
// which nobody uses.
const maxChunkLine = 512

// chunks reads a chunked body from a connection. Extensions and trailers are
// dropped: a signature in a trailer was not there when the head was judged.
type chunks struct {
	conn  *conn
	left  int64 // of the chunk that is being read
	inner bool  // a chunk was read whose CRLF is still to come
	done  bool
	err   error
}

// Read reads the data of at most one chunk. After the last one and the trailers
// it returns io.EOF.
func (k *chunks) Read(p []byte) (int, error) {
	switch {
	case k.err != nil:
		return 0, k.err
	case k.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if k.left == 0 {
		if k.err = k.next(); k.err != nil {
			return 0, k.err
		}
		if k.done {
			return 0, io.EOF
		}
	}
	if int64(len(p)) > k.left {
		p = p[:k.left]
	}
	n, err := k.conn.Read(p)
	k.left -= int64(n)
	if err != nil {
		k.err = noEOF(err)
	}
	if n > 0 {
		return n, nil // an error comes again with the next Read
	}
	return 0, k.err
}

// next reads the line before a chunk, and behind the last chunk all the rest.
func (k *chunks) next() error {
	if k.inner {
		line, err := k.conn.readLine(len("\r\n"), errChunkEnd)
		if err != nil {
			return err
		}
		if len(line) > 0 {
			return errChunkEnd
		}
	}
	line, err := k.conn.readLine(maxChunkLine, errChunkLine)
	if err != nil {
		return err
	}
	if k.left, err = parseChunkLine(line); err != nil {
		return err
	}
	k.inner = true
	if k.left > 0 {
		return nil
	}
	k.done = true
	return k.skipTrailers()
}

func (k *chunks) skipTrailers() error {
	for budget := k.conn.endpoint.up.opt.MaxHead; ; {
		line, err := k.conn.readLine(budget, errTrailerLarge)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if _, _, err := splitField(line); err != nil {
			return fmt.Errorf("%w: %w", errTrailer, err)
		}
		budget -= len(line) + 2
	}
}

// parseChunkLine reads "hex size [;extensions]", without its CRLF.
func parseChunkLine(line []byte) (int64, error) {
	var size int64
	i := 0
	for ; i < len(line); i++ {
		d := hexDigit(line[i])
		if d < 0 {
			break
		}
		if size >= 1<<58 {
			return 0, fmt.Errorf("%w: %.40q", errChunkSize, line)
		}
		size = size<<4 | int64(d)
	}
	if i == 0 || !validExtension(line[i:]) {
		return 0, fmt.Errorf("%w: %.40q", errChunkSize, line)
	}
	return size, nil
}

// validExtension takes nothing, or what begins with a semicolon, perhaps after
// white space.
func validExtension(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	b = trimSpace(b)
	return len(b) > 0 && b[0] == ';' && validValue(b)
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// allChunks tells whether b holds a chunked body to its end. Such a body need
// not be streamed: it is here. What is malformed counts as not complete; the
// reader finds out.
func allChunks(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 1 {
			return false
		}
		size, err := parseChunkLine(b[:i-1])
		b = b[i+1:]
		switch {
		case err != nil:
			return false
		case size == 0:
			return bytes.HasPrefix(b, []byte("\r\n")) || bytes.Contains(b, []byte("\r\n\r\n"))
		case size+2 > int64(len(b)):
			return false
		}
		b = b[size+2:]
	}
}

// noEOF turns an end where none was due into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
