package outbound

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

// What the registry declares is what it is given.
var _ apps.Registrar = (*Client)(nil)

func newClient(tb testing.TB, inngestURL string, change ...func(*ClientOptions)) *Client {
	tb.Helper()
	o := options(tb, inngestURL, apps.Passthrough)
	co := ClientOptions{APIURL: inngestURL, Keys: o.Environments[0].Keys, Transport: o.Transport, MaxAnswer: 1 << 10, Timeout: 5 * time.Second}
	for _, c := range change {
		c(&co)
	}
	client, err := NewClient(co)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func TestClient_registersWithTheRealKey(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Inngest-Server-Kind", "cloud")
		io.WriteString(w, `{"ok":true}`)
	})
	c := newClient(t, d.url, func(o *ClientOptions) { o.Branch = "feature" })
	sent := apps.Registration{Query: "deployId=7", Body: []byte(`{"appName":"shop"}`), Header: http.Header{
		"Authorization": {"Bearer local"}, "X-Inngest-Sdk": {"js:v4"}, "X-Forwarded-For": {"1"}, "Connection": {"close"}, "Accept-Encoding": {"gzip"},
		"X-Inngest-Server-Kind": {"cloud"},
	}}
	got, err := c.Register(t.Context(), sent)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != 200 || string(got.Body) != `{"ok":true}` || got.Header.Get("X-Inngest-Server-Kind") != "cloud" || got.Code != "" {
		t.Errorf("Register = %v", got)
	}
	a := d.one(t)
	if a.Method != "POST" || a.Target != "/fn/register?deployId=7" || a.Body != `{"appName":"shop"}` {
		t.Errorf("inngest got %v", a)
	}
	if diff := cmp.Diff(http.Header{
		"Authorization": {"Bearer " + token(t, realKey)}, "X-Inngest-Sdk": {"js:v4"}, "X-Inngest-Env": {"feature"},
		"X-Inngest-Server-Kind": {"cloud"}, "Content-Length": {"18"},
	}, a.Header); diff != "" {
		t.Errorf("fields at inngest (-want +got):\n%s", diff)
	}
	if len(sent.Header["Authorization"]) != 1 || sent.Header.Get("Authorization") != "Bearer local" {
		t.Error("the registration's own fields were changed")
	}
}

func TestClient_triesTheFallbackKey(t *testing.T) {
	d := newInngest(t, takes(t, 401, fallbackKey))
	c := newClient(t, d.url)
	for _, want := range [][]string{{"real", "fallback"}, {"fallback"}} {
		got, err := c.Register(t.Context(), apps.Registration{Body: []byte("{}")})
		if err != nil || got.Status != 200 {
			t.Errorf("Register = %v, %v", got, err)
		}
		if diff := cmp.Diff(want, authorizations(t, d.got())); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	}
	d.reply(takes(t, 403))
	got, err := c.Register(t.Context(), apps.Registration{Body: []byte("{}")})
	if err != nil || got.Status != 403 || string(got.Body) != "Authentication failed\n" {
		t.Errorf("Register = %v, %v, want the 403 as it is", got, err)
	}
	if !c.Reach().Reachable() {
		t.Error("a refusal is an answer")
	}
}

func TestClient_knowsWhetherInngestCanBeReached(t *testing.T) {
	d := newInngest(t, nil)
	c := newClient(t, d.url)
	if r := c.Reach(); !r.Reachable() || !r.Reached.IsZero() {
		t.Errorf("before the first request: %+v", r)
	}
	d.reply(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := c.Register(t.Context(), apps.Registration{}); err == nil || strings.Contains(err.Error(), token(t, realKey)) {
		t.Errorf("Register = %v, want an error without the token", err)
	}
	if r := c.Reach(); r.Reachable() || r.Err == nil || r.Failed.IsZero() {
		t.Errorf("after a failure: %+v", r)
	}
	d.reply(nil)
	if _, err := c.Register(t.Context(), apps.Registration{}); err != nil {
		t.Errorf("Register = %v", err)
	}
	if r := c.Reach(); !r.Reachable() || r.Reached.IsZero() {
		t.Errorf("after an answer: %+v", r)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Register(ended, apps.Registration{}); err == nil {
		t.Error("Register = nil with an ended context")
	}
	if r := c.Reach(); !r.Reachable() {
		t.Errorf("after one that was given up: %+v", r)
	}
}

func TestClient_pingsWithoutAnyKey(t *testing.T) {
	d := newInngest(t, nil)
	c := newClient(t, d.url)
	for _, status := range []int{200, 401, 404, 503} {
		d.reply(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if err := c.Ping(t.Context()); err != nil {
			t.Errorf("Ping answered by %d = %v: any answer will do", status, err)
		}
		if a := d.one(t); a.Method != "GET" || a.Target != "/health" || a.Header.Get("Authorization") != "" {
			t.Errorf("inngest got %v", a)
		}
	}
	d.reply(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := c.Ping(t.Context()); err == nil || c.Reach().Reachable() {
		t.Errorf("Ping = %v, reachable %v", err, c.Reach().Reachable())
	}
}

func TestClient_boundsAnswersAndTime(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 2<<10)) })
	if got, err := newClient(t, d.url).Register(t.Context(), apps.Registration{}); err == nil {
		t.Errorf("Register = %d bytes, want an error", len(got.Body))
	}
	d.reply(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := newClient(t, d.url, func(o *ClientOptions) { o.Timeout = 20 * time.Millisecond })
	if _, err := c.Register(t.Context(), apps.Registration{}); err == nil {
		t.Error("Register = nil, want an error")
	}
	if c.Reach().Reachable() {
		t.Error("a server that does not answer cannot be reached")
	}
}

func TestNewClient_refusesWhatIsMissing(t *testing.T) {
	for name, change := range map[string]func(*ClientOptions){
		"URL":       func(o *ClientOptions) { o.APIURL = "" },
		"keys":      func(o *ClientOptions) { o.Keys = nil },
		"transport": func(o *ClientOptions) { o.Transport = nil },
		"limit":     func(o *ClientOptions) { o.MaxAnswer = 0 },
		"time":      func(o *ClientOptions) { o.Timeout = 0 },
	} {
		o := ClientOptions{APIURL: "http://x", Keys: NewKeys(ring(t), 1), Transport: http.DefaultTransport, MaxAnswer: 1, Timeout: 1}
		change(&o)
		if _, err := NewClient(o); err == nil {
			t.Errorf("NewClient without %s = nil", name)
		}
	}
}
