package inbound

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A rawCase is what an attacker, or a careless program, sends on one
// connection.
type rawCase struct {
	raw    string
	status []int  // of the answers in order
	code   string // of the last answer
	calls  int    // requests that the app sees
	gone   string // names that the app must not see, separated by spaces
	kept   string // "Name=value" that the app must see, separated by spaces
}

// TestHardening_appSeesNothingThatNobodySigned sends what parsers read in two
// ways, by the classes of hardening.md. Whatever the answer is: what the app
// sees was signed, byte for byte.
func TestHardening_appSeesNothingThatNobodySigned(t *testing.T) {
	body := callBody("run1")
	sig := "X-Inngest-Signature: " + sign(t, body)
	for class, cases := range rawCases(t, body, sig) {
		if len(cases) < 4 {
			t.Errorf("class %s has %d cases", class, len(cases))
		}
		t.Run(class, func(t *testing.T) {
			for name, c := range cases {
				t.Run(name, func(t *testing.T) { c.run(t) })
			}
		})
	}
}

func (c rawCase) run(t *testing.T) {
	g := newGateway(t, nil)
	statuses, code, sane := exchangeRaw(t, g.addr, c.raw)
	if !slices.Equal(statuses, c.status) || code != c.code {
		t.Errorf("answers = %v %q, want %v %q", statuses, code, c.status, c.code)
	}
	if !sane {
		t.Error("an answer of the gateway itself is no problem+json, or has an SDK header")
	}
	requests := g.app.requests()
	if len(requests) != c.calls {
		t.Fatalf("the app saw %d requests, want %d", len(requests), c.calls)
	}
	for _, r := range requests {
		checkSigned(t, g, r)
		for _, name := range strings.Fields(c.gone + " " + alwaysGone) {
			if v, there := r.Header[http.CanonicalHeaderKey(name)]; there {
				t.Errorf("the app saw %s: %q", name, v)
			}
		}
		for _, want := range strings.Fields(c.kept) {
			name, value, _ := strings.Cut(want, "=")
			if got := r.Header.Values(name); !slices.Equal(got, []string{value}) {
				t.Errorf("the app saw %s: %q, want %q", name, got, value)
			}
		}
	}
}

// alwaysGone never reaches an app.
const alwaysGone = "Connection Keep-Alive Proxy-Authorization Proxy-Connection Te Trailer Transfer-Encoding Upgrade Expect Proxy Forwarded X-Real-Ip " +
	"X-Inngest-Sdk X-Inngest-Server-Kind X-Gateway-Error X-Original-Url X-Rewrite-Url X-Http-Method-Override"

// checkSigned wants that what the app saw was signed: one signature that fits
// these very bytes.
func checkSigned(t *testing.T, g *gateway, r seen) {
	t.Helper()
	sigs := r.Header.Values(inngest.HeaderSignature)
	if len(sigs) != 1 {
		t.Errorf("the app saw %d signatures", len(sigs))
		return
	}
	if err := g.Server.table.Load().exact["/api/inngest"].Pair.OpenRequest([]byte(sigs[0]), r.body); err != nil {
		t.Errorf("the app saw a body that was not signed: %v: %q", err, r.body)
	}
}

// exchangeRaw sends raw bytes, ends its side and reads every answer.
func exchangeRaw(t *testing.T, addr, raw string) (statuses []int, code string, sane bool) {
	t.Helper()
	c := dial(t, addr)
	go func() { // the gateway may answer and close before it has read all
		io.WriteString(c.Conn, raw)
		c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	all, err := io.ReadAll(c.Conn)
	if err != nil && !isReset(err) {
		t.Fatalf("read answers: %v", err)
	}
	method, _, _ := strings.Cut(raw, " ")
	if method != "HEAD" {
		method = "POST"
	}
	sane = true
	for in := bufio.NewReader(bytes.NewReader(all)); ; {
		r, err := http.ReadResponse(in, &http.Request{Method: method})
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return statuses, code, sane
		}
		if err != nil {
			t.Fatalf("read answers: %v in %q", err, all)
		}
		text, _ := io.ReadAll(r.Body)
		statuses = append(statuses, r.StatusCode)
		if code = r.Header.Get("X-Gateway-Error"); code != "" {
			sane = sane && r.Header.Get("Content-Type") == inngest.ContentTypeProblem && r.Header.Get("X-Inngest-Sdk") == "" &&
				(method == "HEAD" || bytes.HasPrefix(text, []byte(`{"detail":"`)))
		}
	}
}

func TestHardening_unasked101IsRefused(t *testing.T) {
	for name, a := range map[string]*call.Answer{
		"101":                 answer(101, "", "Upgrade", "websocket", "X-Inngest-Sdk", "x"),
		"100":                 answer(100, ""),
		"103 with a link":     answer(103, "", "Link", "</x>"),
		"a status beyond 599": answer(700, ""),
		"no status":           answer(0, ""),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			g.app.answers(a)
			r := g.ask(t, signedCall(t, callBody("run1")))
			if r.StatusCode != 502 || r.Header.Get("X-Gateway-Error") != "upstream_bad_answer" || r.Header.Get("Retry-After") == "" {
				t.Errorf("answer = %d %v %q", r.StatusCode, r.Header, r.text)
			}
		})
	}
}
