package inbound

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// pack compresses a text with codings, the first one first.
func pack(tb testing.TB, text string, codings ...string) string {
	tb.Helper()
	for _, coding := range codings {
		var out bytes.Buffer
		var w io.WriteCloser
		switch coding {
		case "gzip", "x-gzip":
			w = gzip.NewWriter(&out)
		case "br":
			w = brotli.NewWriter(&out)
		case "deflate":
			w = zlib.NewWriter(&out)
		case "raw deflate":
			w, _ = flate.NewWriter(&out, 1)
		case "zstd":
			w, _ = zstd.NewWriter(&out)
		default:
			continue
		}
		io.WriteString(w, text)
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
		text = out.String()
	}
	return text
}

func TestAnswer_codingsThatInngestDoesNotKnowAreUndone(t *testing.T) {
	const text = `[{"op":"StepRun"}]`
	for name, c := range map[string]struct {
		header string
		packed string
		coding string // towards Inngest
		whole  bool   // the pair signs
	}{
		"gzip":                      {"gzip", pack(t, text, "gzip"), "gzip", false},
		"br":                        {"br", pack(t, text, "br"), "br", false},
		"identity":                  {"identity", text, "", false},
		"empty":                     {"", text, "", false},
		"deflate":                   {"deflate", pack(t, text, "deflate"), "", false},
		"deflate without a head":    {"deflate", pack(t, text, "raw deflate"), "", false},
		"zstd":                      {"zstd", pack(t, text, "zstd"), "", false},
		"gzip, br":                  {"gzip, br", pack(t, text, "gzip", "br"), "", false},
		"deflate, identity, gzip":   {"deflate, identity, gzip", pack(t, text, "deflate", "gzip"), "", false},
		"x-gzip":                    {"x-gzip", pack(t, text, "gzip"), "", false},
		"upper case":                {"GZIP", pack(t, text, "gzip"), "GZIP", false},
		"gzip of an app that signs": {"gzip", pack(t, text, "gzip"), "", true},
		"br of an app that signs":   {"br", pack(t, text, "br"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, streamed := range []bool{false, true} {
				g := newGateway(t, func(s *setup) { s.Pair = &pairDouble{whole: c.whole} })
				a := answer(200, c.packed, "X-Inngest-Sdk", "js", "Content-Encoding", c.header)
				if streamed {
					a.Stream, a.Body, a.Length = io.NopCloser(strings.NewReader(c.packed)), nil, -1
				}
				g.app.answers(a)
				r := g.ask(t, signedCall(t, callBody("run1")))
				want := text
				if c.coding != "" {
					want = c.packed
				}
				if r.StatusCode != 200 || r.text != want || r.Header.Get("Content-Encoding") != c.coding {
					t.Errorf("streamed %v: answer = %d %q, Content-Encoding %q", streamed, r.StatusCode, r.text, r.Header.Get("Content-Encoding"))
				}
			}
		})
	}
}

func TestAnswer_codingsThatCannotBeUndoneAreRefused(t *testing.T) {
	bomb := pack(t, strings.Repeat("a", 2<<20), "zstd")
	for name, c := range map[string]struct {
		header, body string
		code         inngest.Code
	}{
		"unknown":        {"compress", "x", "upstream_encoding"},
		"broken zstd":    {"zstd", "no zstd", "upstream_encoding"},
		"cut off":        {"gzip, identity", pack(t, "hello", "gzip")[:12], "upstream_encoding"},
		"not compressed": {"deflate", "no deflate", "upstream_encoding"},
		"five times":     {"gzip, gzip, gzip, gzip, gzip", pack(t, "x", "gzip", "gzip", "gzip", "gzip", "gzip"), "upstream_encoding"},
		"a bomb":         {"zstd", bomb, "upstream_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { s.MaxAnswer = 1 << 20 })
			g.app.answers(answer(200, c.body, "X-Inngest-Sdk", "js", "Content-Encoding", c.header))
			r := g.ask(t, signedCall(t, callBody("run1")))
			if p := problemOf(t, r); p.Code != c.code || r.StatusCode != 503 {
				t.Errorf("answer = %d %+v, want %s", r.StatusCode, p, c.code)
			}
		})
	}
}

