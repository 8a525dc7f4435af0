package outbound

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// paths with a key of which each is asked once below.
var keyPaths = []string{
	"POST /invoke/shop-fn", "GET /v0/runs/01M8/batch", "GET /v0/runs/01M8/actions", "POST /v0/connect/flush",
	"POST /v0/telemetry", "POST /v0/gql", "POST /v1/checkpoint", "POST /v1/checkpoint/01M8/steps",
	"POST /v1/checkpoint/01M8/async", "POST /v1/http/runs", "POST /v1/http/runs/01M8/async", "POST /v1/signals",
	"POST /v1/runs/01M8/metadata", "GET /v1/events", "GET /v1/runs/01M8", "GET /v1/apps/shop/functions",
	"POST /v1/cancellations", "POST /v1/traces/userland", "POST /v1/realtime/token", "POST /v1/realtime/publish",
	"POST /v1/realtime/publish/tee?stream", "GET /v2/apps", "POST /api/v2/events",
}

// openPaths are those on which no key is ever used.
var openPaths = []string{
	"GET /", "GET /dev", "GET /e/key", "GET /v2/keys/signing", "GET /api/v2/keys/events", "DELETE /fn/remove", "GET /metrics",
	"GET /v1/checkpoint/01M8/output", "GET /v1/realtime/sse", "GET /v1/prom/prod", "DELETE /v1/runs/01M8", "POST /v1/nothing",
}

func TestServer_usesTheRealKeyOnListedPathsAlone(t *testing.T) {
	d := newInngest(t, nil)
	for mode, authorization := range map[apps.Mode][]string{
		apps.Resign: {"Authorization: Bearer " + token(t, localKey)},
		apps.Strip:  nil,
	} {
		l := serve(t, options(t, d.url, mode))
		for _, request := range keyPaths {
			method, target, _ := strings.Cut(request, " ")
			res, body := l.do(t, method, target, "", authorization...)
			if got := d.one(t).Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+token(t, realKey) {
				t.Errorf("%s: %s: Authorization = %q, want the real one (%d %s)", mode, request, got, res.StatusCode, body)
			}
		}
		for _, request := range openPaths {
			method, target, _ := strings.Cut(request, " ")
			l.do(t, method, target, "", authorization...)
			if got := d.one(t).Header["Authorization"]; got != nil {
				t.Errorf("%s: %s: Authorization = %q, want none", mode, request, got)
			}
		}
	}
}

