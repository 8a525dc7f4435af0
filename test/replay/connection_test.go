package replay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// patience ends what hangs; nothing here takes a hundredth of it.
const patience = 30 * time.Second

// A connection asks one thing after the other, over one connection while both
// sides keep it.
type connection struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

// send sends a request, over a new connection if there is none.
func (c *connection) send(request message) error {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(request.wire())
	return err
}

// ask sends a request and returns its answer.
func (c *connection) ask(request message) (message, error) {
	if err := c.send(request); err != nil {
		return message{}, err
	}
	answer, err := readMessage(c.reader)
	if strings.EqualFold(answer.get("Connection"), "close") {
		c.close()
	}
	return answer, noEOF(err)
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// exchange sends a request over a connection of its own and returns the answer.
// Behind it nothing may follow: where the connection ends, it must end there.
func exchange(tb testing.TB, address string, request message) message {
	tb.Helper()
	answer, err := try(address, request)
	if err != nil {
		tb.Fatalf("%s: %v", request.start, err)
	}
	return answer
}

// try is exchange for goroutines that cannot end the test.
func try(address string, request message) (message, error) {
	c := &connection{address: address}
	defer c.close()
	if err := c.send(request); err != nil {
		return message{}, err
	}
	answer, err := readMessage(c.reader)
	if err != nil {
		return answer, noEOF(err)
	}
	if strings.EqualFold(request.get("Connection"), "close") || strings.EqualFold(answer.get("Connection"), "close") {
		if more, err := io.ReadAll(c.reader); err != nil || len(more) > 0 {
			return answer, fmt.Errorf("behind the last answer came %q, %v", more, err)
		}
	}
	return answer, nil
}
