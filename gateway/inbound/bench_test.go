//go:build !race

package inbound

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func BenchmarkHead(b *testing.B) {
	ordinary := signedCall(b, callBody("01M879HYYB4NJQFZMS5KAZBDG8"), "User-Agent: Inngest", "Account-Id: 00000000-0000-4000-a000-000000000000",
		"Content-Type: application/json", "Traceparent: 00-a433ff377ca9e78cf1f14ff905d84fa1-eac29d9a5443e5b6-01",
		"Tracestate: inngest@traceref=%7B%22tp%22%3A%2200-432f7085fa7eb0ca59e28806e9b2caee-34f7d52ea30428ca-01%22%7D,inngest@fn=1992b630-0d2d-5c4f-a5d2-a04bad8542c7",
		"X-Inngest-Generation-Id: 1", "X-Inngest-Job-Id: 34y97", "X-Inngest-Req-Version: -1", "X-Inngest-Step-Id: step", "X-Request-Id: req1",
		"X-Run-Id: 01M879HYYB4NJQFZMS5KAZBDG8", "Accept-Encoding: gzip")
	end := strings.Index(ordinary, "\r\n\r\n") + 4
	for name, raw := range map[string][]byte{
		"call":            []byte(ordinary[:end]),
		"many-short":      []byte("POST / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a:\r\n", 3000) + "\r\n"),
		"listed-and-gone": []byte("POST / HTTP/1.1\r\nHost: x\r\nConnection: a, b, c, d, e, f, g, h\r\n" + strings.Repeat("zz: 1\r\n", 1500) + "\r\n"),
	} {
		b.Run(name, func(b *testing.B) {
			var h head
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				h.reset()
				if _, complete, _ := scanHead(raw, 0); !complete {
					b.Fatal("no end")
				}
				if r := h.read(raw, 8<<10); r != nil {
					b.Fatal(r.detail)
				}
			}
		})
	}
}

// BenchmarkServer measures client and gateway together: compare sizes, not with
// other programs.
func BenchmarkServer(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("keep-alive/%dKiB", size>>10), func(b *testing.B) {
			e := newExchanger(b, quick(b, nil), size)
			b.SetBytes(int64(len(e.raw)))
			b.ReportAllocs()
			for b.Loop() {
				e.call(b)
			}
		})
	}
	b.Run("close/1KiB", func(b *testing.B) {
		g := quick(b, nil)
		e := newExchanger(b, g, 1<<10)
		raw := bytes.Replace(e.raw, []byte("\r\n\r\n"), []byte("\r\nConnection: close\r\n\r\n"), 1)
		b.ReportAllocs()
		for b.Loop() {
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				b.Fatal(err)
			}
			c.Write(raw)
			if all, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 200")) {
				b.Fatalf("answer = %q, %v", all, err)
			}
			c.Close()
		}
	})
}