func TestServer_knowsTokensInEveryForm(t *testing.T) {
	d := newInngest(t, nil)
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
	real, fallback := "Bearer "+token(t, realKey), "Bearer "+token(t, fallbackKey)
	_, hash, _ := strings.Cut(strings.TrimPrefix(token(t, localKey), "signkey-"), "-")
	listeners := map[apps.Mode]*listener{}
	for _, mode := range []apps.Mode{apps.Passthrough, apps.Resign, apps.Strip} {
		listeners[mode] = serve(t, options(t, d.url, mode))
	}
	for name, c := range map[string]struct {
		mode apps.Mode
		path string // POST
		sent string
		want string // empty: none; "401": refused
	}{
		"resign, hashed":                      {apps.Resign, "/v1/signals", "Bearer " + token(t, localKey), real},
		"resign, plain":                       {apps.Resign, "/v1/signals", "Bearer " + localKey, real},
		"resign, hash with another prefix":    {apps.Resign, "/v1/signals", "Bearer signkey-test-" + hash, real},
		"resign, hash alone":                  {apps.Resign, "/v1/signals", "bearer " + hash, real},
		"resign, unknown":                     {apps.Resign, "/v1/signals", "Bearer " + unknownToken, "401"},
		"resign, none":                        {apps.Resign, "/v1/signals", "", "401"},
		"resign, other scheme":                {apps.Resign, "/v1/signals", "Basic " + token(t, localKey), "401"},
		"resign, empty token":                 {apps.Resign, "/v1/signals", "Bearer ", "401"},
		"resign, the real key":                {apps.Resign, "/v1/signals", real, real},
		"resign, JWT where keys count":        {apps.Resign, "/v1/signals", "Bearer " + jwt, "401"},
		"resign, JWT to publish":              {apps.Resign, "/v1/realtime/publish", "Bearer " + jwt, "Bearer " + jwt},
		"resign, unknown to publish":          {apps.Resign, "/v1/realtime/publish", "Bearer " + unknownToken, "401"},
		"strip, none":                         {apps.Strip, "/v1/signals", "", real},
		"strip, any":                          {apps.Strip, "/v1/signals", "Bearer " + unknownToken, real},
		"passthrough, hashed":                 {apps.Passthrough, "/v1/signals", real, real},
		"passthrough, plain":                  {apps.Passthrough, "/v1/signals", "Bearer " + realKey, "Bearer " + realKey},
		"passthrough, fallback":               {apps.Passthrough, "/v1/signals", fallback, fallback},
		"passthrough, unknown":                {apps.Passthrough, "/v1/signals", "Bearer " + unknownToken, "Bearer " + unknownToken},
		"passthrough, none":                   {apps.Passthrough, "/v1/signals", "", ""},
		"passthrough, local key of no app":    {apps.Passthrough, "/v1/signals", "Bearer " + localKey, "Bearer " + localKey},
		"passthrough, unlisted path":          {apps.Passthrough, "/dev", real, ""},
		"passthrough, keys of an account":     {apps.Passthrough, "/v2/keys/signing", real, ""},
		"resign, unlisted path":               {apps.Resign, "/dev", "Bearer " + token(t, localKey), ""},
		"resign, unlisted path, unknown":      {apps.Resign, "/dev", "Bearer " + unknownToken, ""},
		"resign, checkpoint under a new name": {apps.Resign, "/v1/http/runs/01M8/steps", "Bearer " + localKey, real},
	} {
		t.Run(name, func(t *testing.T) {
			l := listeners[c.mode]
			var fields []string
			if c.sent != "" {
				fields = []string{"Authorization: " + c.sent}
			}
			res, body := l.do(t, "POST", c.path, "{}", fields...)
			if c.want == "401" {
				if res.StatusCode != 401 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeUnauthorized) || len(d.got()) != 0 {
					t.Errorf("answer = %d %s, want 401 and inngest to see nothing", res.StatusCode, body)
				}
				checkRefusal(t, res, body, false)
				return
			}
			if got := d.one(t).Header.Get("Authorization"); got != c.want {
				t.Errorf("Authorization = %q, want %q", got, c.want)
			}
		})
	}
}

func TestServer_leavesTokensOfInngestAlone(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Resign))
	for sent, want := range map[string]string{
		"Bearer eyJ.own.token":          "Bearer eyJ.own.token",
		"Bearer " + token(t, localKey):  "", // nobody's business there
		"Bearer " + localKey:            "",
		"Bearer " + token(t, realKey):   "Bearer " + token(t, realKey),
		"Bearer something-else-from-it": "Bearer something-else-from-it",
	} {
		l.do(t, "GET", "/v1/realtime/sse?token=x", "", "Authorization: "+sent)
		got := d.one(t)
		if got.Header.Get("Authorization") != want || got.Target != "/v1/realtime/sse?token=x" {
			t.Errorf("%s: got %s with %q, want %q", sent, got.Target, got.Header.Get("Authorization"), want)
		}
	}
}

