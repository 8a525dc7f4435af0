package devserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wireApp reads requests as they are on the wire: the names of the header
// lines in their order. It answers each with the next reply.
type wireApp struct {
	listener net.Listener
	mu       sync.Mutex
	heads    [][]string
	perConn  []int // requests on each connection
	done     sync.WaitGroup
}

func newWireApp(t *testing.T, replies ...string) *wireApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &wireApp{listener: l}
	a.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			a.done.Go(func() { a.serve(conn, &replies) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		a.done.Wait()
	})
	return a
}

func (a *wireApp) serve(conn net.Conn, replies *[]string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	tp := textproto.NewReader(r)
	a.mu.Lock()
	a.perConn = append(a.perConn, 0)
	n := len(a.perConn) - 1
	a.mu.Unlock()
	for {
		if _, err := tp.ReadLine(); err != nil { // the request line
			return
		}
		var names []string
		length := 0
		for {
			line, err := tp.ReadLine()
			if err != nil {
				return
			}
			if line == "" {
				break
			}
			name, value, _ := strings.Cut(line, ": ")
			names = append(names, name)
			if name == "Content-Length" {
				fmt.Sscan(value, &length)
			}
		}
		if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
			return
		}
		a.mu.Lock()
		a.heads = append(a.heads, names)
		a.perConn[n]++
		body := `{}`
		if len(*replies) > 0 {
			body, *replies = (*replies)[0], (*replies)[1:]
		}
		a.mu.Unlock()
		status := "200 OK"
		if strings.HasPrefix(body, "[") {
			status = "206 Partial Content"
		}
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\nX-Inngest-Sdk: js:v4.24.0\r\nX-Inngest-Req-Version: 2\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}

func TestServer_callsOnANewConnectionEachWithTheRecordedHead(t *testing.T) {
	app := newWireApp(t, "["+stepRun("a", "1")+"]", `"done"`)
	s, base := newServer(t, Options{})
	d := newDouble(t, nil)
	function := strings.ReplaceAll(d.manifest("js-app-wire", on("t/wire"), 4, ""), d.front.URL, "http://"+app.listener.Addr().String())
	d.register(base, function)
	if run := runOf(t, s, send(t, s, "t/wire", map[string]any{})); run.Status != Completed {
		t.Fatalf("run is %s: %s", run.Status, run.Error)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if diff := cmp.Diff([]int{1, 1}, app.perConn); diff != "" {
		t.Errorf("requests per connection:\n%s", diff)
	}
	for i, number := range []string{"05", "13"} {
		var want []string
		for _, f := range record(t, number).Request.Headers {
			want = append(want, f[0])
		}
		if diff := cmp.Diff(want, app.heads[i]); diff != "" {
			t.Errorf("header lines of call %d (-recording %s +sent):\n%s", i, number, diff)
		}
	}
}
