package replay

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A double stands for an app, or for Inngest. It answers byte for byte what the
// test says and keeps what it got.
type double struct {
	address  string
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	answer   func(message) message
	requests []message
	accepted int
	conns    []net.Conn
	broken   []error
}

// startDouble starts a double that answers nothing yet: a request before
// [double.answers] fails the test.
func startDouble(tb testing.TB) *double {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d := &double{address: ln.Addr().String(), listener: ln}
	d.serving.Go(d.accept)
	tb.Cleanup(func() {
		ln.Close()
		d.mu.Lock()
		for _, c := range d.conns {
			c.Close()
		}
		d.mu.Unlock()
		d.serving.Wait()
		for _, err := range d.broken {
			tb.Errorf("double at %s: %v", d.address, err)
		}
	})
	return d
}

func (d *double) url() string { return "http://" + d.address }

// answers makes f answer all requests from now on, and forgets those that came.
func (d *double) answers(f func(message) message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer, d.requests = f, nil
}

// says makes one message the answer to all requests from now on.
func (d *double) says(m message) { d.answers(func(message) message { return m }) }

// got returns the requests since the last [double.answers].
func (d *double) got() []message {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests)
}

// connections returns how many connections were accepted so far.
func (d *double) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accepted
}

func (d *double) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.accepted++
		d.conns = append(d.conns, c)
		d.mu.Unlock()
		d.serving.Go(func() {
			defer c.Close()
			if err := d.serve(c); err != nil && !errors.Is(err, net.ErrClosed) {
				d.mu.Lock()
				d.broken = append(d.broken, err)
				d.mu.Unlock()
			}
		})
	}
}

func (d *double) serve(c net.Conn) error {
	r := bufio.NewReader(c)
	for {
		request, err := readMessage(r)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		answer, ok := d.respond(request)
		if !ok {
			return errors.New("not expected: " + request.start)
		}
		if err := send(c, answer); err != nil {
			return err
		}
		switch {
		case answer.status() == 101:
			_, err := io.Copy(c, r) // what it hears it says
			return err
		case strings.EqualFold(answer.get("Connection"), "close"):
			return nil
		}
	}
}

// send writes an answer, chunked ones in two steps.
func send(c net.Conn, answer message) error {
	first, rest := answer.parts()
	if _, err := c.Write(first); err != nil {
		return err
	}
	if answer.then != nil {
		<-answer.then
	}
	_, err := c.Write(rest)
	return err
}

// respond keeps a request and returns its answer. That of the gateway which
// asks only whether Inngest is there is none of the test's.
func (d *double) respond(request message) (message, bool) {
	if request.start == "GET /health HTTP/1.1" {
		return message{start: "HTTP/1.1 200 OK", fields: fields("Content-Length", "0")}, true
	}
	d.mu.Lock()
	d.requests = append(d.requests, request)
	answer := d.answer
	d.mu.Unlock()
	if answer == nil {
		return message{}, false
	}
	return answer(request), true
}
