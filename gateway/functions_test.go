package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions/spec"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// plainBackend is a backend without an SDK that notes what it is asked.
type plainBackend struct {
	url string

	mu    sync.Mutex
	paths []string
}

func newPlainBackend(tb testing.TB, answer func(path string, body map[string]any) (int, any)) *plainBackend {
	b := &plainBackend{}
	b.url = serveHTTP(tb, func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var body map[string]any
		_ = json.Unmarshal(text, &body) // a GET has none
		b.mu.Lock()
		b.paths = append(b.paths, r.URL.Path)
		b.mu.Unlock()
		status, value := answer(r.URL.Path, body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(value)
	})
	return b
}

// got returns the paths that were asked for since the last call.
func (b *plainBackend) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.paths
	b.paths = nil
	return got
}

// run sends an event and waits for the run that it starts.
func (s *testServer) run(name string, data any) devserver.Run {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := s.SendEvent(ctx, name, data)
	if err != nil {
		s.tb.Fatal(err)
	}
	runs, err := s.WaitRunsOf(ctx, id)
	if err != nil || len(runs) != 1 {
		s.tb.Fatalf("runs of %s = %v, %v", name, runs, err)
	}
	return runs[0]
}

const twoFunctions = `
functions:
  - id: welcome
    triggers: [{event: user.created}]
    endpoint: BACKEND/welcome
  - id: order
    triggers: [{event: order.created}]
    steps:
      - {id: check, post: BACKEND/check, body: {order: "${event.data.id}"}}
      - {id: pay, post: BACKEND/pay, body: {amount: "${steps.check.amount}"}}
      - {id: told, sendEvent: {name: order.paid, data: {id: "${event.data.id}"}}}
      - return: {paid: "${steps.pay.ok}"}
`

func TestFunctions_runOnPlainBackends(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	backend := newPlainBackend(t, func(path string, body map[string]any) (int, any) {
		switch path {
		case "/welcome":
			return 200, map[string]any{"hello": body["event"].(map[string]any)["data"]}
		case "/check":
			return 200, map[string]any{"amount": body["order"]}
		default:
			return 200, map[string]any{"ok": body["amount"]}
		}
	})
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\n", server.url(), server.url()) +
		strings.ReplaceAll(twoFunctions, "BACKEND", backend.url)
	r := start(t, load(t, text))
	server.sync(urlOf(r.listeners.inngest) + "/api/functions")

	run := server.run("user.created", map[string]any{"id": 7})
	if diff := cmp.Diff(`{"hello":{"id":7}}`, string(run.Output)); run.Status != devserver.Completed || diff != "" {
		t.Errorf("run is %s: %s (-want +got):\n%s", run.Status, run.Error, diff)
	}
	if diff := cmp.Diff([]string{"/welcome"}, backend.got()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	run = server.run("order.created", map[string]any{"id": 12})
	if diff := cmp.Diff(`{"paid":12}`, string(run.Output)); run.Status != devserver.Completed || diff != "" {
		t.Errorf("run is %s: %s (-want +got):\n%s", run.Status, run.Error, diff)
	}
	if diff := cmp.Diff([]string{"/check", "/pay"}, backend.got()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	calls := slices.DeleteFunc(run.Calls, func(c devserver.Call) bool { return c.Checkpoint })
	if len(calls) != 1 {
		t.Errorf("the run took the calls %+v, want one: its steps are checkpointed", calls)
	}
	server.waitEvents(1) // order.paid
}

func TestFunctions_arePublishedByBackends(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	names := []string{"one"}
	var mu sync.Mutex
	backend := newPlainBackend(t, func(path string, body map[string]any) (int, any) {
		if path != "/.well-known/inngest-functions" {
			return 200, path
		}
		mu.Lock()
		defer mu.Unlock()
		var list []any
		for _, name := range names {
			list = append(list, map[string]any{"id": name, "triggers": []any{map[string]any{"event": name}}, "endpoint": "/" + name})
		}
		return 200, map[string]any{"functions": list}
	})
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\nstate_dir: %q\nfunction_apps: [{id: jobs, path: /jobs, discover: {urls: [%q], interval: 1s}}]\n",
		server.url(), server.url(), t.TempDir(), backend.url)
	r := start(t, load(t, text))
	server.sync(urlOf(r.listeners.inngest) + "/jobs")
	has := func(n int) func([]devserver.App, []devserver.Run) bool {
		return func(apps []devserver.App, _ []devserver.Run) bool {
			return len(apps) == 1 && len(apps[0].Functions) == n
		}
	}
	server.waitFor("the published function", has(1))
	if run := server.run("one", nil); string(run.Output) != `"/one"` {
		t.Errorf("output = %s (%s)", run.Output, run.Error)
	}

	mu.Lock()
	names = append(names, "two")
	mu.Unlock()
	server.waitFor("a function that came later", has(2))
	if run := server.run("two", nil); string(run.Output) != `"/two"` {
		t.Errorf("output = %s (%s)", run.Output, run.Error)
	}
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}

	// A backend that is away at the next start keeps its functions.
	gone := strings.ReplaceAll(text, "interval: 1s", "interval: 1h")
	r = start(t, load(t, gone))
	for _, h := range r.hosted {
		if n := len(h.host.Status().Functions); n != 2 {
			t.Errorf("after a restart there are %d functions, want 2", n)
		}
	}
}

