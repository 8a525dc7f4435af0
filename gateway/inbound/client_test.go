package inbound

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// client is a raw connection to the gateway.
type client struct {
	net.Conn
	tb testing.TB
	in *bufio.Reader
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return newClient(tb, c)
}

func newClient(tb testing.TB, c net.Conn) *client {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{c, tb, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.tb.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.tb.Fatalf("send: %v", err)
	}
}

// reply is an answer that was read whole.
type reply struct {
	*http.Response
	text string
}

func (c *client) reply(method string) reply {
	c.tb.Helper()
	r, err := c.tryReply(method)
	if err != nil {
		c.tb.Fatalf("read answer: %v", err)
	}
	return r
}

func (c *client) tryReply(method string) (reply, error) {
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(r.Body)
	return reply{r, string(body)}, err
}

// end wants the gateway to close the connection.
func (c *client) end() {
	c.tb.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF && !isReset(err) {
		c.tb.Fatalf("after the answer: byte %q, error %v, want the end of the connection", b, err)
	}
}

func isReset(err error) bool {
	return err != nil && strings.Contains(err.Error(), "connection reset")
}

// ask sends one raw request on a connection of its own.
func (g *gateway) ask(tb testing.TB, text string) reply {
	tb.Helper()
	c := dial(tb, g.addr)
	defer c.Close()
	c.send(text)
	method, _, _ := strings.Cut(text, " ")
	return c.reply(method)
}

// eventually waits for a condition that another goroutine brings about.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	deadline := time.After(15 * time.Second)
	for !is() {
		select {
		case <-deadline:
			tb.Fatalf("waited 15 s in vain until %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// problemOf reads the body of a refusal.
func problemOf(tb testing.TB, r reply) inngest.Problem {
	tb.Helper()
	var p inngest.Problem
	if err := json.Unmarshal([]byte(r.text), &p); err != nil {
		tb.Fatalf("answer %d %q is no problem: %v", r.StatusCode, r.text, err)
	}
	if got := r.Header.Get("X-Gateway-Error"); string(p.Code) != got || p.Status != r.StatusCode {
		tb.Errorf("problem %+v, status %d, X-Gateway-Error %q", p, r.StatusCode, got)
	}
	return p
}