func TestServer_exchangesEventKeys(t *testing.T) {
	d := newInngest(t, nil)
	for name, c := range map[string]struct {
		mode     apps.Mode
		key      string
		want     string // key that the event plane gets; empty: 401
		localKey string // of the app
		eventKey string // of the environment
	}{
		"resign, local":                   {apps.Resign, localEvent, realEvent, localEvent, realEvent},
		"resign, local, encoded":          {apps.Resign, "local%2Devent-key", realEvent, localEvent, realEvent},
		"resign, real":                    {apps.Resign, realEvent, realEvent, localEvent, realEvent},
		"resign, an older real one":       {apps.Resign, "old-event-key", "old-event-key", localEvent, realEvent},
		"resign, unknown":                 {apps.Resign, "nope", "", localEvent, realEvent},
		"strip with a local key, local":   {apps.Strip, localEvent, realEvent, localEvent, realEvent},
		"strip with a local key, unknown": {apps.Strip, "nope", "", localEvent, realEvent},
		"strip without one, any":          {apps.Strip, "NO_EVENT_KEY_SET", realEvent, "", realEvent},
		"strip without any":               {apps.Strip, "NO_EVENT_KEY_SET", "NO_EVENT_KEY_SET", "", ""},
		"passthrough, real":               {apps.Passthrough, realEvent, realEvent, "", realEvent},
		"passthrough, another":            {apps.Passthrough, "one-of-ten", "one-of-ten", "", realEvent},
		"no real key, any":                {apps.Resign, "dev", "dev", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, d.url, c.mode)
			o.Apps[0].LocalEventKey = c.localKey
			o.Environments[0].EventKey, o.Environments[0].EventKeys = c.eventKey, nil
			if c.eventKey != "" {
				o.Environments[0].EventKeys = []string{"old-event-key"}
			}
			l := serve(t, o)
			res, body := l.do(t, "POST", "/e/"+c.key, `{"name":"x"}`)
			if c.want == "" {
				if res.StatusCode != 401 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeUnauthorized) {
					t.Errorf("answer = %d %s, want 401", res.StatusCode, body)
				}
				checkRefusal(t, res, body, true)
				return
			}
			if got := l.events.one(t); got.Key != c.want || got.Environment != "prod" {
				t.Errorf("key = %s in %s, want %s in prod", got.Key, got.Environment, c.want)
			}
			if got := d.got(); len(got) > 0 {
				t.Errorf("inngest got %v", got)
			}
		})
	}
}

// In mode strip a request needs no token, so nothing but where it comes from
// tells an app from a page in a browser on the same host.
func TestServer_isNoOpenDoorForBrowsers(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url, apps.Strip)
	o.AppsURL = "http://gateway.internal:8481"
	l := serve(t, o)
	for name, c := range map[string]struct {
		host   string
		fields []string
		want   int
	}{
		"an app, by address":               {"127.0.0.1:8481", nil, 200},
		"an app, by IPv6 address":          {"[::1]:8481", nil, 200},
		"an app, by localhost":             {"localhost", nil, 200},
		"an app, by the name that is set":  {"gateway.internal", nil, 200},
		"an app on undici":                 {"localhost:8481", []string{"Sec-Fetch-Mode: cors"}, 200},
		"a page":                           {"localhost:8481", []string{"Origin: https://evil.test"}, 401},
		"a page of nowhere":                {"localhost:8481", []string{"Origin: null"}, 401},
		"a page whose name was led here":   {"evil.test:8481", nil, 401},
		"a page that knows the local name": {"gateway.internal", []string{"Origin: http://gateway.internal"}, 401},
	} {
		for _, request := range []string{"POST /v1/signals", "GET /v1/events", "POST /e/any", "POST /fn/register"} {
			method, target, _ := strings.Cut(request, " ")
			req, err := http.NewRequest(method, l.url+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = c.host
			for _, f := range c.fields {
				name, value, _ := strings.Cut(f, ": ")
				req.Header.Set(name, value)
			}
			res, err := l.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("%s: %s = %d, want %d", name, request, res.StatusCode, c.want)
			}
			if got := d.got(); c.want == 401 && len(got) != 0 {
				t.Errorf("%s: %s: inngest got %v", name, request, got)
			}
		}
	}
}

func TestServer_letsBrowsersInWithALocalKey(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Resign))
	l.do(t, "POST", "/e/"+localEvent, "{}", "Origin: https://shop.test")
	if got := l.events.one(t); got.Key != realEvent {
		t.Errorf("events came for %s", got.Key)
	}
}

func TestServer_findsTheEnvironmentByTheToken(t *testing.T) {
	prod, staging := newInngest(t, nil), newInngest(t, nil)
	o := options(t, prod.url, apps.Resign)
	other := "signkey-local-ffeeddccbbaa99887766554433221100"
	o.Environments = append(o.Environments, Environment{
		Name: "staging", APIURL: staging.url, EventKey: "staging-key", Keys: NewKeys(ring(t, fallbackKey), 1),
	})
	o.Environments[0].Keys = NewKeys(ring(t, realKey), 1)
	o.Apps = append(o.Apps, App{ID: "next", Environment: "staging", Mode: apps.Resign, Local: ring(t, other), LocalEventKey: "next-key"})
	l := serve(t, o)
	l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+token(t, localKey))
	if got := prod.one(t).Header.Get("Authorization"); got != "Bearer "+token(t, realKey) {
		t.Errorf("prod got %q", got)
	}
	l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+token(t, other))
	if got := staging.one(t).Header.Get("Authorization"); got != "Bearer "+token(t, fallbackKey) {
		t.Errorf("staging got %q", got)
	}
	l.do(t, "POST", "/e/next-key", "{}")
	if got := l.events.one(t); got.Environment != "staging" || got.Key != "staging-key" {
		t.Errorf("events came for %s in %s", got.Key, got.Environment)
	}
}

