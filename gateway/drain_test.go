package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// slowApp holds each call until it is told to go on.
type slowApp struct {
	url     string
	arrived chan struct{}
	release chan struct{} // a value lets one call answer, closing it all of them
	gone    chan struct{} // a value for each call that was hung up on
}

func newSlowApp(tb testing.TB) *slowApp {
	a := &slowApp{arrived: make(chan struct{}, 10), release: make(chan struct{}), gone: make(chan struct{}, 10)}
	a.url = serveHTTP(tb, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or net/http does not see a hang-up
		a.arrived <- struct{}{}
		select {
		case <-a.release:
			answerStep(w, r)
		case <-r.Context().Done():
			a.gone <- struct{}{}
		}
	})
	return a
}

// callInBackground makes a call and delivers its answer.
func (r *running) callInBackground(tb testing.TB) <-chan answer {
	answers := make(chan answer, 1)
	go func() { answers <- callApp(tb, urlOf(r.listeners.inngest)+"/api/inngest", recorded.SigningKey) }()
	return answers
}

// phases returns the names of the stop phases in the order of the log.
func (r *running) phases() []string {
	var names []string
	for _, m := range regexp.MustCompile(`"msg":"stop phase [a-z]+","phase":"([a-z]+)"`).FindAllStringSubmatch(r.log.String(), -1) {
		names = append(names, m[1])
	}
	return names
}

func TestRun_letsRunningCallsFinishAndCheckpoint(t *testing.T) {
	checkpoints := make(chan string, 1)
	server := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/checkpoint/r1/async" {
			checkpoints <- r.Header.Get("Authorization")
		}
	})
	app := newSlowApp(t)
	r := start(t, load(t, oneApp(server, app.url, "")))
	answers := r.callInBackground(t)
	await(t, "the call at the app", app.arrived)
	if got := get(t, urlOf(r.listeners.admin)+"/readyz"); got.status != http.StatusOK {
		t.Errorf("readyz before the drain = %d %s", got.status, got.body)
	}

	r.drain()
	r.log.await(t, `"phase":"unready"`)
	if got := get(t, urlOf(r.listeners.admin)+"/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "the gateway is going away") {
		t.Errorf("readyz during the drain = %d %s", got.status, got.body)
	}
	if got := get(t, urlOf(r.listeners.admin)+"/livez"); got.status != http.StatusOK {
		t.Errorf("livez during the drain = %d %s", got.status, got.body)
	}
	if got := decode[status](t, get(t, urlOf(r.listeners.admin)+"/status").body); !got.Draining || got.InFlight != 1 {
		t.Errorf("status during the drain: draining %v, in flight %d", got.Draining, got.InFlight)
	}
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + signature.BearerToken(key)
	got, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+"/v1/checkpoint/r1/async", http.Header{"Authorization": {token}}, "{}")
	if err != nil || got.status != http.StatusOK {
		t.Errorf("checkpoint of the running step = %d %s, %v", got.status, got.body, err)
	} else if sent := await(t, "the checkpoint at the server", checkpoints); sent != token {
		t.Errorf("checkpoint came with %q", sent)
	}
	select {
	case <-r.ended:
		t.Fatal("the gateway ended before its call")
	default:
	}

	close(app.release)
	if got := await(t, "the answer", answers); got.status != http.StatusPartialContent || got.body != stepRun {
		t.Errorf("call = %d %s, want the app's answer", got.status, got.body)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v after a drain that cut nothing", err)
	}
	if diff := cmp.Diff([]string{"unready", "calls", "apps", "events", "background", "admin"}, r.phases()); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(r.metrics.Lifecycle.CutCalls.WithLabelValues()); got != 0 {
		t.Errorf("cut calls = %v", got)
	}
}

