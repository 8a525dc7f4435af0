package pool

import (
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// breaking is an app that does with its first connection what it is told, and
// answers on the others.
func breaking(t *testing.T, network string, first func(net.Conn)) (endpoint string, accepted *atomic.Int64) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "app.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if accepted.Add(1) == 1 {
				first(c)
			} else {
				readCall(c, 1)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: js:v4\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	if network == "unix" {
		return "unix://" + address, accepted
	}
	return "http://" + l.Addr().String(), accepted
}

// readCall reads a part of a call; 1 is all of it.
func readCall(c net.Conn, part float64) {
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		got.Write(buf[:n])
		head, body, whole := bytes.Cut(got.Bytes(), []byte("\r\n\r\n"))
		if err != nil || whole && float64(len(body)) >= part*float64(lengthOf(head)) {
			return
		}
	}
}

func lengthOf(head []byte) (n int) {
	_, rest, _ := bytes.Cut(head, []byte("Content-Length: "))
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// waitForCall returns when bytes can be read, and reads one of them.
func waitForCall(c net.Conn) { c.Read(make([]byte, 1)) }

func TestDo_sendsAgainWhatTheAppDidNotReadToItsEnd(t *testing.T) {
	small, large := "x", strings.Repeat("x", 8<<20)
	for name, c := range map[string]struct {
		app   func(net.Conn)
		body  string
		plain bool
		want  int // connections
	}{
		"nothing read":                    {waitForCall, small, false, 2},
		"half of it read":                 {func(c net.Conn) { readCall(c, 0.5) }, large, false, 2},
		"all of it read":                  {func(c net.Conn) { readCall(c, 1) }, small, false, 1},
		"all of a large one read":         {func(c net.Conn) { readCall(c, 1) }, large, false, 1},
		"nothing read, app without SDK":   {waitForCall, small, true, 1},
		"an answer began, nothing read":   {func(c net.Conn) { waitForCall(c); io.WriteString(c, "H") }, small, false, 1},
		"half an answer, half of it read": {func(c net.Conn) { readCall(c, 0.5); io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") }, large, false, 1},
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+"/"+network, func(t *testing.T) {
				endpoint, accepted := breaking(t, network, c.app)
				u := run(t, options(t, endpoint))
				cl := post(c.body)
				cl.Plain = c.plain
				cl.Identity = inngest.Identity{RunID: "01J", JobID: "job"}
				a, err := u.Do(t.Context(), cl)
				resends := testutil.ToFloat64(u.opt.Metrics.Resends.WithLabelValues("shop", "unsent"))
				if c.want == 1 {
					if e := wantError(t, err, inngest.CodeUpstreamReset); !e.Sent || accepted.Load() != 1 || resends != 0 {
						t.Errorf("sent %v, %d connections, %v resends; want one that may have worked on the call", e.Sent, accepted.Load(), resends)
					}
					return
				}
				if err != nil {
					t.Fatalf("Do = %v", err)
				}
				if got := read(t, a); got != "ok" || accepted.Load() != 2 || resends != 1 {
					t.Errorf("answer %q, %d connections, %v resends", got, accepted.Load(), resends)
				}
			})
		}
	}
}

// The app closes an idle connection while a call is on its way.
func TestUnread_knowsWhatCameAfterTheClose(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ours, theirs net.Conn)
		want bool
	}{
		"closed before the call came": {func(ours, theirs net.Conn) {
			theirs.Close()
			waitForEnd(t, ours)
			io.WriteString(ours, "call")
		}, true},
		"closed after it was read": {func(ours, theirs net.Conn) {
			io.WriteString(ours, "call")
			io.ReadFull(theirs, make([]byte, 4))
			theirs.Close()
		}, false},
		"closed before it was read": {func(ours, theirs net.Conn) {
			io.WriteString(ours, "call")
			waitForCall(theirs)
			theirs.Close()
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair(t)
			c.do(ours, theirs)
			_, err := ours.Read(make([]byte, 1))
			if err == nil {
				t.Fatal("the connection is still there")
			}
			if got := (&conn{nc: ours}).unread(err); got != c.want {
				t.Errorf("unread after %v = %v, want %v", err, got, c.want)
			}
		})
	}
	t.Run("another kind of connection", func(t *testing.T) {
		ours, theirs := net.Pipe()
		theirs.Close()
		if (&conn{nc: ours}).unread(io.EOF) || (&conn{nc: ours}).unread(errors.New("broken")) {
			t.Error("there is a proof where there is no socket")
		}
	})
}

// waitForEnd waits until the other side's close has come, and reads nothing.
func waitForEnd(t *testing.T, c net.Conn) {
	eventually(t, newLooker(c), "the end", func(_ int, err error) bool { return err == io.EOF })
}
