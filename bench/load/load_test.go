package load

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
)

func startApp(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, ln, app.Options{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func TestLoad_countsEveryCall(t *testing.T) {
	for name, o := range map[string]Options{
		"as fast as it goes": {Form: Form{Size: 1 << 10}},
		"new connections":    {Form: Form{Size: 1 << 10, Close: true}},
		"large bodies":       {Form: Form{Size: 256 << 10}},
		"at a fixed rate":    {Form: Form{Size: 1 << 10}, Rate: 500},
		"single events":      {Form: EventForm{Key: "key", Array: 1}},
		"arrays of events":   {Form: EventForm{Key: "key", Array: 10, Seeds: true}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Address, o.Callers, o.Limit = startApp(t), 3, 10*time.Second
			form, ok := o.Form.(Form)
			if ok {
				form.Host, form.Path, form.Key = o.Address, app.Path, testKey(t)
				o.Form = form
			} else {
				form := o.Form.(EventForm)
				form.Host = o.Address
				o.Form = form
			}
			l, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var calls int64
			for range 2 {
				r, err := l.Run(t.Context(), 30*time.Millisecond)
				if err != nil {
					t.Fatal(err)
				}
				if calls += r.Calls; r.Calls == 0 || r.Latencies.TotalCount() != r.Calls || ok && r.Bytes != r.Calls*int64(form.Size) {
					t.Errorf("Run = %d calls, %d latencies, %d bytes", r.Calls, r.Latencies.TotalCount(), r.Bytes)
				}
			}
			if most := int64(2 * 0.030 * o.Rate); o.Rate > 0 && calls > most+int64(o.Callers)*2 {
				t.Errorf("%d calls, want about %d", calls, most)
			}
		})
	}
}

func TestLoad_failsOnAnotherAnswerThanItsOwn(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"other run":   {"HTTP/1.1 200 OK\r\nX-Inngest-Sdk: a\r\nX-Run-Id: 00000000000000000000000009\r\nContent-Length: 0\r\n\r\n", "the answer is to run"},
		"refusal":     {"HTTP/1.1 503 No\r\nX-Gateway-Error: upstream_refused\r\nContent-Length: 0\r\n\r\n", "upstream_refused"},
		"not an SDK":  {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "status 200"},
		"cut short":   {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "after 3 of 9 bytes"},
		"endless":     {"HTTP/1.1 200 OK\r\n\r\n", "without a length"},
		"not HTTP":    {"SSH-2.0-OpenSSH\r\n\r\n", "status line"},
		"wrong size":  {"HTTP/1.1 200 OK\r\nX-Inngest-Sdk: a\r\nX-Run-Id: 00000000000000000000000000\r\nContent-Length: 1\r\n\r\na", "answer of 1 bytes, want 1024"},
		"chunked cut": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "chunked body after 3 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			address := answerAll(t, c.answer)
			l, err := New(Options{
				Address: address, Callers: 1, Limit: 10 * time.Second,
				Form: Form{Host: address, Path: "/", Size: 1 << 10, Key: testKey(t)},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err = l.Run(t.Context(), time.Minute); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Run = %v, want it to say %q", err, c.want)
			}
		})
	}
}

// answerAll gives every connection the same bytes after its first read.
func answerAll(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 64<<10))
			conn.Write([]byte(answer))
			conn.(*net.TCPConn).CloseWrite()
			conn.Read(make([]byte, 1))
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}
