package pool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

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

// caller makes one call over one of the two clients.
type caller func(tb testing.TB)

func poolCaller(tb testing.TB, address string, size int) caller {
	u := run(tb, options(tb, "http://"+address))
	cl := post(string(bytes.Repeat([]byte("x"), size)))
	ctx := context.Background() // as the gateway calls: a caller that hangs up cancels nothing
	return func(tb testing.TB) {
		a, err := u.Do(ctx, cl)
		if err != nil {
			tb.Fatal(err)
		}
		if len(a.Body) != size {
			tb.Fatal("short")
		}
		a.Release()
	}
}

func fasthttpCaller(tb testing.TB, address string, size int) caller {
	client := &fasthttp.HostClient{Addr: address, ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10}
	tb.Cleanup(client.CloseIdleConnections)
	cl := post(string(bytes.Repeat([]byte("x"), size)))
	return func(tb testing.TB) {
		request, answer := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		request.SetRequestURIBytes(cl.Target)
		request.Header.SetHost(address)
		request.Header.SetMethod("POST")
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("X-Run-Id", "01J")
		request.Header.SetBytesV("X-Inngest-Signature", cl.Signature)
		request.SetBodyRaw(cl.Body)
		if err := client.Do(request, answer); err != nil {
			tb.Fatal(err)
		}
		if len(answer.Body()) != size {
			tb.Fatal("short")
		}
		fasthttp.ReleaseRequest(request)
		fasthttp.ReleaseResponse(answer)
	}
}

// BenchmarkDo compares with fasthttp's own client. The two take turns within
// each iteration, and what counts is the median of the ratios of CPU time, the
// app's share included: times of day depend on who else uses the machine.
func BenchmarkDo(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			address := echoApp(b)
			callers := [2]caller{poolCaller(b, address, size), fasthttpCaller(b, address, size)}
			for range cleanRests + 1 { // until connections are used again without a rest
				callers[0](b)
				callers[1](b)
			}
			calls := max(1, (1<<20)/size) + 20
			var ratios []float64
			var micros [2][]float64
			for turn := 0; b.Loop(); turn++ {
				var cost [2]float64
				for i := range callers {
					which := (i + turn) % 2
					began := cpuTime()
					for range calls {
						callers[which](b)
					}
					cost[which] = float64((cpuTime() - began).Microseconds()) / float64(calls)
					micros[which] = append(micros[which], cost[which])
				}
				ratios = append(ratios, cost[0]/cost[1])
			}
			b.ReportMetric(median(ratios), "cpu/fasthttp")
			b.ReportMetric(median(micros[0]), "cpu-µs/call")
			b.ReportMetric(0, "ns/op") // of two clients and many calls: says nothing
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
