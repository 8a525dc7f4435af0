package pool

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// head is what the head of an answer says. An answer that could be read in two
// ways is no answer: the reading that the next parser prefers would decide
// where the next call's answer begins.
type head struct {
	status    int
	minor     int           // of HTTP/1.minor
	fields    []call.Field  // end-to-end, in order; they point into what was parsed
	length    int64         // Content-Length, -1 without
	chunked   bool          // the body is sent in chunks
	close     bool          // the app closes the connection
	keepAlive bool          // an HTTP/1.0 app keeps it
	idle      time.Duration // Keep-Alive: timeout, -1 without
	lists     [][]byte      // values of Connection that name further fields
}

// framing is what makes it doubtful where an answer begins or ends.
type framing string

// Error returns the doubt.
func (f framing) Error() string { return string(f) }

const (
	errStatusLine  framing = "no HTTP/1.0 or 1.1 status line"
	errBareLF      framing = "a line ends without CR"
	errFieldName   framing = "a field name is no token"
	errFieldValue  framing = "a field value has control characters"
	errFolded      framing = "a header line is folded"
	errBothLengths framing = "both Content-Length and Transfer-Encoding"
	errLength      framing = "Content-Length is no length"
	errLengths     framing = "several Content-Length that differ"
	errCoding      framing = "Transfer-Encoding is not chunked"
	errCoding10    framing = "Transfer-Encoding in HTTP/1.0"
	errUpgrade     framing = "a 101 that nobody asked for"
	errInterim     framing = "too many interim answers"
	errExtra       framing = "bytes behind the answer: it may not be this call's, or not whole"
)

const statusPrefix = "HTTP/1."

// findHead returns the length of the head that b begins with, 0 if it is not
// complete. from is where the last search ended; next is where to go on.
func findHead(b []byte, from int) (length, next int, err error) {
	if n := min(len(b), len(statusPrefix)); string(b[:n]) != statusPrefix[:n] {
		return 0, 0, errStatusLine // at once: what is no answer may never send a line end
	}
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0, from, nil
		}
		i += from
		if i == 0 || b[i-1] != '\r' {
			return 0, 0, errBareLF
		}
		if i == from+1 {
			return i + 1, i + 1, nil
		}
		from = i + 1
	}
}

// parse reads a complete head, which findHead has cut out of the stream. It
// appends to fields.
func (h *head) parse(b []byte, fields []call.Field) error {
	*h = head{fields: fields, length: -1, idle: -1}
	line, rest := cutLine(b)
	if err := h.parseStatus(line); err != nil {
		return err
	}
	var coded bool
	for line, rest = cutLine(rest); len(line) > 0; line, rest = cutLine(rest) {
		name, value, err := splitField(line)
		if err != nil {
			return err
		}
		keep := true
		switch kindOf(name) {
		case fieldLength:
			keep, err = false, h.setLength(value)
		case fieldCoding:
			if coded || !equalFold(value, "chunked") {
				return errCoding
			}
			keep, coded = false, true
		case fieldConnection:
			keep = false
			h.setConnection(value)
		case fieldKeepAlive:
			keep = false
			h.idle = keepAliveTimeout(value)
		case fieldHop:
			keep = false
		}
		if err != nil {
			return err
		}
		if keep {
			h.fields = append(h.fields, call.Field{Name: name, Value: value})
		}
	}
	h.chunked = coded
	if coded && h.length >= 0 {
		return errBothLengths
	}
	if coded && h.minor == 0 {
		return errCoding10
	}
	if h.lists != nil {
		h.dropListed()
	}
	return nil
}

// cutLine returns the first line without its CRLF, and what follows it.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 {
		return nil, nil
	}
	return b[:i-1], b[i+1:]
}

// parseStatus reads "HTTP/1.x NNN reason". Some servers leave out the reason
// and the space before it.
func (h *head) parseStatus(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != statusPrefix || line[8] != ' ' {
		return errStatusLine
	}
	switch line[7] {
	case '0', '1':
		h.minor = int(line[7] - '0')
	default:
		return errStatusLine
	}
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return errStatusLine
		}
		h.status = 10*h.status + int(d-'0')
	}
	if h.status < 100 || h.status > 599 {
		return errStatusLine
	}
	if len(line) > 12 && (line[12] != ' ' || !validValue(line[13:])) {
		return errStatusLine
	}
	return nil
}

// splitField splits a header line; white space around the value goes.
func splitField(line []byte) (name, value []byte, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return nil, nil, errFolded
	}
	i := 0
	for i < len(line) && isToken(line[i]) {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return nil, nil, fmt.Errorf("%w: %.40q", errFieldName, line)
	}
	name, value = line[:i:i], trimSpace(line[i+1:])
	if !validValue(value) {
		return nil, nil, fmt.Errorf("%w: %s", errFieldValue, name)
	}
	return name, value, nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b[:len(b):len(b)]
}

func validValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// setLength takes the value of a Content-Length; one that is repeated must be
// the same.
func (h *head) setLength(value []byte) error {
	n, ok := parseDecimal(value)
	if !ok {
		return fmt.Errorf("%w: %.40q", errLength, value)
	}
	if h.length >= 0 && h.length != n {
		return errLengths
	}
	h.length = n
	return nil
}

// parseDecimal reads digits and nothing else.
func parseDecimal(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n int64
	for _, d := range b {
		if d < '0' || d > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = 10*n + int64(d-'0')
	}
	return n, true
}

// keepAliveTimeout returns N of "timeout=N, max=M", -1 if it is not there.
func keepAliveTimeout(value []byte) time.Duration {
	for part := range bytes.SplitSeq(value, []byte{','}) {
		name, number, _ := bytes.Cut(part, []byte{'='})
		if n, ok := parseDecimal(trimSpace(number)); ok && equalFold(trimSpace(name), "timeout") {
			return time.Duration(min(n, 86400)) * time.Second
		}
	}
	return -1
}

// reusable tells whether the app will read another request on the connection.
func (h *head) reusable() bool {
	return !h.close && (h.minor == 1 || h.keepAlive)
}

// bodiless tells whether an answer has no body, whatever its fields declare.
func (h *head) bodiless(method string) bool {
	return method == "HEAD" || h.status == 204 || h.status == 304
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
