package pool

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// parseHead parses text as the exchange does, complete or not at all.
func parseHead(text string) (h head, length int, err error) {
	b := []byte(text)
	length, _, err = findHead(b, 0)
	if err != nil || length == 0 {
		return head{}, length, err
	}
	err = h.parse(b[:length], nil)
	return h, length, err
}

// show returns what a head says in one line.
func show(h head) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d length=%d chunked=%v reusable=%v idle=%v", h.status, h.length, h.chunked, h.reusable(), h.idle)
	for _, f := range h.fields {
		fmt.Fprintf(&b, " %s=%q", f.Name, f.Value)
	}
	return b.String()
}

func TestHead_readsWhatAppsSend(t *testing.T) {
	for name, c := range map[string]struct{ head, want string }{
		"an SDK's": {
			"HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nX-Inngest-Sdk: js:v4.24.0\r\nContent-Length: 12\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
			`206 length=12 chunked=false reusable=true idle=5s Content-Type="application/json" X-Inngest-Sdk="js:v4.24.0"`,
		},
		"chunked": {
			"HTTP/1.1 201 Created\r\ntransfer-encoding: Chunked\r\n\r\n",
			`201 length=-1 chunked=true reusable=true idle=-1ns`,
		},
		"no reason":           {"HTTP/1.1 200\r\n\r\n", `200 length=-1 chunked=false reusable=true idle=-1ns`},
		"a reason in Latin-1": {"HTTP/1.1 200 \xe9t\xe9\r\n\r\n", `200 length=-1 chunked=false reusable=true idle=-1ns`},
		"HTTP/1.0":            {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", `200 length=0 chunked=false reusable=false idle=-1ns`},
		"HTTP/1.0 that keeps": {
			"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
			`200 length=0 chunked=false reusable=true idle=-1ns`,
		},
		"white space around values": {
			"HTTP/1.1 200 OK\r\nA:b\r\nC: \t d e \t\r\nE:\r\n\r\n",
			`200 length=-1 chunked=false reusable=true idle=-1ns A="b" C="d e" E=""`,
		},
		"the same length twice": {
			"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n",
			`200 length=7 chunked=false reusable=true idle=-1ns`,
		},
		"one of many directives says close": {
			"HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\n\r\n",
			`200 length=-1 chunked=false reusable=false idle=-1ns`,
		},
		"fields of one connection": {
			"HTTP/1.1 200 OK\r\nConnection: X-Hop, x-inngest-sdk, Content-Type\r\nX-Hop: 1\r\nx-hop: 2\r\nX-Inngest-Sdk: js\r\nContent-Type: a\r\n" +
				"Proxy-Authenticate: p\r\nTE: t\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nX-End: 1\r\n\r\n",
			`200 length=-1 chunked=false reusable=true idle=-1ns X-Inngest-Sdk="js" Content-Type="a" X-End="1"`,
		},
		"what only the gateway says": {
			"HTTP/1.1 200 OK\r\nX-Gateway-Error: upstream_reset\r\nX-Gateway: mine\r\n\r\n",
			`200 length=-1 chunked=false reusable=true idle=-1ns X-Gateway="mine"`,
		},
		"keep-alive with other parameters": {
			"HTTP/1.1 200 OK\r\nKeep-Alive: max=100, Timeout = 15\r\n\r\n",
			`200 length=-1 chunked=false reusable=true idle=15s`,
		},
		"keep-alive that is no number": {
			"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=-5\r\n\r\n",
			`200 length=-1 chunked=false reusable=true idle=-1ns`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, length, err := parseHead(c.head)
			if err != nil || length != len(c.head) {
				t.Fatalf("parse took %d of %d bytes: %v", length, len(c.head), err)
			}
			if diff := cmp.Diff(c.want, show(h)); diff != "" {
				t.Errorf("head differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHead_refusesWhatCanBeReadInTwoWays(t *testing.T) {
	for name, c := range map[string]struct {
		head string
		want framing
	}{
		"no status line":             {"hello\r\n\r\n", errStatusLine},
		"a status line too short":    {"HTTP/1.1 20\r\n\r\n", errStatusLine},
		"a status with a letter":     {"HTTP/1.1 2x0 OK\r\n\r\n", errStatusLine},
		"a status of 600":            {"HTTP/1.1 600 OK\r\n\r\n", errStatusLine},
		"a reason with a NUL":        {"HTTP/1.1 200 O\x00K\r\n\r\n", errStatusLine},
		"a tab before the status":    {"HTTP/1.1\t200 OK\r\n\r\n", errStatusLine},
		"HTTP/1.9":                   {"HTTP/1.9 200 OK\r\n\r\n", errStatusLine},
		"LF alone":                   {"HTTP/1.1 200 OK\nA: b\r\n\r\n", errBareLF},
		"LF alone at the end":        {"HTTP/1.1 200 OK\r\nA: b\n\r\n", errBareLF},
		"CR alone":                   {"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", errFieldValue},
		"two CR":                     {"HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", errFieldValue},
		"DEL in a value":             {"HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n", errFieldValue},
		"a space before the colon":   {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", errFieldName},
		"a space in a name":          {"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", errFieldName},
		"no name":                    {"HTTP/1.1 200 OK\r\n: c\r\n\r\n", errFieldName},
		"no colon":                   {"HTTP/1.1 200 OK\r\nA\r\n\r\n", errFieldName},
		"a name that is not ASCII":   {"HTTP/1.1 200 OK\r\n\xc3\xa9: c\r\n\r\n", errFieldName},
		"a folded line":              {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", errFolded},
		"a line folded with a tab":   {"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", errFolded},
		"both lengths":               {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", errBothLengths},
		"both lengths, chunks first": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", errBothLengths},
		"two lengths":                {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", errLengths},
		"a list of lengths":          {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", errLength},
		"a length with a sign":       {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", errLength},
		"a length that overflows":    {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", errLength},
		"an empty length":            {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", errLength},
		"another coding":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", errCoding},
		"two codings":                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", errCoding},
		"chunked twice":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", errCoding},
		"chunked with a parameter":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", errCoding},
		"chunks in HTTP/1.0":         {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", errCoding10},
	} {
		t.Run(name, func(t *testing.T) {
			if h, _, err := parseHead(c.head); !errors.Is(err, c.want) {
				t.Errorf("parse = %v, want %q; head %s", err, c.want, show(h))
			}
		})
	}
}

// However the bytes come, the head is found at the same place.
func TestFindHead_goesOnWhereItStopped(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nA: b\r\nLonger: value\r\n\r\nbody"
	want := strings.Index(text, "body")
	for step := 1; step < len(text); step++ {
		next, found := 0, 0
		for end := step; found == 0 && end-step < len(text); end += step {
			var err error
			if found, next, err = findHead([]byte(text[:min(end, len(text))]), next); err != nil {
				t.Fatalf("in steps of %d: %v", step, err)
			}
		}
		if found != want {
			t.Errorf("in steps of %d: head of %d bytes, want %d", step, found, want)
		}
	}
}

func TestKeepAliveTimeout_isBounded(t *testing.T) {
	if d := keepAliveTimeout([]byte("timeout=999999999999")); d != 24*time.Hour {
		t.Errorf("got %v", d)
	}
}

func TestChunkLine(t *testing.T) {
	for line, want := range map[string]int64{
		"0": 0, "5": 5, "1aF": 0x1af, "000a": 10, "7fffffffffffff": 0x7fffffffffffff, "5;a=b": 5, "5 ;a": 5, "5\t; a=\"b\"": 5,
		"": -1, "+5": -1, "-5": -1, "0x5": -1, "5 ": -1, " 5": -1, "5h": -1, ";": -1, "5\r": -1, "5;a\x00": -1,
		"ffffffffffffffff": -1, "10000000000000000": -1,
	} {
		got, err := parseChunkLine([]byte(line))
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseChunkLine(%q) = %d, want %d", line, got, want)
		}
	}
}

func TestAllChunks(t *testing.T) {
	for body, want := range map[string]bool{
		"0\r\n\r\n": true, "3\r\nabc\r\n0\r\n\r\n": true, "3\r\nabc\r\n0\r\nA: b\r\n\r\n": true,
		"3\r\nabc\r\n0\r\n\r\nmore": true,
		"":                          false, "3\r\n": false, "3\r\nabc": false, "3\r\nabc\r\n": false, "3\r\nabc\r\n0\r\n": false, "x\r\n\r\n": false,
		"7fffffffffffff\r\nabc\r\n": false,
	} {
		if got := allChunks([]byte(body)); got != want {
			t.Errorf("allChunks(%q) = %v", body, got)
		}
	}
}

// Whatever bytes an app sends, a head that is believed says one thing only: it
// is the same when its fields are written again and read again.
func FuzzHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X-A\r\nX-A: 1\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.0 404 \r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=5, max=2\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, length, err := parseHead(string(b))
		if err != nil || length == 0 {
			return
		}
		if !bytes.HasSuffix(b[:length], []byte("\r\n\r\n")) || bytes.Count(b[:length], []byte("\r\n\r\n")) != 1 {
			t.Errorf("the head %q does not end at its empty line", b[:length])
		}
		if h.chunked && h.length >= 0 {
			t.Error("two ways to find the end of the body")
		}
		again := fmt.Appendf(nil, "HTTP/1.%d %d x\r\n", h.minor, h.status)
		for _, f := range h.fields {
			again = fmt.Appendf(again, "%s: %s\r\n", f.Name, f.Value)
		}
		second, n, err := parseHead(string(again) + "\r\n")
		if err != nil || n != len(again)+2 {
			t.Fatalf("%q was believed, its fields %q are not: %v", b, again, err)
		}
		if !slices.EqualFunc(h.fields, second.fields, sameField) {
			t.Errorf("read again: %s, before: %s", show(second), show(h))
		}
	})
}

func sameField(a, b call.Field) bool {
	return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value)
}

// fuzzed is a connection over bytes that came already.
func fuzzed(t testing.TB, data []byte) *conn {
	u, err := New(options(t, "http://app:80"))
	if err != nil {
		t.Fatal(err)
	}
	var network faultyapp.Network
	l := network.Listen("app:80")
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Write(data)
			c.Close()
		}
	}()
	nc, err := network.Dial(t.Context(), "tcp", "app:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newConn(u.fixed[0], nc, 0)
}

// Whatever bytes an app sends, an answer that is believed is a prefix of them
// that a reader byte by byte believes too, with the same body.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nuntil the end"))
	f.Add([]byte("HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nfff\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cl := post("x")
		cl.WholeAnswer = true
		c := fuzzed(t, b)
		a := c.endpoint.up.newAnswer(c.endpoint)
		defer a.recycle()
		if err := c.receiveAnswer(t.Context(), cl, a); err != nil {
			var doubt framing
			if code, _ := classify(err); errors.As(err, &doubt) != (code == "upstream_bad_answer") {
				t.Errorf("%v is classified %s", err, code)
			}
			return
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.")) || a.Status < 200 || len(a.Body) > len(b) {
			t.Errorf("answer %d with %d bytes out of %q", a.Status, len(a.Body), b)
		}
		if c.head.length >= 0 && !c.head.bodiless("POST") && int64(len(a.Body)) != c.head.length {
			t.Errorf("body of %d bytes, declared %d", len(a.Body), c.head.length)
		}
		if !c.head.chunked && !bytes.Contains(b, a.Body) {
			t.Errorf("body %q was not sent", a.Body)
		}
	})
}
