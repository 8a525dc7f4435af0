//go:build !race

package inbound

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// exchanger sends one call after the other without allocating itself.
type exchanger struct {
	conn net.Conn
	raw  []byte
	in   []byte
}

func newExchanger(tb testing.TB, g *gateway, size int) *exchanger {
	tb.Helper()
	body := callBody("01M879HYYB4NJQFZMS5KAZBDG8")
	body = body[:len(body)-1] + strings.Repeat(" ", max(0, size-len(body))) + "}"
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	raw := signedCall(tb, body,
		"User-Agent: Inngest", "Account-Id: 00000000-0000-4000-a000-000000000000", "Content-Type: application/json",
		"Traceparent: 00-a433ff377ca9e78cf1f14ff905d84fa1-eac29d9a5443e5b6-01",
		"Tracestate: inngest@traceref=%7B%22tp%22%3A%2200-432f7085fa7eb0ca59e28806e9b2caee-34f7d52ea30428ca-01%22%7D,inngest@fn=1992b630-0d2d-5c4f-a5d2-a04bad8542c7",
		"X-Inngest-Generation-Id: 1", "X-Inngest-Job-Id: 34y97", "X-Inngest-Req-Version: -1", "X-Inngest-Step-Id: step",
		"X-Request-Id: req1", "X-Run-Id: 01M879HYYB4NJQFZMS5KAZBDG8", "Accept-Encoding: gzip")
	return &exchanger{conn, []byte(raw), make([]byte, 64<<10)}
}

func (e *exchanger) call(tb testing.TB) {
	if _, err := e.conn.Write(e.raw); err != nil {
		tb.Fatal(err)
	}
	n, err := e.conn.Read(e.in)
	if err != nil || n < 12 || string(e.in[9:12]) != "200" {
		tb.Fatalf("answer = %q, %v", e.in[:n], err)
	}
}

// quick makes the app answer at once, with an answer made beforehand.
func quick(tb testing.TB, change func(*setup)) *gateway {
	tb.Helper()
	return newGateway(tb, func(s *setup) {
		s.Callee = quickApp{*ok(`{"ok":true}`)}
		s.Log = slog.New(slog.DiscardHandler)
		if change != nil {
			change(s)
		}
	})
}

type quickApp struct{ answer call.Answer }

func (a quickApp) Do(context.Context, *call.Call) (*call.Answer, error) {
	fresh := a.answer
	return &fresh, nil
}

// A verified call allocates the text of its identity, what the app answers with
// here, and the byte that fasthttp reads first.
func TestServer_callAllocations(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		want float64
	}{
		"1 KiB":  {1 << 10, 3},
		"64 KiB": {64 << 10, 3},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExchanger(t, quick(t, nil), c.size)
			for range 50 {
				e.call(t)
			}
			if got := testing.AllocsPerRun(300, func() { e.call(t) }); got > c.want {
				t.Errorf("a call allocates %v times, want at most %v", got, c.want)
			}
		})
	}
}
