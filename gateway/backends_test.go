package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// restarting is a backend that goes away and comes back at its address.
type restarting struct {
	tb      testing.TB
	address string
	server  *httptest.Server // nil: away
	made    atomic.Int64     // requests that did something
}

// newRestarting returns a backend that is away. It answers as an endpoint does, as
// steps need it, and as a conversation of one step.
func newRestarting(tb testing.TB) *restarting {
	tb.Helper()
	b := &restarting{tb: tb, address: awayAddress(tb)}
	tb.Cleanup(b.goAway)
	return b
}

func (b *restarting) url() string { return "http://" + b.address }

func (b *restarting) comeBack() {
	b.tb.Helper()
	ln, err := net.Listen("tcp", b.address)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.server = httptest.NewUnstartedServer(http.HandlerFunc(b.answer))
	b.server.Listener.Close()
	b.server.Listener = ln
	b.server.Start()
}

func (b *restarting) goAway() {
	if b.server != nil {
		b.server.Close()
		b.server = nil
	}
}

func (b *restarting) answer(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Run   *string         `json:"run"`
		Steps *map[string]any `json:"steps"`
	}
	_ = json.NewDecoder(r.Body).Decode(&q) // a GET has none
	switch {
	case q.Steps == nil || q.Run != nil:
		b.made.Add(1)
		fmt.Fprint(w, `"done"`)
	case len(*q.Steps) == 0:
		fmt.Fprint(w, `{"steps":[{"id":"one","run":null}]}`)
	default:
		fmt.Fprint(w, `{"return":"done"}`)
	}
}

// waitParked waits until a backend's room holds so many calls.
func (r *running) waitParked(tb testing.TB, want int) {
	tb.Helper()
	for over := time.After(patience); ; {
		parked := 0
		for _, h := range r.hosted {
			for _, b := range h.backends {
				parked += b.room.Status().Parked
			}
		}
		if parked == want {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-over:
			tb.Fatalf("%d calls are parked before backends, want %d", parked, want)
		}
	}
}

// An attempt is what a backend that restarts must not cost.
func TestFunctions_waitForABackendThatIsAway(t *testing.T) {
	for kind, body := range map[string]string{
		"endpoint":     "endpoint: BACKEND/",
		"conversation": "conversation: BACKEND/",
		"steps":        `steps: [{id: one, get: "BACKEND/"}, {return: "${steps.one}"}]`,
	} {
		t.Run(kind, func(t *testing.T) {
			server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
			backend := newRestarting(t)
			r := start(t, load(t, functionsText(server, backend, "", "retries: 0\n    "+body)))
			server.sync(urlOf(r.listeners.inngest) + "/api/functions")
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			id, err := server.SendEvent(ctx, "go", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.waitParked(t, 1)
			backend.comeBack()
			runs, err := server.WaitRunsOf(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if run := runs[0]; run.Status != devserver.Completed || string(run.Output) != `"done"` {
				t.Errorf("run is %s: %s %s", run.Status, run.Output, run.Error)
			}
			if n := backend.made.Load(); n != 1 {
				t.Errorf("the backend made it %d times", n)
			}
		})
	}
}

// Calls of the app wait in its room, those of its steps in their backend's: more
// of the one than of the other stop nothing.
func TestFunctions_waitForABackendWithEveryPlaceOfTheAppTaken(t *testing.T) {
	const runs = 20
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	backend := newRestarting(t)
	r := start(t, load(t, functionsText(server, backend, "concurrency: {max: 3, min: 1}, backends: {connections: {max: 2, idle: 2}}",
		`retries: 0
    steps: [{id: one, get: "BACKEND/"}, {id: two, get: "BACKEND/"}, {return: "${steps.two}"}]`)))
	server.sync(urlOf(r.listeners.inngest) + "/api/functions")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range runs {
		if _, err := server.SendEvent(ctx, "go", nil); err != nil {
			t.Fatal(err)
		}
	}
	r.waitParked(t, 3)
	backend.comeBack()
	server.waitFor("the end of all runs", func(_ []devserver.App, all []devserver.Run) bool {
		done := 0
		for _, run := range all {
			if run.Status == devserver.Failed {
				t.Fatalf("a run failed: %s", run.Error)
			}
			if run.Status == devserver.Completed {
				done++
			}
		}
		return done == runs
	})
	if n := backend.made.Load(); n != 2*runs {
		t.Errorf("the backend was asked %d times, want %d", n, 2*runs)
	}
}

func TestFunctions_waitForABackendNoLongerThanTheyMay(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	backend := newRestarting(t)
	r := start(t, load(t, functionsText(server, backend, "wait: {max: 2s}", "endpoint: {url: BACKEND/, timeout: 100ms}")))
	began := time.Now()
	call := recorded.One(t, 6).Request
	a := postCall(t, urlOf(r.listeners.inngest)+"/api/functions?fnId=functions-go&stepId=step", string(call.Body))
	if took := time.Since(began); a.status != 500 || a.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeFunctionWebhook) || took < time.Second {
		t.Errorf("after %v: %d %v %s", took, a.status, a.header, a.body)
	}
}

// functionsText is the configuration of one function, go, in an app with further
// settings. BACKEND stands for the backend's address.
func functionsText(server *testServer, backend *restarting, app, function string) string {
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\n", server.url(), server.url())
	if app != "" {
		app = ", " + app
	}
	text += "function_apps: [{id: functions, path: /api/functions" + app + "}]\n"
	text += "functions:\n  - id: go\n    triggers: [{event: go}]\n    " + function + "\n"
	return strings.ReplaceAll(text, "BACKEND", backend.url())
}
