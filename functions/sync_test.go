package functions_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// idle is a function that returns nothing.
func idle(id string) functions.Function {
	return function(id, driver{advance: func(*run.Run) run.Outcome { return run.Outcome{} }}, true, 3)
}

// ask has a host answer any request.
func ask(t testing.TB, h *functions.Host, method, query, body string) *call.Answer {
	t.Helper()
	a, err := h.Do(context.Background(), &call.Call{
		App: "shop", Method: method, Target: []byte("/api/functions" + query), Body: []byte(body), Received: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
	return a
}

func TestHost_tellsFunctionsInBand(t *testing.T) {
	h := newHost(t, nil, idle("b"), idle("a"))
	a := ask(t, h, http.MethodPut, "?deployId=x", `{"url":"https://gw.example/api/functions?x=1"}`)
	if a.Status != http.StatusOK || string(a.Get(inngest.HeaderSyncKind)) != inngest.SyncInBand {
		t.Fatalf("answer = %d, sync kind %q: %s", a.Status, a.Get(inngest.HeaderSyncKind), a.Body)
	}
	var in inngest.InBandAnswer
	if err := json.Unmarshal(a.Body, &in); err != nil {
		t.Fatal(err)
	}
	if in.AppID != "shop" || in.SDK != "gateway:v1.2.3" || in.URL != "https://gw.example/api/functions?x=1" {
		t.Errorf("answer tells app %q, sdk %q, url %q", in.AppID, in.SDK, in.URL)
	}
	wantJSON(t, "first function", in.Functions[0], `{"id":"shop-b","name":"b","triggers":[{"event":"t/b"}],"steps":{"step":{"id":"step","name":"step",
		"runtime":{"type":"http","url":"https://gw.example/api/functions?x=1&fnId=shop-b&stepId=step"},"retries":{"attempts":3}}}}`)
	if r := in.Register(); r.SDK != "gateway:v1.2.3" || len(r.Functions) != 2 {
		t.Errorf("as a registration: sdk %q, %d functions", r.SDK, len(r.Functions))
	}
}

func TestHost_refusesSyncsWithoutAddress(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON": `x`, "no url": `{}`, "a path": `{"url":"/api"}`, "another scheme": `{"url":"file:///etc"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if a := ask(t, newHost(t, nil), http.MethodPut, "", body); a.Status != http.StatusBadRequest {
				t.Errorf("answer = %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestHost_introspects(t *testing.T) {
	yes, hash := true, "c512d92e3545"
	known := inngest.Introspection{
		AuthenticationSucceeded: &yes, APIOrigin: "http://inngest:8288", EventAPIOrigin: "http://inngest:8288",
		HasSigningKey: true, SigningKeyHash: &hash,
	}
	stranger := known
	stranger.AuthenticationSucceeded = nil
	for name, c := range map[string]struct {
		inspection inngest.Introspection
		want       string
	}{
		"to Inngest": {known, `{"api_origin":"http://inngest:8288","app_id":"shop","authentication_succeeded":true,
			"capabilities":{"in_band_sync":"v1","trust_probe":"v1"},"env":null,"event_api_origin":"http://inngest:8288","event_key_hash":null,
			"framework":"gateway","function_count":2,"has_event_key":false,"has_signing_key":true,"has_signing_key_fallback":false,
			"mode":"cloud","schema_version":"2024-05-24","sdk_language":"gateway","sdk_version":"1.2.3","serve_origin":null,
			"serve_path":null,"signing_key_fallback_hash":null,"signing_key_hash":"c512d92e3545"}`},
		"to anybody": {stranger, `{"authentication_succeeded":null,"capabilities":{"in_band_sync":"v1","trust_probe":"v1"},"function_count":2,
			"has_event_key":false,"has_signing_key":true,"has_signing_key_fallback":false,"mode":"cloud","schema_version":"2024-05-24"}`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, func(o *functions.Options) { o.Inspection = c.inspection }, idle("a"), idle("b"))
			a := ask(t, h, http.MethodGet, "", "")
			if a.Status != http.StatusOK {
				t.Fatalf("answer = %d", a.Status)
			}
			wantJSON(t, "introspection", a.Body, c.want)
		})
	}
}

func TestHost_answersWhatIsNoCall(t *testing.T) {
	for name, c := range map[string]struct {
		method, query string
		status        int
		code          inngest.Code
	}{
		"a trust probe":    {"POST", "?probe=trust", 200, ""},
		"another probe":    {"POST", "?probe=other", 400, inngest.CodeFunctionInvalid},
		"unknown function": {"POST", "?fnId=shop-none&stepId=step", 500, inngest.CodeFunctionConfiguration},
		"no function":      {"POST", "", 500, inngest.CodeFunctionConfiguration},
		"another method":   {"DELETE", "", 405, inngest.CodeFunctionInvalid},
		"a broken query":   {"POST", "?fnId=%zz", 400, inngest.CodeFunctionInvalid},
		"a call of no run": {"POST", "?fnId=shop-a&stepId=step", 500, inngest.CodeFunctionEvent},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, newHost(t, nil, idle("a")), c.method, c.query, `{}`)
			if a.Status != c.status || string(a.Get(inngest.HeaderGatewayError)) != string(c.code) || !a.FromSDK() {
				t.Errorf("answer = %d %q: %s", a.Status, a.Get(inngest.HeaderGatewayError), a.Body)
			}
			if c.status == 500 && string(a.Get(inngest.HeaderNoRetry)) != "false" {
				t.Errorf("no-retry = %q", a.Get(inngest.HeaderNoRetry))
			}
		})
	}
}