func TestRun_refusesAndCountsCallsThatItCuts(t *testing.T) {
	app := newSlowApp(t)
	cfg := load(t, oneApp(serveHTTP(t, answerStep), app.url, "drain: {calls: 20ms}"))
	cfg.Apps[0].Guard.Enabled = false // both calls are the same recording
	r := start(t, cfg)
	answers := []<-chan answer{r.callInBackground(t), r.callInBackground(t)}
	for range answers {
		await(t, "a call at the app", app.arrived)
	}

	err := r.stop(t)
	for _, one := range answers {
		got := await(t, "the answer", one)
		if got.status != http.StatusServiceUnavailable || got.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeDraining) || got.header.Get(inngest.HeaderRetryAfter) == "" {
			t.Errorf("cut call = %d %v %s, want the refusal draining", got.status, got.header, got.body)
		}
		await(t, "the hang-up at the app", app.gone)
	}
	var logged *LoggedError
	if !errors.As(err, &logged) || !strings.Contains(err.Error(), "after 20ms (drain.calls): 2;") {
		t.Errorf("Run = %v, want a LoggedError with the number of calls and the setting", err)
	}
	if got := r.log.lines("drain.calls"); len(got) != 1 {
		t.Errorf("lines that tell of it = %q, want one", got)
	}
	if got := testutil.ToFloat64(r.metrics.Lifecycle.CutCalls.WithLabelValues()); got != 2 {
		t.Errorf("cut calls = %v, want 2", got)
	}
	if got := len(r.phases()); got != 6 {
		t.Errorf("phases = %q, want all of them", r.phases())
	}
}

func TestRun_cutsRequestsOfAppsAfterTheirTime(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	server := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/runs/r1" {
			arrived <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		}
	})
	r := start(t, load(t, oneApp(server, serveHTTP(t, answerStep), "drain: {apps: 20ms}")))
	answered := make(chan struct{})
	go func() {
		ask(nil, http.MethodGet, urlOf(r.listeners.apps)+"/v1/runs/r1", nil, "")
		close(answered)
	}()
	await(t, "the request at the server", arrived)
	if err := r.stop(t); err == nil || !strings.Contains(err.Error(), "apps: after 20ms (drain.apps)") {
		t.Errorf("Run = %v, want the setting", err)
	}
	await(t, "the hang-up at the server", gone)
	await(t, "the end of the request", answered)
}

func TestRun_spoolsEventsThatInngestDoesNotAnswer(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	asked := make(chan struct{}, 1)
	server.FaultEvents(func(devserver.EventPost) devserver.EventFault {
		asked <- struct{}{}
		return devserver.EventFault{Ending: devserver.Silent}
	})
	text := oneApp(server.url(), "http://127.0.0.1:1", fmt.Sprintf("state_dir: %q\ndrain: {apps: 4s}\nevents: {delivery: {timeout: 1m}}", t.TempDir()))
	r := start(t, load(t, text))
	r.log.await(t, "spool is open")
	answers := make(chan []string, 1)
	go func() {
		ids, _ := sendEvents(t, r, `{"name":"a"}`)
		answers <- ids
	}()
	await(t, "the event at the server", asked)
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
	ids := await(t, "the sender's answer", answers)
	if len(ids) != 1 || ids[0] == "" {
		t.Fatalf("the sender was told %q, want an id", ids)
	}

	server.FaultEvents(nil)
	start(t, load(t, text))
	server.waitEvents(1)
	if n := server.EventCounts()[ids[0]].Arrived; n != 1 {
		t.Errorf("%s came %d times", ids[0], n)
	}
}

func TestRun_keepsListeningForAWhileAfterUnready(t *testing.T) {
	app := newSlowApp(t)
	close(app.release)
	r := start(t, load(t, oneApp(serveHTTP(t, answerStep), app.url, "drain: {delay: 1s}")))
	r.drain()
	r.log.await(t, "gateway drains")
	// Balancers have not heard of it yet, and send calls.
	if got := callApp(t, urlOf(r.listeners.inngest)+"/api/inngest", recorded.SigningKey); got.status != http.StatusPartialContent {
		t.Errorf("call within drain.delay = %d %s", got.status, got.body)
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestRun_endsAtOnceIfItMust(t *testing.T) {
	g, err := New(Options{Config: load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", "")), Version: "test", LogTo: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := g.Run(ctx); err == nil {
		t.Error("a second Run is not refused")
	}
}