// A host is the same however it is written.
func TestFunctions_arePublishedByABackendInCapitals(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	backend := newPlainBackend(t, func(path string, _ map[string]any) (int, any) {
		if path != "/.well-known/inngest-functions" {
			return 200, path
		}
		on := func(name string) []any { return []any{map[string]any{"event": name}} }
		return 200, []any{
			map[string]any{"id": "one", "triggers": on("one"), "endpoint": "/one"},
			map[string]any{"id": "two", "triggers": on("two"), "steps": []any{map[string]any{"id": "a", "get": "/two"}}},
		}
	})
	shouted := strings.Replace(backend.url, "http://127.0.0.1", "HTTP://LocalHost", 1)
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\nfunction_apps: [{id: jobs, path: /jobs, discover: {urls: [%q]}}]\n",
		server.url(), server.url(), shouted)
	r := start(t, load(t, text))
	server.sync(urlOf(r.listeners.inngest) + "/jobs")
	server.waitFor("the published functions", func(apps []devserver.App, _ []devserver.Run) bool {
		return len(apps) == 1 && len(apps[0].Functions) == 2
	})
	for _, name := range []string{"one", "two"} {
		if run := server.run(name, nil); run.Status != devserver.Completed {
			t.Errorf("run of %s is %s: %s", name, run.Status, run.Error)
		}
	}
}

func TestFunctions_sendEventsWithoutAKeyInDevelopment(t *testing.T) {
	server := newTestServer(t, "", "NO_EVENT_KEY_SET") // which SDKs send
	text := fmt.Sprintf("insecure_skip_verify: true\ninngest: {api_url: %q, event_url: %q}\n", server.url(), server.url()) +
		"functions: [{id: tell, triggers: [{event: t}], steps: [{id: a, sendEvent: {name: told, data: {}}}]}]\n"
	r := start(t, loadFrom(t, sources(t, text)))
	server.sync(urlOf(r.listeners.inngest) + "/api/functions")
	if run := server.run("t", nil); run.Status != devserver.Completed {
		t.Fatalf("run is %s: %s", run.Status, run.Error)
	}
	server.waitEvents(1)
}

// manifestOf writes functions that an event of their name starts.
func manifestOf(functions ...map[string]any) map[string]any {
	list := []any{}
	for _, f := range functions {
		f["triggers"] = []any{map[string]any{"event": f["id"]}}
		list = append(list, f)
	}
	return map[string]any{"functions": list}
}

func publishedAt(id string) map[string]any { return map[string]any{"id": id, "endpoint": "/" + id} }

// What one backend publishes keeps neither the gateway from starting nor the
// functions of others from being served.
func TestFunctions_leaveOutWhatIsPublishedTwice(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	publish := func(functions ...map[string]any) *plainBackend {
		return newPlainBackend(t, func(path string, _ map[string]any) (int, any) {
			if path != spec.ManifestPath {
				return 200, path
			}
			return 200, manifestOf(functions...)
		})
	}
	withFailure := publishedAt("one")
	withFailure["onFailure"] = map[string]any{"endpoint": "/failed"}
	first, second := publish(withFailure, publishedAt("two")), publish(publishedAt("one-failure"), publishedAt("two"), publishedAt("three"))
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\nstate_dir: %q\nfunction_apps: [{id: jobs, path: /jobs, discover: {urls: [%q, %q]}}]\n",
		server.url(), server.url(), t.TempDir(), first.url, second.url)
	served := func(r *running) (ids []string) {
		for _, f := range r.hosted[0].host.Status().Functions {
			ids = append(ids, strings.TrimPrefix(f.ID, "jobs-"))
		}
		return ids
	}
	r := start(t, load(t, text))
	server.sync(urlOf(r.listeners.inngest) + "/jobs")
	server.waitFor("the published functions", func(apps []devserver.App, _ []devserver.Run) bool {
		return len(apps) == 1 && len(apps[0].Functions) == 4
	})
	if diff := cmp.Diff([]string{"one", "one-failure", "two", "three"}, served(r)); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	if got := len(r.log.lines("left out")); got != 2 {
		t.Errorf("%d functions are told of, want 2: %s", got, r.log)
	}
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}
	// The file has one of them now, and the backends are as they were.
	r = start(t, load(t, text+"functions: [{id: three, triggers: [{event: three}], endpoint: \"http://127.0.0.1:1/\"}]\n"))
	if diff := cmp.Diff([]string{"three", "one", "one-failure", "two"}, served(r)); diff != "" {
		t.Errorf("functions after a restart (-want +got):\n%s", diff)
	}
}

func TestReadManifest_readsATextOnceAndTellsAsMuchAsALineHolds(t *testing.T) {
	h := &hosted{FunctionApp: config.FunctionApp{ID: "jobs"}, published: map[string][]spec.Function{}, heard: map[string]heard{}}
	const base = "http://backend"
	read := func(list string, want bool, wrong string) {
		t.Helper()
		isNew, err := h.readManifest([]byte(list), base)
		if isNew != want || (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("readManifest(%.60s) = %v, %v, want %v and %q", list, isNew, err, want, wrong)
		}
		if err != nil && len(err.Error()) > maxTold+100 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
	good := `[{"id":"f","triggers":[{"event":"e"}],"endpoint":"/f"}]`
	read(good, true, "")
	read(good, false, "")
	bad := `[` + strings.Repeat(`{"id":"f","endpoint":"http://other/"},`, 500) + `{}]`
	read(bad, false, "problems in all")
	read(bad, false, "problems in all")
	if n := len(h.published[base]); n != 1 {
		t.Errorf("%d functions are published, want the one that was", n)
	}
	read(good, true, "")
}
