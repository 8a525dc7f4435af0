package inbound

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// exceptions are the recorded exchanges that do not pass as they are, and why.
var exceptions = map[int]string{
	3:  "an unsigned GET is answered by the gateway",
	47: "an unsigned probe is answered by the gateway",
	// The first request of a durable endpoint is a client's, not Inngest's.
	125: "no run id: not for the gateway",
}

func TestRecorded_callsPassAsTheyWere(t *testing.T) {
	for _, x := range recorded.Load(t) {
		if x.Direction != recorded.ToApp {
			continue
		}
		t.Run(x.Name, func(t *testing.T) { replay(t, x) })
	}
}

func replay(t *testing.T, x recorded.Exchange) {
	path, _, _ := strings.Cut(x.Request.Target, "?")
	at := recorded.SignedAt(x.Request.Get(inngest.HeaderSignature))
	g := newGateway(t, func(s *setup) {
		s.Path, s.UpstreamPath, s.Durable = "/api/inngest", "/api/inngest", nil
		if path != "/api/inngest" {
			if x.Group == "durable" {
				s.Durable = []string{path}
			} else {
				s.Path, s.UpstreamPath = path, path
			}
		}
		s.now = fixed(at)
	})
	recordedAnswer := answer(x.Response.Status, string(x.Response.Body))
	for _, h := range x.Response.Headers {
		if !slices.Contains([]string{"Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding"}, http.CanonicalHeaderKey(h.Name)) {
			recordedAnswer.Fields = append(recordedAnswer.Fields, call.Field{Name: []byte(h.Name), Value: []byte(h.Value)})
		}
	}
	g.app.answers(recordedAnswer)

	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\n", x.Request.Method, x.Request.Target)
	for _, h := range x.Request.Headers {
		fmt.Fprintf(&raw, "%s: %s\r\n", h.Name, h.Value)
	}
	if x.Request.Get("Content-Length") == "" && len(x.Request.Body) > 0 {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(x.Request.Body))
	}
	raw.WriteString("\r\n")
	raw.Write(x.Request.Body)
	r := g.ask(t, raw.String())

	why := exceptions[x.Number]
	switch {
	case x.Request.Method == "PUT":
		if puts := g.syncs.puts(); len(puts) != 1 || !bytes.Equal(puts[0].Body, x.Request.Body) || puts[0].Signed != (x.Request.Get(inngest.HeaderSignature) != "") {
			t.Errorf("syncs = %+v", puts)
		}
		return
	case why != "":
		if r.Header.Get("X-Gateway-Error") == "" || len(g.app.requests()) != 0 {
			t.Errorf("answer = %d %v, want one of the gateway: %s", r.StatusCode, r.Header, why)
		}
		return
	}
	if r.StatusCode != x.Response.Status || r.text != string(x.Response.Body) {
		t.Fatalf("answer = %d %q, recorded %d %q", r.StatusCode, r.text, x.Response.Status, x.Response.Body)
	}
	for _, f := range recordedAnswer.Fields {
		if name := string(f.Name); name != "Date" && !slices.Contains(r.Header.Values(name), string(f.Value)) {
			t.Errorf("%s = %q, recorded %q", name, r.Header.Values(name), f.Value)
		}
	}
	s := g.app.requests()[0]
	if !bytes.Equal(s.body, x.Request.Body) || s.target != x.Request.Target || s.Method != x.Request.Method {
		t.Errorf("the app saw %s %s with %d bytes", s.Method, s.target, len(s.body))
	}
	for _, h := range x.Request.Headers {
		if !slices.Contains([]string{"Host", "Connection", "Content-Length"}, http.CanonicalHeaderKey(h.Name)) && s.Header.Get(h.Name) != h.Value {
			t.Errorf("the app saw %s: %q, recorded %q", h.Name, s.Header.Get(h.Name), h.Value)
		}
	}
	if run := x.Request.Get(inngest.HeaderRunID); x.Group != "durable" && s.identity != run {
		t.Errorf("identity = %q, want run %q", s.identity, run)
	}
}

// fixed is a clock that stands still.
func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }
