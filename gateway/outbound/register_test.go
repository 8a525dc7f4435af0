package outbound

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestServer_handsRegistrationsToTheRegistry(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	o.Registry = &registryDouble{result: apps.Result{
		Status: 200, Header: http.Header{"X-Inngest-Server-Kind": {"cloud"}, "Content-Type": {"text/plain"}, "Connection": {"close"}, "Content-Length": {"9"}},
		Body: []byte(`{"ok":true}`),
	}}
	l := serve(t, o)
	res, body := l.do(t, "POST", "/fn/register?deployId=7", `{"appName":"shop"}`,
		"Authorization: Bearer "+token(t, localKey), "X-Inngest-Expected-Server-Kind: cloud", "X-Inngest-Server-Kind: cloud", "X-Inngest-Sdk: js:v4", "X-Forwarded-For: 1")
	if res.StatusCode != 200 || body != `{"ok":true}` || res.Header.Get("X-Inngest-Server-Kind") != "cloud" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("answer = %d %s %v", res.StatusCode, body, res.Header)
	}
	got := l.registry.got
	if len(got) != 1 || string(got[0].Body) != `{"appName":"shop"}` || got[0].Query != "deployId=7" || got[0].From != "shop" {
		t.Fatalf("registry got %v", got)
	}
	h := got[0].Header
	h.Del("User-Agent")
	if diff := cmp.Diff(http.Header{"X-Inngest-Expected-Server-Kind": {"cloud"}, "X-Inngest-Server-Kind": {"cloud"}, "X-Inngest-Sdk": {"js:v4"}}, h); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestServer_believesRegistrationsWithAKnownTokenAlone(t *testing.T) {
	for name, c := range map[string]struct {
		mode apps.Mode
		sent string
		want int
		from string
	}{
		"resign, local key":       {apps.Resign, "Bearer " + token(t, localKey), 200, "shop"},
		"resign, plain local key": {apps.Resign, "Bearer " + localKey, 200, "shop"},
		"resign, the real key":    {apps.Resign, "Bearer " + token(t, realKey), 200, ""},
		"resign, unknown":         {apps.Resign, "Bearer " + unknownToken, 401, ""},
		"resign, none":            {apps.Resign, "", 401, ""},
		"passthrough, real":       {apps.Passthrough, "Bearer " + token(t, realKey), 200, ""},
		"passthrough, fallback":   {apps.Passthrough, "Bearer " + token(t, fallbackKey), 200, ""},
		"passthrough, unknown":    {apps.Passthrough, "Bearer " + unknownToken, 401, ""},
		"passthrough, none":       {apps.Passthrough, "", 401, ""},
		"strip, none":             {apps.Strip, "", 200, ""},
		"strip, any":              {apps.Strip, "Bearer " + unknownToken, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := serve(t, options(t, "http://127.0.0.1:1", c.mode))
			res, body := l.do(t, "POST", "/fn/register", "{}", "Authorization: "+c.sent)
			if res.StatusCode != c.want {
				t.Fatalf("answer = %d %s, want %d", res.StatusCode, body, c.want)
			}
			if c.want != 200 {
				checkRefusal(t, res, body, false)
				if len(l.registry.got) != 0 {
					t.Error("the registry got it")
				}
				return
			}
			if len(l.registry.got) != 1 || l.registry.got[0].From != c.from {
				t.Errorf("registry got %v, want one from %q", l.registry.got, c.from)
			}
		})
	}
}

// Apps of one team may share a local key. Which of them registers is then in the
// registration alone.
func TestServer_takesRegistrationsOfEveryAppThatHasTheKey(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	second := o.Apps[0]
	second.ID, second.LocalEventKey = "cart", ""
	o.Apps = append(o.Apps, second)
	l := serve(t, o)
	if res, body := l.do(t, "POST", "/fn/register", "{}", "Authorization: Bearer "+token(t, localKey)); res.StatusCode != 200 {
		t.Fatalf("answer = %d %s", res.StatusCode, body)
	}
	if got := l.registry.got; len(got) != 1 || got[0].From != "" {
		t.Errorf("registry got %v, want one that names no app", got)
	}
}

func TestServer_tellsWhatTheRegistryRefuses(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Strip)
	registry := o.Registry.(*registryDouble)
	l := serve(t, o)
	registry.result = apps.Result{Status: 400, Code: inngest.CodeUnknownApp, Body: []byte("{}")}
	if res, _ := l.do(t, "POST", "/fn/register", "{}"); res.StatusCode != 400 || res.Header.Get(inngest.HeaderGatewayError) != "unknown_app" {
		t.Errorf("answer = %d %v", res.StatusCode, res.Header)
	}
	registry.err = errors.New("dial tcp 10.0.0.1:443: refused")
	res, body := l.do(t, "POST", "/fn/register", "{}")
	if res.StatusCode != 503 || strings.Contains(body, "10.0.0.1") {
		t.Errorf("answer = %d %s, want 503 without the address", res.StatusCode, body)
	}
	checkRefusal(t, res, body, false)
}

func TestServer_refusesRegistrationsOverTheLimit(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Strip)
	o.MaxBody = 4 << 10
	l := serve(t, o)
	for size, want := range map[int]int{4 << 10: 200, 4<<10 + 1: 413, 100 << 10: 413} {
		res, body := l.do(t, "POST", "/fn/register", strings.Repeat("x", size))
		if res.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, res.StatusCode, want)
		}
		if want == 413 && (!strings.Contains(body, `"limit":"4KiB"`) || !strings.Contains(body, "limits.body")) {
			t.Errorf("%d bytes: %s, want the limit and its setting", size, body)
		}
	}
}
