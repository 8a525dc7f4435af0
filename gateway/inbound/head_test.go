package inbound

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestHead_takesWhatItNeedsAndCopiesTheRestAsItIs(t *testing.T) {
	var h head
	raw := "POST /a/b?c=d HTTP/1.1\r\nhOST: gw:80\r\nX-One:1\r\nconnection: close, x-two\r\nX-Two: 2\r\nX-Three:\t 3 \r\ncontent-LENGTH: 12\r\n" +
		"X-INNGEST-Signature:  t=1&s=2 \r\nX-Run-ID: r\r\nAccept-Encoding: gzip\r\n\r\n"
	if r := h.read([]byte(raw), 100); r != nil {
		t.Fatalf("read = %+v", r)
	}
	if got, want := string(h.lines), "X-One:1\r\nX-Three:\t 3 \r\nX-Run-ID: r\r\nAccept-Encoding: gzip\r\n"; got != want {
		t.Errorf("lines = %q, want %q", got, want)
	}
	for what, got := range map[string][]byte{
		"POST": h.method, "/a/b": h.path, "?c=d": h.query, "gw:80": h.host, "t=1&s=2": h.signature, "r": h.runID, "gzip": h.acceptEncoding,
	} {
		if string(got) != what {
			t.Errorf("got %q, want %q", got, what)
		}
	}
	if h.length != 12 || !h.close || h.chunked || h.http10 {
		t.Errorf("head = %+v", h)
	}
}

func TestForwarded_isBelievedOfTrustedProxiesOnly(t *testing.T) {
	spoofed := []string{"X-Forwarded-For: 6.6.6.6, 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example.com", "X-Forwarded-Port: 1"}
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		header  []string
		want    [3]string
	}{
		"nobody is":          {nil, spoofed, [3]string{"127.0.0.1", "http", "gw"}},
		"another one is":     {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, spoofed, [3]string{"127.0.0.1", "http", "gw"}},
		"the peer is":        {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, spoofed, [3]string{"6.6.6.6, 7.7.7.7, 127.0.0.1", "https", "shop.example.com"}},
		"it says nothing":    {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil, [3]string{"127.0.0.1", "http", "gw"}},
		"it says nonsense":   {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"X-Forwarded-Proto: file", "X-Forwarded-Host: a/b"}, [3]string{"127.0.0.1", "http", "gw"}},
		"a client before it": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7"}, [3]string{"7.7.7.7, 127.0.0.1", "http", "gw"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { s.TrustedProxies = c.trusted })
			g.ask(t, signedCall(t, callBody("run1"), c.header...))
			h := g.app.requests()[0].Header
			for i, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
				if got := h.Values(name); !slices.Equal(got, []string{c.want[i]}) {
					t.Errorf("%s = %q, want %q", name, got, c.want[i])
				}
			}
		})
	}
}

// denied never stands in the lines of a head.
var denied = []string{
	"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect", "http2-settings", "proxy", "forwarded",
	"x-inngest-signature", "x-inngest-sdk", "x-inngest-sdk-handled", "x-inngest-server-kind", "x-real-ip", "x-http-method-override",
}

func FuzzHead_linesMeanTheSameToAnotherParser(f *testing.F) {
	for _, x := range recorded.Load(f) {
		raw := x.Request.Method + " " + x.Request.Target + " HTTP/1.1\r\n"
		for _, h := range x.Request.Headers {
			raw += h.Name + ": " + h.Value + "\r\n"
		}
		f.Add([]byte(raw + "\r\n"))
	}
	body := callBody("run1")
	for _, cases := range rawCases(f, body, "X-Inngest-Signature: "+sign(f, body)) {
		for _, c := range cases {
			head, _, _ := strings.Cut(c.raw, "\r\n\r\n")
			f.Add([]byte(head + "\r\n\r\n"))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h head
		if r := h.read(raw, 8<<10); r != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			t.Skipf("net/http is stricter here: %v", err)
		}
		if string(h.method) != theirs.Method || string(h.target) != theirs.RequestURI || h.http10 == theirs.ProtoAtLeast(1, 1) {
			t.Errorf("read %s %s, net/http reads %s %s %s", h.method, h.target, theirs.Method, theirs.RequestURI, theirs.Proto)
		}
		if !h.chunked && h.length != max(theirs.ContentLength, 0) || h.chunked != (theirs.ContentLength == -1) {
			t.Errorf("length %d, chunked %v; net/http reads %d %v", h.length, h.chunked, theirs.ContentLength, theirs.TransferEncoding)
		}
		again, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(slices.Concat([]byte("POST / HTTP/1.1\r\nHost: x\r\n"), h.lines, crlf))))
		if err != nil {
			t.Fatalf("net/http cannot read the lines %q: %v", h.lines, err)
		}
		for name, values := range again.Header {
			if !slices.Equal(values, theirs.Header[name]) {
				t.Errorf("%s: passed %q, came %q", name, values, theirs.Header[name])
			}
			low := strings.ToLower(name)
			if slices.Contains(denied, low) || strings.HasPrefix(low, "x-forwarded-") || strings.HasPrefix(low, "x-gateway-") || strings.HasPrefix(low, "proxy-") {
				t.Errorf("%s passed", name)
			}
			if plain := strings.ReplaceAll(low, "_", "-"); plain != low && strings.HasPrefix(plain, "x-inngest-") {
				t.Errorf("%s passed", name)
			}
		}
		for line := range bytes.SplitSeq(bytes.TrimSuffix(h.lines, crlf), crlf) {
			if len(line) > 0 && !bytes.Contains(raw, slices.Concat(crlf, line, crlf)) {
				t.Errorf("line %q is none that came", line)
			}
		}
	})
}

func FuzzScanHead_findsTheEndThatReadWants(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nbody"), 3)
	f.Add([]byte("\r\nGET / HTTP/1.1\r\n\r\n"), 1)
	f.Add([]byte("GET / HTTP/1.1\nHost: x\n\n"), 5)
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		whole, complete, refused := scanHead(raw, 0)
		// In pieces it finds the same.
		piece = max(1, min(piece, len(raw)))
		from := 0
		for end := 0; end <= len(raw); end += piece {
			n, c, r := scanHead(raw[:end], from)
			if r != nil || c {
				if c != complete || (r != nil) != (refused != nil) || n != whole {
					t.Errorf("in pieces of %d: %d %v %v, at once: %d %v %v", piece, n, c, r, whole, complete, refused)
				}
				return
			}
			from = n
		}
		if complete && whole > 2 && !bytes.HasSuffix(raw[:whole], headEnd) {
			t.Errorf("the head ends with %q", raw[:whole])
		}
	})
}
