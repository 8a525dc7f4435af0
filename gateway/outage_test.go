package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func appNames(apps []devserver.App) (names []string) {
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}

func TestWatchInngest_tellsAServerThatLostItsMemory(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	app := listenForApp(t)
	r := start(t, load(t, oneApp(server.url(), app.url(), "")), func(g *Gateway) { g.pingEvery = time.Millisecond })
	app.serve("shop", urlOf(r.listeners.apps), recorded.SigningKey)
	appURL := urlOf(r.listeners.inngest) + sampleAppPath
	server.sync(appURL)
	before := server.Apps()
	if diff := cmp.Diff([]string{"shop"}, appNames(before)); diff != "" {
		t.Fatalf("apps at the server after a sync (-want +got):\n%s", diff)
	}

	server.goAway()
	r.log.await(t, "inngest cannot be reached")
	server.Forget()
	if got := server.Apps(); len(got) != 0 {
		t.Fatalf("a wiped server has %v", got)
	}
	server.comeBack()
	server.waitFor("the app at the server that came back", func(apps []devserver.App, _ []devserver.Run) bool { return len(apps) == 1 })
	after := server.Apps()
	if diff := cmp.Diff(before[0].Functions, after[0].Functions); diff != "" {
		t.Errorf("functions (-before the outage +after):\n%s", diff)
	}
	if run := server.runSample("demo/parallel"); run.Status != devserver.Completed {
		t.Errorf("run after the outage is %v: %s", run.Status, run.Error)
	}
	if got := r.log.lines("inngest cannot be reached"); len(got) != 1 {
		t.Errorf("an outage is told as %q, want one line", got)
	}
}

// A server that is wiped and back between two pings shows no outage.
func TestWatchInngest_tellsAServerThatIsNotSeenToLoseItsMemory(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	backend := newPlainBackend(t, func(string, map[string]any) (int, any) { return 200, nil })
	text := fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\n", server.url(), server.url()) +
		strings.ReplaceAll(twoFunctions, "BACKEND", backend.url)
	r := start(t, load(t, text), func(g *Gateway) { g.pingEvery = 10 * time.Millisecond })
	server.sync(urlOf(r.listeners.inngest) + "/api/functions")
	known := func(apps []devserver.App, _ []devserver.Run) bool {
		return len(apps) == 1 && len(apps[0].Functions) == 2
	}
	server.waitFor("the functions at the server", known)

	server.Forget()
	server.waitFor("the functions at the wiped server", known)
	if run := server.run("user.created", nil); run.Status != devserver.Completed {
		t.Errorf("run is %v: %s", run.Status, run.Error)
	}
	if got := r.log.lines("cannot be reached"); len(got) != 0 {
		t.Errorf("the server was always there, and the log says %q", got)
	}
	r.log.await(t, "inngest has forgotten an app")
}

// unreliable is Inngest as a transport sees it.
type unreliable struct{ down atomic.Bool }

func (u *unreliable) RoundTrip(r *http.Request) (*http.Response, error) {
	if u.down.Load() {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

// watched returns a gateway, which does not run, with an environment behind an
// unreliable transport.
func watched(t *testing.T, cfg *config.Config) (*Gateway, *environment, *unreliable, *watchedLog) {
	t.Helper()
	g, err := New(Options{Config: cfg, Version: "test", LogTo: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	log, transport := &watchedLog{}, &unreliable{}
	g.log = slog.New(slog.NewTextHandler(log, nil))
	environments, err := newEnvironments(g.cfg, transport)
	if err != nil {
		t.Fatal(err)
	}
	return g, environments[""], transport, log
}

func TestWatchInngest_tellsAnOutageOnceAndItsEnd(t *testing.T) {
	cfg := load(t, oneApp("http://inngest", "http://127.0.0.1:1", ""))
	synctest.Test(t, func(t *testing.T) {
		g, e, inngest, log := watched(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.watchInngest(ctx, e)
		told := func(what string, wantDown, wantBack int) {
			t.Helper()
			synctest.Wait()
			if down, back := len(log.lines("cannot be reached")), len(log.lines("can be reached again")); down != wantDown || back != wantBack {
				t.Errorf("%s: told %d outages and %d ends, want %d and %d\n%s", what, down, back, wantDown, wantBack, log)
			}
		}
		told("at start", 0, 0)
		time.Sleep(3 * pingInterval)
		told("while all is well", 0, 0)
		inngest.down.Store(true)
		time.Sleep(3 * pingInterval)
		told("during an outage", 1, 0)
		inngest.down.Store(false)
		time.Sleep(pingInterval)
		told("after the outage", 1, 1)
		time.Sleep(3 * pingInterval)
		told("a while after the outage", 1, 1)
	})
}

// Inngest may be restarted between two pings.
func TestWatchInngest_countsAnOutageThatARegistrationMet(t *testing.T) {
	cfg := load(t, oneApp("http://inngest", "http://127.0.0.1:1", ""))
	synctest.Test(t, func(t *testing.T) {
		g, e, inngest, log := watched(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go g.watchInngest(ctx, e)
		time.Sleep(pingInterval / 2)
		inngest.down.Store(true)
		if err := e.client.Ping(ctx); err == nil {
			t.Fatal("the server answers")
		}
		inngest.down.Store(false)
		if err := e.client.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(pingInterval)
			synctest.Wait()
			if got := log.lines("can be reached again"); len(got) != 1 {
				t.Errorf("told %q, want one line", got)
			}
		}
	})
}