func TestAnswer_emptyListNeverLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		body, coding string
		passes       bool
	}{
		"empty":              {"[]", "", false},
		"white space":        {" \r\n\t[ \n ]\n", "", false},
		"gzip":               {pack(t, "[]", "gzip"), "gzip", false},
		"br":                 {pack(t, " [ ] ", "br"), "br", false},
		"zstd":               {pack(t, "[]", "zstd"), "zstd", false},
		"an element":         {"[{}]", "", true},
		"an element, gzip":   {pack(t, "[{}]", "gzip"), "gzip", true},
		"an object":          {"{}", "", true},
		"a string":           {`"[]"`, "", true},
		"two lists":          {"[][]", "", true},
		"no body":            {"", "", true},
		"gzip that is none":  {"[]x", "gzip", true},
		"only half the list": {"[", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			a := answer(206, c.body, "X-Inngest-Sdk", "js")
			if c.coding != "" {
				a.Set("Content-Encoding", c.coding)
			}
			g.app.answers(a)
			r := g.ask(t, signedCall(t, callBody("run1")))
			if c.passes {
				if r.StatusCode != 206 {
					t.Errorf("answer = %d %q", r.StatusCode, r.text)
				}
			} else if p := problemOf(t, r); p.Code != "upstream_empty" || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
				t.Errorf("answer = %d %+v", r.StatusCode, p)
			}
		})
	}
}

func TestAnswer_errorsThatNoSDKSentBecomeRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		answer  *call.Answer
		refused bool
	}{
		"502 of a balancer":       {answer(502, "<html>", "Content-Type", "text/html"), true},
		"404 of another program":  {answer(404, "not found"), true},
		"500 of an SDK":           {answer(500, `{"name":"Error"}`, "x-inngest-sdk", "js"), false},
		"400 that forbids retry":  {answer(400, `{}`, "x-inngest-sdk", "js", "x-inngest-no-retry", "true"), false},
		"401 with handled":        {answer(401, `{}`, "X-Inngest-Sdk-Handled", "true"), false},
		"200 of another program":  {answer(200, "hello"), false},
		"200 that forbids retry":  {answer(200, "hello", "X-Inngest-Sdk", "js", "X-Inngest-No-Retry", "true"), false},
		"204":                     {answer(204, "", "X-Inngest-Sdk", "js"), false},
		"503 of the host":         {&call.Answer{Status: 503, Code: "upstream_refused", Body: []byte("{}")}, false},
		"an error with a retry":   {answer(500, "{}", "X-Inngest-Sdk", "js", "Retry-After", "7"), false},
		"a foreign forbids retry": {answer(500, "{}", "X-Inngest-No-Retry", "true"), true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			body, status, noRetry := string(c.answer.Body), c.answer.Status, string(c.answer.Get("X-Inngest-No-Retry"))
			g.app.answers(c.answer)
			r := g.ask(t, signedCall(t, callBody("run1")))
			if !c.refused {
				if r.StatusCode != status || r.text != body || r.Header.Get("X-Inngest-No-Retry") != noRetry {
					t.Errorf("answer = %d %q %v", r.StatusCode, r.text, r.Header)
				}
				return
			}
			p := problemOf(t, r)
			if p.Code != "upstream_unready" || r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || r.Header.Get("X-Inngest-No-Retry") != "" {
				t.Errorf("answer = %d %v %+v", r.StatusCode, r.Header, p)
			}
			for _, want := range []string{fmt.Sprint(status), "/inner/inngest", "Inngest tries again in", "4 of 5 attempts are left"} {
				if !strings.Contains(p.Detail, want) {
					t.Errorf("detail = %q, want it to say %q", p.Detail, want)
				}
			}
			if strings.Contains(p.Detail, "fnId") {
				t.Errorf("detail = %q names the query", p.Detail)
			}
		})
	}
}

func TestAnswer_failuresOfTheUpstreamKeepTheRunAlive(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		err    error
		status int
		code   inngest.Code
		says   string
	}{
		"refused": {&pool.Error{Code: "upstream_refused", Endpoint: "http://127.0.0.1:3000", Err: errors.New("secret")}, 503, "upstream_refused", "takes no connections at http://127.0.0.1:3000; nothing of the call reached it"},
		"reset":   {&pool.Error{Code: "upstream_reset", Sent: true, Err: io.EOF}, 503, "upstream_reset", "the call may have reached it"},
		"vanished": {&pool.Error{Code: "upstream_reset", Endpoint: "http://10.0.0.7:3000", Sent: true, Err: pool.ErrVanished}, 503, "upstream_reset",
			"The app shop at http://10.0.0.7:3000 is gone without a word: its host acknowledged nothing for 30 s; the call may have reached it."},
		"timeout":        {&pool.Error{Code: "upstream_timeout", Sent: true}, 503, "upstream_timeout", "in time"},
		"busy":           {&pool.Error{Code: "upstream_busy"}, 503, "upstream_busy", "connections in use"},
		"open":           {&pool.Error{Code: "upstream_open", Since: since}, 503, "upstream_open", "since 03:04:05 UTC"},
		"bad answer":     {&pool.Error{Code: "upstream_bad_answer", Sent: true}, 502, "upstream_bad_answer", "no proper HTTP"},
		"too large":      {&pool.Error{Code: "upstream_too_large", Sent: true}, 503, "upstream_too_large", "limits.answer"},
		"wrapped":        {fmt.Errorf("x: %w", &pool.Error{Code: "upstream_refused"}), 503, "upstream_refused", "takes no connections"},
		"untrusted":      {&apps.Error{Code: "upstream_untrusted", Err: errors.New("signature fits none")}, 503, "upstream_untrusted", "signature fits none"},
		"something else": {errors.New("secret"), 500, "internal", "log"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.app.fails(c.err)
			r := g.ask(t, signedCall(t, callBody("run1")))
			p := problemOf(t, r)
			if r.StatusCode != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.says) || strings.Contains(r.text, "secret") {
				t.Errorf("answer = %d %+v, want %d %s and the words %q", r.StatusCode, p, c.status, c.code, c.says)
			}
			if !strings.HasPrefix(r.text, `{"detail":"`) || r.Header.Get("X-Inngest-Sdk") != "" || r.Header.Get("X-Inngest-No-Retry") != "" {
				t.Errorf("answer = %v %q", r.Header, r.text)
			}
			if after := r.Header.Get("Retry-After"); after < "334" || after > "368" || len(after) != 3 {
				t.Errorf("Retry-After = %q, want 334 to 368", after)
			}
		})
	}
}

