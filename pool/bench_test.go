package pool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/valyala/fasthttp"
)

// echoApp answers every request with its body, as cheaply as a Go program can:
// what is measured is the caller.
func echoApp(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
	return l.Addr().String()
}

func echo(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	var body, out []byte
	for {
		length := 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
			if name, value, _ := bytes.Cut(line, []byte(": ")); string(name) == "Content-Length" {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
			}
		}
		if cap(body) < length {
			body = make([]byte, length)
		}
		if _, err := io.ReadFull(in, body[:length]); err != nil {
			return
		}
		out = append(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Inngest-Sdk: go:v1.0.0\r\n"+
			"X-Inngest-Req-Version: 2\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Length: "...)
		out = append(strconv.AppendInt(out, int64(length), 10), "\r\n\r\n"...)
		out = append(out, body[:length]...)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func BenchmarkDo(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		address := echoApp(b)
		cl := post(string(bytes.Repeat([]byte("x"), size)))
		b.Run(fmt.Sprintf("%dKiB/pool", size>>10), func(b *testing.B) {
			u := run(b, options(b, "http://"+address))
			ctx := context.Background() // as the gateway calls: a caller that hangs up cancels nothing
			for range cleanRests + 1 { // until connections are used again without a rest
				mustDo(b, u, cl)
			}
			b.SetBytes(int64(2 * size))
			b.ReportAllocs()
			for b.Loop() {
				a, err := u.Do(ctx, cl)
				if err != nil {
					b.Fatal(err)
				}
				if len(a.Body) != size {
					b.Fatal("short")
				}
				a.Release()
			}
		})
		b.Run(fmt.Sprintf("%dKiB/fasthttp", size>>10), func(b *testing.B) {
			client := &fasthttp.HostClient{Addr: address, ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10}
			defer client.CloseIdleConnections()
			b.SetBytes(int64(2 * size))
			b.ReportAllocs()
			for b.Loop() {
				request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				request.SetRequestURIBytes(cl.Target)
				request.Header.SetHost(address)
				request.Header.SetMethod("POST")
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("X-Run-Id", "01J")
				request.Header.SetBytesV("X-Inngest-Signature", cl.Signature)
				request.SetBodyRaw(cl.Body)
				if err := client.Do(request, answer); err != nil {
					b.Fatal(err)
				}
				if len(answer.Body()) != size {
					b.Fatal("short")
				}
				fasthttp.ReleaseRequest(request)
				fasthttp.ReleaseResponse(answer)
			}
		})
	}
}
