package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// callLater makes a call in the background.
func (r *running) callLater(tb testing.TB) <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- callApp(tb, urlOf(r.listeners.inngest)+"/api/inngest", recorded.SigningKey) }()
	return got
}

// parked waits until so many calls of the app are parked.
func (r *running) parked(tb testing.TB, n int) {
	tb.Helper()
	for range 10_000 {
		if r.rooms["shop"].Status().Parked == n {
			return
		}
		<-time.After(time.Millisecond)
	}
	tb.Fatalf("%d calls are parked, want %d", r.rooms["shop"].Status().Parked, n)
}

func TestAdmission_holdsCallsWhileTheAppIsAway(t *testing.T) {
	address := awayAddress(t)
	r := start(t, load(t, oneApp(serveHTTP(t, answerStep), "http://"+address, "")))
	got := r.callLater(t)
	r.parked(t, 1)

	comeBack(t, address)
	if a := await(t, "the answer", got); a.status != http.StatusPartialContent || a.body != stepRun {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
	if n := testutil.ToFloat64(r.metrics.Inbound.Refusals.WithLabelValues("shop", string(inngest.CodeUpstreamRefused))); n != 0 {
		t.Errorf("%v calls were refused", n)
	}
}

func TestAdmission_shedsWhatIsParkedAtTheEndOfADrain(t *testing.T) {
	r := start(t, load(t, oneApp(serveHTTP(t, answerStep), nobody, "drain: {calls: 20ms}")))
	got := r.callLater(t)
	r.parked(t, 1)
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
	a := await(t, "the answer", got)
	if a.status != http.StatusServiceUnavailable || a.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeDraining) ||
		!strings.Contains("1 2 3 4 5", a.header.Get(inngest.HeaderRetryAfter)) {
		t.Errorf("answer = %d %v %s", a.status, a.header, a.body)
	}
	if n := testutil.ToFloat64(r.metrics.Lifecycle.CutCalls.WithLabelValues()); n != 0 {
		t.Errorf("%v calls were cut", n)
	}
}

func TestAdmission_pausesAndResumes(t *testing.T) {
	text := oneApp(serveHTTP(t, answerStep), serveHTTP(t, answerStep), "state_dir: "+t.TempDir())
	r := start(t, load(t, text))
	r.control(t, "pause", admission.PauseRequest{Target: "shop", Seconds: 600}, nil)
	if err := r.stop(t); err != nil {
		t.Fatal(err)
	}
	r = start(t, load(t, text))
	got := r.callLater(t)
	r.parked(t, 1)
	r.control(t, "resume", admission.PauseRequest{Target: "shop"}, nil)
	if a := await(t, "the answer", got); a.status != http.StatusPartialContent {
		t.Errorf("answer = %d %s", a.status, a.body)
	}
}

// What refuses a call names the settings of what the call is for.
func TestAdmission_namesTheSettingsOfFunctionApps(t *testing.T) {
	server := serveHTTP(t, answerStep)
	r := start(t, load(t, fmt.Sprintf("inngest: {api_url: %q, event_url: %q}\nfunction_apps: [{id: jobs, path: /jobs, wait: {max: 0s}}]\nfunctions: [{id: hello, triggers: [{event: a}], endpoint: %q}]\n",
		server, server, server)))
	r.control(t, "pause", admission.PauseRequest{Target: "jobs"}, nil)
	a := callApp(t, urlOf(r.listeners.inngest)+"/jobs", recorded.SigningKey)
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "not parked (function_apps[].wait.max)") {
		t.Errorf("answer = %d %s, want that it names the setting", a.status, a.body)
	}
}

func TestAdmission_pausesNoFunctionThatTheAppDoesNotHave(t *testing.T) {
	r := start(t, load(t, oneApp(serveHTTP(t, answerStep), serveHTTP(t, answerStep), "")))
	a, err := ask(nil, http.MethodPost, "http://"+r.AdminAddr()+"/control/pause", nil, `{"target":"shpo"}`)
	if err != nil || a.status != http.StatusNotFound || !strings.Contains(a.body, `no app is called \"shpo\"; there are: shop`) {
		t.Errorf("pause of an app that is not there = %d %s, %v; want 404", a.status, a.body, err)
	}
	r.control(t, "pause", admission.PauseRequest{Target: "shop/anything"}, nil) // no manifest is known
}
