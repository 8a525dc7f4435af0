package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
	"time"
)

// An Answer is what the caller of a call request sees of its answer. Its bytes
// are good until the next call.
type Answer struct {
	Status     int
	SDK        bool   // an SDK made it
	Run        []byte // the run that it answers
	Refusal    []byte // X-Gateway-Error
	RetryAfter []byte
	Coding     []byte // Content-Encoding
	Size       int64  // bytes of the body as it came
	Closed     bool   // the connection is not to be used again

	length  int64 // declared; -1: none
	chunked bool
}

// maxHead bounds the head of an answer; a longer line does not fit the buffer.
const maxHead = 32 << 10

var errLongLine = errors.New("a header line that is longer than 32 KiB")

// read reads one answer and drops its body.
func (a *Answer) read(r *bufio.Reader) error {
	*a = Answer{Run: a.Run[:0], Refusal: a.Refusal[:0], RetryAfter: a.RetryAfter[:0], Coding: a.Coding[:0], length: -1}
	line, err := readLine(r)
	if err != nil {
		return fmt.Errorf("status line: %w", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return fmt.Errorf("status line %q", line)
	}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("status line %q", line)
	}
	for {
		line, err := readLine(r)
		if err != nil {
			return fmt.Errorf("head: %w", err)
		}
		if len(line) == 0 {
			break
		}
		if err := a.field(line); err != nil {
			return err
		}
	}
	return a.drop(r)
}

// field notes what matters of a header line.
func (a *Answer) field(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("header line %q", line)
	}
	value = bytes.TrimSpace(value)
	is := func(s string) bool { return len(name) == len(s) && bytes.EqualFold(name, []byte(s)) }
	switch len(name) { // most lines are none of these
	case len("X-Run-Id"):
		if is("X-Run-Id") {
			a.Run = append(a.Run, value...)
		}
	case len("Connection"):
		if is("Connection") {
			a.Closed = bytes.EqualFold(value, []byte("close"))
		}
	case len("Retry-After"):
		if is("Retry-After") {
			a.RetryAfter = append(a.RetryAfter, value...)
		}
	case len("X-Inngest-Sdk"):
		a.SDK = a.SDK || is("X-Inngest-Sdk")
	case len("Content-Length"):
		if is("Content-Length") {
			n, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("header line %q", line)
			}
			a.length = n
		}
	case len("X-Gateway-Error"):
		if is("X-Gateway-Error") {
			a.Refusal = append(a.Refusal, value...)
		}
	case len("Content-Encoding"):
		if is("Content-Encoding") {
			a.Coding = append(a.Coding, value...)
		}
	case len("Transfer-Encoding"):
		a.chunked = a.chunked || is("Transfer-Encoding")
	}
	return nil
}

func (a *Answer) drop(r *bufio.Reader) error {
	switch {
	case a.chunked:
		n, err := io.Copy(io.Discard, httputil.NewChunkedReader(r))
		if err == nil {
			_, err = r.Discard(len("\r\n")) // after the last chunk, which has no trailers
		}
		if a.Size = n; err != nil {
			return fmt.Errorf("chunked body after %d bytes: %w", n, err)
		}
	case a.length >= 0:
		n, err := r.Discard(int(a.length))
		if a.Size = int64(n); err != nil {
			return fmt.Errorf("body after %d of %d bytes: %w", n, a.length, err)
		}
	default:
		return errors.New("an answer without a length")
	}
	return nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errLongLine
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// WaitFor returns what Retry-After says, 0 if it says nothing in whole seconds.
func (a *Answer) WaitFor() time.Duration {
	n, err := strconv.Atoi(string(a.RetryAfter))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
