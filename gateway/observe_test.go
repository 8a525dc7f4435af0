package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/admin"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// nobody is an address that refuses connections.
const nobody = "http://127.0.0.1:1"

func decode[T any](tb testing.TB, text string) (v T) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return v
}

type readiness struct {
	Status string        `json:"status"`
	Checks []admin.Check `json:"checks"`
}

func TestReadyz_tellsWhatIsAwayAndStaysReady(t *testing.T) {
	cfg := load(t, oneApp(nobody, nobody, ""))
	cfg.Apps[0].Wait.Max = config.WaitMax{} // calls do not wait for the app
	r := start(t, cfg)
	r.log.await(t, "inngest cannot be reached")
	for range 2 {
		callApp(t, urlOf(r.listeners.inngest)+"/api/inngest", recorded.SigningKey)
	}
	got := get(t, urlOf(r.listeners.admin)+"/readyz")
	ready := decode[readiness](t, got.body)
	for i := range ready.Checks {
		c := &ready.Checks[i]
		if at := strings.Index(c.Reason, "last try at "); at >= 0 { // its time is that of the test
			c.Reason = c.Reason[:at] + "last try at …" + c.Reason[at+len("last try at 2006-01-02T15:04:05Z"):]
		}
	}
	want := readiness{"ready", []admin.Check{
		{Name: "drain", OK: true, Required: true},
		{Name: "app shop", Reason: "it took no call lately; calls wait; see /status"},
		{Name: "inngest", Reason: "no answer yet; last try at …: dial tcp 127.0.0.1:1: connect: connection refused"},
	}}
	if diff := cmp.Diff(want, ready); diff != "" || got.status != http.StatusOK {
		t.Errorf("readyz = %d (-want +got):\n%s", got.status, diff)
	}
}

func TestReadyz_isShortWhileAllIsWell(t *testing.T) {
	r := start(t, load(t, oneApp(serveHTTP(t, answerStep), nobody, "")))
	const want = `{"status":"ready","checks":[{"name":"drain","ok":true,"required":true},{"name":"app shop","ok":true,"required":false},{"name":"inngest","ok":true,"required":false}]}`
	if got := get(t, urlOf(r.listeners.admin)+"/readyz"); got.status != http.StatusOK || got.body != want {
		t.Errorf("readyz = %d %s, want %s", got.status, got.body, want)
	}
}

func TestAway_saysSinceWhen(t *testing.T) {
	r := start(t, load(t, oneApp(nobody, nobody, "")), func(g *Gateway) { g.pingEvery = time.Hour })
	r.log.await(t, "inngest cannot be reached")
	reach := r.environments[""].client.Reach()
	reach.Reached = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	reach.Failed = reach.Reached.Add(time.Minute)
	const want = "no answer since 2026-11-24T12:00:00Z; last try at 2026-11-24T12:01:00Z: dial tcp 127.0.0.1:1: connect: connection refused"
	if got := away(reach); got != want {
		t.Errorf("away = %q, want %q", got, want)
	}
}

func TestStatus_tellsTheStateOfEverything(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	app := listenForApp(t)
	r := start(t, load(t, oneApp(server.url(), app.url(), "public_url: https://gw.example.com")))
	app.serve("shop", urlOf(r.listeners.apps), recorded.SigningKey)
	server.sync(urlOf(r.listeners.inngest) + sampleAppPath)
	r.log.await(t, `"kind":"sync"`) // it is no longer in flight

	got := decode[status](t, get(t, urlOf(r.listeners.admin)+"/status").body)
	for name, is := range map[string]bool{
		"go":                       strings.HasPrefix(got.Go, "go1."),
		"inngest[0].answered_at":   !got.Inngest[0].AnsweredAt.IsZero(),
		"apps[0].synced":           time.Since(got.Apps[0].Synced) < time.Hour,
		"endpoints[0].connections": got.Endpoints[0].Connections >= 1,
		"endpoints[0].idle":        got.Endpoints[0].Idle >= 1,
		"memory.heap_bytes":        got.Memory.HeapBytes > 0,
	} {
		if !is {
			t.Errorf("%s is wrong in %+v", name, got)
		}
	}
	got.Go, got.Inngest[0].AnsweredAt, got.Apps[0].Synced, got.Memory = "", time.Time{}, time.Time{}, memory{}
	got.Endpoints[0].Connections, got.Endpoints[0].Idle = 0, 0
	want := status{
		Version: "test",
		Inngest: []inngestServer{{URL: server.url(), Reachable: true}},
		Apps: []apps.Status{{
			App: "shop", Path: "/api/inngest", Mode: apps.Passthrough, PublicURL: "https://gw.example.com/api/inngest",
			InBand: true, Functions: 3, Server: apps.DialectAuto,
		}},
		Endpoints: []endpoint{{App: "shop", Endpoint: app.url(), Address: strings.TrimPrefix(app.url(), "http://"), Breaker: "closed"}},
		Waiting:   []admission.Status{{App: "shop", State: "open", Limit: 1000, WaitSeconds: 50}},
		Events:    eventStatus{Mode: "none", MemoryLimit: 64 << 20},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	for _, secret := range []string{recorded.SigningKey, strings.TrimPrefix(recorded.SigningKey, "signkey-prod-"), recorded.EventKey} {
		for _, path := range []string{"/status", "/readyz", "/metrics"} {
			if body := get(t, urlOf(r.listeners.admin)+path).body; strings.Contains(body, secret) {
				t.Errorf("%s shows a key", path)
			}
		}
	}
}
