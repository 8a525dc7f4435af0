package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// An appCall is a call as an app got it.
type appCall struct {
	inngest.CallRequest
	body      []byte
	signature string
}

// watchedApp serves an app and keeps the calls that it gets.
type watchedApp struct {
	url string

	mu    sync.Mutex
	calls []appCall
}

func newWatchedApp(tb testing.TB, app http.HandlerFunc) *watchedApp {
	w := &watchedApp{}
	w.url = serveHTTP(tb, func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method == http.MethodPost {
			c := appCall{body: body, signature: r.Header.Get(inngest.HeaderSignature)}
			if err := json.Unmarshal(body, &c.CallRequest); err != nil {
				tb.Errorf("the app cannot read the call: %v", err)
			}
			w.mu.Lock()
			w.calls = append(w.calls, c)
			w.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		app(out, r)
	})
	return w
}

func (w *watchedApp) got() []appCall {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]appCall{}, w.calls...)
}

// signedWith tells whether a key made the signature of the body as it is.
func (c *appCall) signedWith(tb testing.TB, key string) bool {
	tb.Helper()
	k, err := signature.ParseKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := signature.NewVerifier(signature.Options{Keys: []signature.Key{k}, Tolerance: time.Minute, MaxCanonical: -1, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return v.Verify([]byte(c.signature), c.body) == nil
}

const (
	oldKey   = "signkey-prod-fedcba0987654321fedcba0987654321"
	localKey = "signkey-local-0011223344556677"
)

// recordedAPI answers as a real server did, to the real server's key alone.
func recordedAPI(tb testing.TB, key string, numbers ...int) *plainBackendOf {
	k, err := signature.ParseKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	b := &plainBackendOf{}
	b.url = serveHTTP(tb, func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked = append(b.asked, r.URL.Path)
		b.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+signature.BearerToken(k) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for _, n := range numbers {
			if x := recorded.One(tb, n); strings.HasSuffix(r.URL.Path, x.Request.Target[strings.LastIndex(x.Request.Target, "/"):]) {
				w.WriteHeader(x.Response.Status)
				w.Write(x.Response.Body)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	})
	return b
}

type plainBackendOf struct {
	url string

	mu    sync.Mutex
	asked []string
}

// recordedLargeCall is the call of recording 105, for a run that has one step.
func recordedLargeCall(tb testing.TB) string {
	tb.Helper()
	text := string(recorded.One(tb, 105).Request.Body)
	_, rest, found := strings.Cut(text, `"stack":[`)
	if _, _, cut := strings.Cut(rest, `]`); !found || !cut {
		tb.Fatalf("recording 105 has no stack: %s", text)
	}
	return strings.Replace(text, `"stack":[`, `"stack":["640d87e741e6aa4c669a82a4cd304787960513ab",`, 1)
}

func TestHydrate_signsAsTheAppExpectsIt(t *testing.T) {
	for mode, c := range map[string]struct {
		settings string
		key      string
	}{
		"passthrough": {"", recorded.SigningKey},
		"resign":      {"signing: resign, local: {signing_key: " + localKey + "}, ", localKey},
		"strip":       {"signing: strip, ", ""},
	} {
		t.Run(mode, func(t *testing.T) {
			api := recordedAPI(t, oldKey, 106, 107) // the new key is not known there yet
			app := newWatchedApp(t, answerStep)
			r := start(t, loadFrom(t, sourcesWith(t, fmt.Sprintf(`
inngest: {api_url: %q, event_url: %q}
apps: [{id: shop, hydrate: true, %supstream: {endpoints: [%q]}}]
`, api.url, api.url, c.settings, app.url))))
			a := postCall(t, urlOf(r.listeners.inngest)+"/api/inngest?fnId=shop-big&stepId=step", recordedLargeCall(t))
			if a.status != http.StatusPartialContent {
				t.Fatalf("answer = %d %s", a.status, a.body)
			}
			got := app.got()[0]
			if got.UseAPI || got.Ctx.UseAPI || got.Event.Name != "t/slow" || len(got.Events) != 1 ||
				string(got.Steps["640d87e741e6aa4c669a82a4cd304787960513ab"]) != `{"data":"one"}` {
				t.Errorf("the app got %s", got.body)
			}
			switch {
			case c.key == "" && got.signature != "":
				t.Errorf("the call is signed: %s", got.signature)
			case c.key != "" && !got.signedWith(t, c.key):
				t.Errorf("the call is not signed with the app's key: %q", got.signature)
			}
			if err := r.stop(t); err != nil || r.budget.Used() != 0 {
				t.Errorf("%d bytes are charged in the end: %v", r.budget.Used(), err)
			}
		})
	}
}

func TestHydrate_refusesCallsOfRunsThatAreOver(t *testing.T) {
	api := recordedAPI(t, recorded.SigningKey, 106, 108)
	app := newWatchedApp(t, answerStep)
	r := start(t, loadFrom(t, sourcesWith(t, fmt.Sprintf(
		"inngest: {api_url: %q, event_url: %q}\napps: [{id: shop, hydrate: true, upstream: {endpoints: [%q]}}]", api.url, api.url, app.url))))
	a := postCall(t, urlOf(r.listeners.inngest)+"/api/inngest?fnId=shop-big&stepId=step", recordedLargeCall(t))
	if a.status != 503 || a.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeStateUnavailable) ||
		a.header.Get(inngest.HeaderRetryAfter) == "" || !strings.Contains(a.body, "actions answered 410") {
		t.Errorf("answer = %d %v %s", a.status, a.header, a.body)
	}
	if n := len(app.got()); n != 0 {
		t.Errorf("the app got %d calls", n)
	}
}

func TestHydrate_letsAppsWithoutUseAPIHaveLargeEvents(t *testing.T) {
	const limit = 256 << 10 // in the place of 4 MiB
	server := runTestServer(t, devserver.Options{SigningKey: recorded.SigningKey, EventKeys: []string{recorded.EventKey}, StateLimit: limit})
	sample := listenForApp(t)
	to, err := url.Parse(sample.url())
	if err != nil {
		t.Fatal(err)
	}
	app := newWatchedApp(t, httputil.NewSingleHostReverseProxy(to).ServeHTTP)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	r := start(t, load(t, fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\napps: [{id: shop, hydrate: true, upstream: {endpoints: [%q]}}]",
		server.url(), server.url(), app.url)))
	sample.serve("shop", urlOf(r.listeners.apps), recorded.SigningKey)
	server.sync(urlOf(r.listeners.inngest) + sampleAppPath)

	run := server.run("demo/parallel", map[string]any{"x": strings.Repeat("x", limit*3/4)}) // in a call twice
	if run.Status != devserver.Completed {
		t.Errorf("run is %s: %s", run.Status, run.Error)
	}
	calls := app.got()
	for _, c := range calls {
		if c.UseAPI || len(c.Events) != 1 || len(c.body) < limit || !c.signedWith(t, recorded.SigningKey) {
			t.Errorf("the app got a call of %d bytes with use_api %v and %d events, signed %q", len(c.body), c.UseAPI, len(c.Events), c.signature)
		}
	}
	if last := calls[len(calls)-1]; len(calls) < 2 || len(last.Steps) == 0 {
		t.Errorf("the app got %d calls, the last one with the steps %v", len(calls), last.Steps)
	}
	if err := r.stop(t); err != nil || r.budget.Used() != 0 {
		t.Errorf("%d bytes are charged in the end: %v", r.budget.Used(), err)
	}
}

// sourcesWith is a configuration whose key Inngest does not know yet, with the
// one that it knows.
func sourcesWith(tb testing.TB, text string) config.Sources {
	return sources(tb, text, "INNGEST_SIGNING_KEY="+recorded.SigningKey, "INNGEST_SIGNING_KEY_FALLBACK="+oldKey, "INNGEST_EVENT_KEY="+recorded.EventKey)
}

// postCall makes a call that is signed with the recorded key.
func postCall(tb testing.TB, url, body string) answer {
	tb.Helper()
	k, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	header := http.Header{inngest.HeaderSignature: {signature.Sign(k, []byte(body), time.Now())}}
	a, err := ask(nil, http.MethodPost, url, header, body)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}
