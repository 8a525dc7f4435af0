package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A message is a request or an answer as it was on the wire, but for the coding
// of its body's transfer.
type message struct {
	start  string // first line
	fields []recorded.Header
	body   []byte

	// Of a body in chunks: the first has so many bytes, or half of them where it
	// is 0, and the second follows when that channel is closed, if there is one.
	first int
	then  <-chan struct{}
}

// get returns the value of the first field of that name, empty without one.
func (m *message) get(name string) string {
	for _, f := range m.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// word returns the n-th word of the first line.
func (m *message) word(n int) string {
	words := strings.SplitN(m.start, " ", 3)
	return words[min(n, len(words)-1)]
}

// status returns the status of an answer, 0 of a request.
func (m *message) status() int {
	n, _ := strconv.Atoi(m.word(1))
	return n
}

// wire returns the message as it is sent.
func (m *message) wire() []byte {
	first, rest := m.parts()
	return append(first, rest...)
}

// parts returns the message as it is sent: its fields as they stand, a length
// that it lacks, and a body in two chunks where it says so, of which the second
// is rest.
func (m *message) parts() (first, rest []byte) {
	var b bytes.Buffer
	b.WriteString(m.start + "\r\n")
	for _, f := range m.fields {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	if strings.EqualFold(m.get("Transfer-Encoding"), "chunked") {
		cut := m.first
		if cut == 0 {
			cut = len(m.body) / 2
		}
		b.WriteString("\r\n" + chunk(m.body[:cut]))
		return b.Bytes(), []byte(chunk(m.body[cut:]) + "0\r\n\r\n")
	}
	if len(m.body) > 0 && m.get("Content-Length") == "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(m.body))
	}
	b.WriteString("\r\n")
	b.Write(m.body)
	return b.Bytes(), nil
}

func chunk(b []byte) string {
	if len(b) == 0 {
		return "" // would be the last
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(b), b)
}

// readMessage reads one message. io.EOF means that there was none.
func readMessage(r *bufio.Reader) (message, error) {
	var m message
	var err error
	if m.start, err = readLine(r); err != nil {
		return m, err
	}
	for {
		line, err := readLine(r)
		if err != nil {
			return m, noEOF(err)
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return m, fmt.Errorf("header line %q", line)
		}
		m.fields = append(m.fields, recorded.Header{Name: name, Value: value})
	}
	m.body, err = m.readBody(r)
	return m, noEOF(err)
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if err == io.EOF && line != "" {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("line %q does not end with CR LF", line)
	}
	return text, nil
}

func (m *message) readBody(r *bufio.Reader) ([]byte, error) {
	length, coding := m.get("Content-Length"), m.get("Transfer-Encoding")
	switch {
	case length != "" && coding != "":
		return nil, errors.New("both a length and a transfer coding")
	case coding == "chunked":
		return readChunks(r)
	case length != "":
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil, err
		}
		body := make([]byte, n)
		_, err = io.ReadFull(r, body)
		return body, err
	case coding != "":
		return nil, fmt.Errorf("transfer coding %q", coding)
	case strings.HasPrefix(m.start, "HTTP/") && m.status() >= 200 && m.status() != 204 && m.status() != 304:
		return nil, errors.New("an answer without a length and without a transfer coding")
	}
	return nil, nil
}

func readChunks(r *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := readLine(r)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			at := len(body)
			body = append(body, make([]byte, n)...)
			if _, err := io.ReadFull(r, body[at:]); err != nil {
				return nil, err
			}
		}
		end, err := readLine(r)
		if err != nil {
			return nil, err
		}
		if end != "" {
			return nil, fmt.Errorf("%q behind a chunk", end)
		}
		if n == 0 {
			return body, nil
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// endToEnd returns the fields that belong to the message and not to a
// connection, each as "name: value" with the name in lower case, sorted. Names
// in without are left out too.
func endToEnd(fields []recorded.Header, without ...string) []string {
	hop := []string{"connection", "keep-alive", "transfer-encoding", "content-length"}
	lines := []string{}
	for _, f := range fields {
		name := strings.ToLower(f.Name)
		if !slices.Contains(hop, name) && !slices.ContainsFunc(without, func(w string) bool { return strings.EqualFold(w, name) }) {
			lines = append(lines, name+": "+f.Value)
		}
	}
	slices.Sort(lines)
	return lines
}

// with returns the fields with the one of that name replaced, added or, where
// the value is empty, left out.
func with(fields []recorded.Header, name, value string) []recorded.Header {
	kept := []recorded.Header{}
	for _, f := range fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	if value != "" {
		kept = append(kept, recorded.Header{Name: name, Value: value})
	}
	return kept
}

// requestOf and answerOf return the two sides of a recording.
func requestOf(x recorded.Exchange) message {
	return message{
		start:  x.Request.Method + " " + x.Request.Target + " HTTP/1.1",
		fields: slices.Clone(x.Request.Headers),
		body:   x.Request.Body,
	}
}

func answerOf(x recorded.Exchange) message {
	return message{
		start:  fmt.Sprintf("HTTP/1.1 %d Recorded", x.Response.Status),
		fields: slices.Clone(x.Response.Headers),
		body:   x.Response.Body,
	}
}
