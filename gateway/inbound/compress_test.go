package inbound

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/inngest-gateway/inngest-gateway/call"
)

func TestCompress_takesWhatTheCallerLikesBest(t *testing.T) {
	large := strings.Repeat(`{"op":"StepRun"},`, 3000)
	for name, c := range map[string]struct {
		accept string
		want   string
	}{
		"gzip, as the server sends": {"gzip", "gzip"},
		"br offered":                {"gzip, br", "br"},
		"br liked less":             {"gzip;q=1.0, br;q=0.5", "gzip"},
		"br liked more":             {"gzip; q=0.2 , br;q=0.9", "br"},
		"both refused":              {"gzip;q=0, br;q=0", ""},
		"gzip refused":              {"gzip;q=0, *", "br"},
		"anything":                  {"*", "br"},
		"anything but":              {"*;q=0, gzip", "gzip"},
		"zstd alone":                {"zstd", ""},
		"identity":                  {"identity", ""},
		"upper case":                {"GZIP", "gzip"},
		"no number":                 {"gzip;q=x", ""},
		"above one":                 {"br;q=7, gzip", "gzip"},
		"nothing":                   {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.app.answers(answer(206, large, "X-Inngest-Sdk", "js", "ETag", `"x"`))
			r := g.ask(t, signedCall(t, callBody("run1"), "Accept-Encoding: "+c.accept))
			if got := r.Header.Get("Content-Encoding"); got != c.want || r.Header.Get("Vary") != "Accept-Encoding" {
				t.Fatalf("Accept-Encoding %q: Content-Encoding = %q, Vary = %q", c.accept, got, r.Header.Get("Vary"))
			}
			if got := unpack(t, r.text, c.want); got != large {
				t.Errorf("the body inflates to %d bytes, want %d", len(got), len(large))
			}
			if c.want != "" && (len(r.text) > len(large)/4 || r.Header.Get("ETag") != `W/"x"`) {
				t.Errorf("compressed to %d of %d bytes, ETag %s", len(r.text), len(large), r.Header.Get("ETag"))
			}
		})
	}
}

func unpack(t *testing.T, text, coding string) string {
	t.Helper()
	var from io.Reader = strings.NewReader(text)
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		from = z
	case "br":
		from = brotli.NewReader(from)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCompress_leavesWhatIsBetterLeft(t *testing.T) {
	large := strings.Repeat("a", 40<<10)
	for name, c := range map[string]struct {
		answer *call.Answer
		vary   string
		off    bool
	}{
		"small":               {answer(200, large[:32<<10-1], "X-Inngest-Sdk", "js"), "", false},
		"encoded":             {answer(200, large, "X-Inngest-Sdk", "js", "Content-Encoding", "br"), "", false},
		"not to be changed":   {answer(200, large, "X-Inngest-Sdk", "js", "Cache-Control", "private, No-Transform"), "", false},
		"streamed":            {&call.Answer{Status: 200, Stream: io.NopCloser(strings.NewReader(large)), Length: -1}, "", false},
		"of an app that says": {answer(200, large, "X-Inngest-Sdk", "js"), "", true},
		"a range":             {answer(206, large, "X-Inngest-Sdk", "js", "Content-Range", "bytes 0-1/2"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { s.Compress = !c.off })
			g.app.answers(c.answer)
			r := g.ask(t, signedCall(t, callBody("run1"), "Accept-Encoding: gzip"))
			if coding := r.Header.Get("Content-Encoding"); coding == "gzip" || r.Header.Get("Vary") != c.vary {
				t.Errorf("Content-Encoding = %q, Vary = %q", coding, r.Header.Get("Vary"))
			}
		})
	}
	t.Run("switched off", func(t *testing.T) {
		g := newGateway(t, func(s *setup) { s.CompressFrom = 0 })
		g.app.answers(answer(200, large, "X-Inngest-Sdk", "js"))
		if r := g.ask(t, signedCall(t, callBody("run1"), "Accept-Encoding: gzip")); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("headers = %v", r.Header)
		}
	})
	t.Run("that does not get smaller", func(t *testing.T) {
		g := newGateway(t, nil)
		body := randomText(33 << 10)
		g.app.answers(answer(200, body, "X-Inngest-Sdk", "js", "Vary", "Origin"))
		r := g.ask(t, signedCall(t, callBody("run1"), "Accept-Encoding: gzip, br"))
		if r.Header.Get("Content-Encoding") != "" || r.text != body || r.Header.Get("Vary") != "Origin, Accept-Encoding" {
			t.Errorf("headers = %v, %d bytes", r.Header, len(r.text))
		}
	})
}

// randomText has no pattern that a compressor finds.
func randomText(n int) string {
	b := make([]byte, n)
	state := uint64(88172645463325252)
	for i := range b {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		b[i] = byte(state >> 32)
	}
	return string(b)
}

func TestCompress_isDoneWithoutWaitingForMemory(t *testing.T) {
	g := newGateway(t, func(s *setup) { s.memory = 1 << 20 })
	if err := g.budget.AcquireAnswer(t.Context(), 1<<20-1024); err != nil {
		t.Fatal(err)
	}
	defer g.budget.Release(1<<20 - 1024)
	large := randomText(40 << 10)[:20<<10] + strings.Repeat("a", 20<<10)
	g.app.answers(answer(200, large, "X-Inngest-Sdk", "js"))
	r := g.ask(t, signedCall(t, callBody("run1"), "Accept-Encoding: gzip"))
	if r.Header.Get("Content-Encoding") != "" || r.text != large {
		t.Errorf("headers = %v, %d bytes", r.Header, len(r.text))
	}
}

func TestCoders_keepNothing(t *testing.T) {
	var c coders
	for _, coding := range []string{"gzip", "br"} {
		for range 3 {
			var out bytes.Buffer
			w := c.take(coding)
			w.Reset(&out)
			io.WriteString(w, "hello")
			w.Close()
			c.give(w)
			if got := unpack(t, out.String(), coding); got != "hello" {
				t.Errorf("%s: %q", coding, got)
			}
		}
	}
}