func TestAnswer_saysHowManyAttemptsAreLeft(t *testing.T) {
	g := newGateway(t, nil)
	g.app.fails(&pool.Error{Code: "upstream_refused"})
	for attempt, want := range map[int]string{
		0: "4 of 5 attempts are left", 1: "3 of 5 attempts are left", 3: "1 of 5 attempts are left",
		4: "This was the last of 5 attempts",
	} {
		body := strings.Replace(callBody("run1"), `"attempt":0`, fmt.Sprintf(`"attempt":%d`, attempt), 1)
		if p := problemOf(t, g.ask(t, signedCall(t, body))); !strings.Contains(p.Detail, want) {
			t.Errorf("attempt %d: detail = %q, want it to say %q", attempt, p.Detail, want)
		}
	}
}

func TestAnswer_panicOfAStageBecomesARefusal(t *testing.T) {
	g := newGateway(t, nil)
	g.app.does(func(context.Context, *call.Call) (*call.Answer, error) { panic("secret") })
	r := g.ask(t, signedCall(t, callBody("run1")))
	if p := problemOf(t, r); p.Code != "internal" || strings.Contains(r.text, "secret") {
		t.Errorf("answer = %d %+v", r.StatusCode, p)
	}
	eventually(t, "the log tells of the panic", func() bool { return strings.Contains(g.log.text(), "panic: secret") })
}

func TestAnswer_pairSealsWhatItSaw(t *testing.T) {
	var opened string
	p := &pairDouble{whole: true,
		seal: func(c *call.Call) error { c.Signature = []byte("t=1&s=local"); return nil },
		openReply: func(a *call.Answer) error {
			opened = string(a.Body)
			return nil
		},
		sealReply: func(a *call.Answer) error { a.Set("X-Inngest-Signature", "sealed"); return nil },
	}
	g := newGateway(t, func(s *setup) { s.Pair = p })
	a := answer(200, "", "X-Inngest-Sdk", "js", "Content-Encoding", "gzip")
	a.Stream, a.Body = io.NopCloser(strings.NewReader(pack(t, "hello", "gzip"))), nil
	g.app.answers(a)
	r := g.ask(t, signedCall(t, callBody("run1")))
	if opened != "hello" || r.text != "hello" || r.Header.Get("X-Inngest-Signature") != "sealed" {
		t.Errorf("opened %q, answer %q %v", opened, r.text, r.Header)
	}
	if sig := g.app.requests()[0].Header.Get("X-Inngest-Signature"); sig != "t=1&s=local" {
		t.Errorf("the app saw the signature %q", sig)
	}
}

// Only the gateway itself says why the gateway failed something: its hosted
// functions do, in an SDK's answer.
func TestAnswer_gatewayErrorIsTheGatewaysOwn(t *testing.T) {
	for name, c := range map[string]struct{ endpoint, want string }{
		"of an app":          {"http://127.0.0.1:3000", ""},
		"of hosted function": {"", "function_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			a := answer(500, "{}", "X-Inngest-Sdk", "gateway:v1", "X-Gateway-Error", "function_timeout")
			a.Endpoint = c.endpoint
			g.app.answers(a)
			if got := g.ask(t, signedCall(t, callBody("run1"))).Header.Get("X-Gateway-Error"); got != c.want {
				t.Errorf("X-Gateway-Error = %q, want %q", got, c.want)
			}
		})
	}
}