func TestHost_swapTellsWhetherInngestMustHear(t *testing.T) {
	h := newHost(t, nil, idle("a"), idle("b"))
	other := idle("b")
	other.Config.Triggers = []inngest.Trigger{{Cron: "* * * * *"}}
	for _, c := range []struct {
		what string
		list []functions.Function
		want bool
	}{
		{"the same in another order", []functions.Function{idle("b"), idle("a")}, false},
		{"another trigger", []functions.Function{other, idle("a")}, true},
		{"one less", []functions.Function{other}, true},
		{"none", nil, true},
	} {
		if got, err := h.Swap(c.list); err != nil || got != c.want {
			t.Errorf("Swap of %s = %v, %v, want %v", c.what, got, err, c.want)
		}
	}
	if _, err := h.Swap([]functions.Function{idle("a"), idle("a")}); err == nil || !strings.Contains(err.Error(), "two functions have the id shop-a") {
		t.Errorf("Swap of the same id twice = %v", err)
	}
	if n := len(h.Status().Functions); n != 0 {
		t.Errorf("a Swap that failed left %d functions, want the 0 before", n)
	}
}

func TestHost_statusTellsWhatHappened(t *testing.T) {
	k := &talker{next: func(*question) any { return m{} }}
	f := function("odd", k.conversation(t), true, 0)
	f.Backends = []string{"http://shop"}
	w := newWorld(t, setup{}, f)
	w.start("t/odd", m{})
	s := w.front.host.Status().Functions[0]
	s.LastCall, s.LastFailed = time.Time{}, time.Time{}
	want := functions.FunctionStatus{
		ID: "shop-odd", Name: "odd", Kind: "conversation", Triggers: []inngest.Trigger{{Event: "t/odd"}}, Backends: []string{"http://shop"},
		Checkpoint: true, Calls: 1, Failures: 1, LastError: "InvalidFunction",
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestNew_refusesWhatIsMissing(t *testing.T) {
	for name, spoil := range map[string]func(*functions.Options){
		"App":         func(o *functions.Options) { o.App = "" },
		"Version":     func(o *functions.Options) { o.Version = "" },
		"APITimeout":  func(o *functions.Options) { o.APITimeout = 0 },
		"APIAttempts": func(o *functions.Options) { o.APIAttempts = 0 },
		"APIBackoff":  func(o *functions.Options) { o.APIBackoff = -1 },
		"Yield":       func(o *functions.Options) { o.Yield = 0 },
		"MaxAnswer":   func(o *functions.Options) { o.MaxAnswer = 0 },
		"Metrics":     func(o *functions.Options) { o.Metrics = nil },
		"Log":         func(o *functions.Options) { o.Log = nil },
		"Now":         func(o *functions.Options) { o.Now = nil },
		"no driver":   func(o *functions.Options) { o.Functions = []functions.Function{{Config: inngest.Function{ID: "a"}}} },
		"no id":       func(o *functions.Options) { o.Functions = []functions.Function{{Driver: driver{}}} },
	} {
		t.Run(name, func(t *testing.T) {
			var o functions.Options
			newHost(t, func(good *functions.Options) { o = *good })
			spoil(&o)
			if _, err := functions.New(o); err == nil || !strings.Contains(err.Error(), name) && len(o.Functions) == 0 {
				t.Errorf("New = %v", err)
			}
		})
	}
}

// Inngest drops what it is not told of: an app that knows no function yet says
// that it cannot be synced.
func TestHost_isNotSyncedWithoutFunctions(t *testing.T) {
	a := ask(t, newHost(t, nil), http.MethodPut, "", `{"url":"https://gw.example/api/functions"}`)
	if a.Status != http.StatusInternalServerError || string(a.Get(inngest.HeaderGatewayError)) != string(inngest.CodeFunctionConfiguration) {
		t.Errorf("answer = %d %s", a.Status, a.Body)
	}
}