func TestServer_withoutKeysPassesEverything(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url, apps.Passthrough)
	o.Environments[0].Keys = NewKeys(ring(t), 1)
	l := serve(t, o)
	for _, authorization := range []string{"", "Bearer anything"} {
		l.do(t, "POST", "/v1/signals", "{}", "Authorization: "+authorization)
		if got := d.one(t).Header.Get("Authorization"); got != authorization {
			t.Errorf("Authorization = %q, want %q", got, authorization)
		}
	}
}

func TestServer_refusesRequestsThatReadTwoWays(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Strip))
	for name, raw := range map[string]string{
		"dot segments":             "GET /v2/../dev HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"encoded dot segments":     "GET /v2/%2e%2e/dev HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"two slashes":              "GET //v2/apps HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"absolute form":            "GET http://evil.test/v2/apps HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"fragment":                 "GET /v2/apps#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"two Authorization fields": "GET /v2/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
		"two Host fields":          "GET /v2/apps HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
		"name with a space":        "GET /v2/apps HTTP/1.1\r\nHost: localhost\r\nX A: b\r\n\r\n",
		"both lengths":             "POST /v1/signals HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"CONNECT":                  "CONNECT /v2/apps HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"TRACE":                    "TRACE /v2/apps HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"HTTP/2.0":                 "GET /v2/apps HTTP/2.0\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			res := l.raw(t, raw)
			if res.StatusCode < 400 || !res.Close || res.Header.Get(inngest.HeaderGatewayError) == "" {
				t.Errorf("answer = %d %v, want a refusal", res.StatusCode, res.Header)
			}
			if got := d.got(); len(got) != 0 {
				t.Errorf("inngest got %v", got)
			}
		})
	}
}

func TestNew_refusesKeysThatTellNobodyApart(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"local signing key is the real one": func(o *Options) { o.Apps[0].Local = ring(t, realKey) },
		"local event key is the real one":   func(o *Options) { o.Apps[0].LocalEventKey = realEvent },
		"two environments behind one local key": func(o *Options) {
			o.Environments = append(o.Environments, Environment{Name: "b", APIURL: "http://b", Keys: NewKeys(ring(t), 1)})
			o.Apps = append(o.Apps, App{ID: "b", Environment: "b", Mode: apps.Resign, Local: ring(t, localKey)})
		},
		"unknown environment":               func(o *Options) { o.Apps[0].Environment = "none" },
		"two environments of one name":      func(o *Options) { o.Environments = append(o.Environments, o.Environments[0]) },
		"resign without a local key":        func(o *Options) { o.Apps[0].Local = ring(t) },
		"no mode":                           func(o *Options) { o.Apps[0].Mode = "" },
		"no environment":                    func(o *Options) { o.Environments = nil },
		"API URL without a scheme":          func(o *Options) { o.Environments[0].APIURL = "api.inngest.com" },
		"API URL with a query":              func(o *Options) { o.Environments[0].APIURL = "http://a/?b" },
		"AppsURL that is none":              func(o *Options) { o.AppsURL = "ws://x" },
		"no limit of bodies":                func(o *Options) { o.MaxBody = 0 },
		"no registry":                       func(o *Options) { o.Registry = nil },
		"no event plane":                    func(o *Options) { o.Events = nil },
		"no transport":                      func(o *Options) { o.Transport = nil },
		"environment without a set of keys": func(o *Options) { o.Environments[0].Keys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "http://127.0.0.1:1", apps.Resign)
			o.Log = slog.New(slog.DiscardHandler)
			change(&o)
			if _, err := New(o); err == nil || strings.Contains(err.Error(), strings.TrimPrefix(realKey, "signkey-prod-")) {
				t.Errorf("New = %v, want an error without secrets", err)
			}
		})
	}
}
