package devserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestOnFailure_runsAsRecorded(t *testing.T) {
	s, base := newServer(t, Options{})
	stack := `Error: gives up\n    at InngestExecutionEngine.userFnToRun (file:///srv/app.mjs:25:222)\n    at innerHandler (file:///srv/node_modules/inngest/components/execution/engine.js:1001:16)`
	failure := reply{status: 400, header: map[string]string{inngest.HeaderNoRetry: "true"},
		body: `{"name":"Error","message":"gives up","stack":"` + stack + `","__serialized":true}`}
	d := newDouble(t, map[string][]reply{
		"js-app-onfail": {failure}, "js-app-onfail-failure": {recordedReply(t, "64"), recordedReply(t, "65")},
	})
	d.register(base, d.manifest("js-app-onfail", on("t/onfail"), 0, ""),
		d.manifest("js-app-onfail-failure", `{"event":"inngest/function.failed","expression":"event.data.function_id == 'js-app-onfail'"}`, 1, ""))
	run := runOf(t, s, send(t, s, "t/onfail", map[string]any{}))
	if run.Status != Failed {
		t.Fatalf("run is %s", run.Status)
	}
	ended(t, s, "js-app-onfail-failure", 1)
	calls := d.callsOf("js-app-onfail-failure")
	for i, number := range []string{"64", "65"} {
		compareCall(t, number, calls[i])
	}
}

func TestFinish_sendsEventsThatFunctionsCanBeTriggeredBy(t *testing.T) {
	s, base := newServer(t, Options{})
	d := newDouble(t, map[string][]reply{"js-app-f": {result(`{"r":1}`)}, "js-app-after": many(3, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""),
		d.manifest("js-app-after", `{"event":"inngest/function.finished","expression":"event.data.function_id == 'js-app-f'"}`, 0, ""))
	run := runOf(t, s, send(t, s, "t/f", map[string]any{}))
	after := ended(t, s, "js-app-after", 1)[0]
	var ev struct {
		Data struct {
			Function string                  `json:"function_id"`
			Run      string                  `json:"run_id"`
			Result   json.RawMessage         `json:"result"`
			Meta     struct{ Status string } `json:"_inngest"`
		}
	}
	if err := json.Unmarshal(after.Events[0], &ev); err != nil {
		t.Fatal(err)
	}
	if ev.Data.Function != "js-app-f" || ev.Data.Run != run.ID || string(ev.Data.Result) != `{"r":1}` || ev.Data.Meta.Status != "Completed" {
		t.Errorf("event = %s", after.Events[0])
	}
	quiet(t, s, base)
	if n := len(d.callsOf("js-app-after")); n != 1 {
		t.Errorf("%d runs after the end, want 1: the end of a run that an end started is not told", n)
	}
}

func TestDefer_runsWhatWasPutOffAsRecorded(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{
		"js-app-deferring": {recordedReply(t, "79"), recordedReply(t, "80"), recordedReply(t, "81")}, "js-app-later": {recordedReply(t, "82")},
	})
	d.register(base, d.manifest("js-app-deferring", on("t/deferring"), 4, ""),
		d.manifest("js-app-later", `{"event":"inngest/deferred.schedule","expression":"event.data._inngest.fn_slug == 'js-app-later'"}`, 4, ""))
	event := send(t, s, "t/deferring", map[string]any{})
	until(t, s, "js-app-deferring", "Sleep", 1)
	clock.Advance(time.Second)
	runOf(t, s, event)
	ended(t, s, "js-app-later", 1)
	got := d.callsOf("js-app-later")[0]
	// The span that it is deferred by has an id of its own.
	got.body = strings.NewReplacer(spanOf(got.body), "872e167530f9e3b0").Replace(got.body)
	if diff := cmp.Diff(pretty(t, record(t, "82").Request.body(t)), pretty(t, got.body)); diff != "" {
		t.Errorf("body differs (-recorded +sent):\n%s", diff)
	}
}

// spanOf finds the id of the span in a deferred run's event.
func spanOf(body string) string {
	_, after, _ := strings.Cut(body, `"dsid":"`)
	id, _, _ := strings.Cut(after, `"`)
	return id
}

func TestDefer_forgetsWhatWasTakenBack(t *testing.T) {
	s, base := newServer(t, Options{})
	id := inngest.HashStepID("put off", 0)
	d := newDouble(t, map[string][]reply{"js-app-f": {
		ops(stepRun("a", "1"), op("DeferAdd", "put off", `,"opts":{"fn_slug":"js-app-later","input":{}}`), op("DeferAdd", "bad", `,"opts":{"fn_slug":"js-app-later","input":[]}`)),
		ops(stepRun("b", "2"), fmt.Sprintf(`{"id":"x","op":"DeferAbort","opts":{"target_hashed_id":%q}}`, id)),
		result("1"),
	}, "js-app-later": many(2, result("1"))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""), d.manifest("js-app-later", on("inngest/deferred.schedule"), 0, ""))
	runOf(t, s, send(t, s, "t/f", nil))
	quiet(t, s, base)
	if n := len(d.callsOf("js-app-later")); n != 0 {
		t.Errorf("%d deferred runs, want none", n)
	}
	calls := d.callsOf("js-app-f")
	if !strings.Contains(calls[1].body, `"defers":{"`+id+`":{"abortable":true}}`) || !strings.Contains(calls[2].body, `"defers":{"`+id+`":{"abortable":false}}`) {
		t.Errorf("defers of the calls: %s %s", calls[1].body, calls[2].body)
	}
}

// dates are what third parties stamp their answers with.
var dates = regexp.MustCompile(`"Date":"[^"]*"`)

func TestGateway_makesTheRequestsOfSteps(t *testing.T) {
	seen := make(chan *http.Request, 9)
	third := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- r
		switch r.URL.Path {
		case "/hello":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Fake", "1")
			fmt.Fprintf(w, `{"you":%q,"hdr":%q,"body":%q}`, r.Method, r.Header.Get("X-Mine"), body)
		case "/v1/chat/completions":
			w.Write([]byte(`{"choices":[{"finish_reason":"stop","index":0,"message":{"content":"4","role":"assistant"}}],"created":1,"id":"cmpl-1","model":"gpt-4o-mini","object":"chat.completion","usage":{"completion_tokens":1,"prompt_tokens":5,"total_tokens":6}}`))
		default:
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusNotFound)
			w.Write([]byte("not here"))
		}
	}))
	defer third.Close()
	for name, c := range map[string]struct {
		slug, first, next, authorization string
	}{
		"step.fetch":            {"js-app-fetch", "74", "75", "Bearer downstream-token"},
		"step.fetch, not found": {"js-app-fetch404", "", "76", ""},
		"step.ai.infer":         {"js-app-infer", "77", "78", "Bearer model-test-key"},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			first := ops(`{"id":"ea1a1fbbc498392feea60c99d4d82ec7a6610642","op":"Gateway","opts":{"url":"http://127.0.0.1:3900/missing"}}`)
			if c.first != "" {
				first = recordedReply(t, c.first)
			}
			first.body = strings.ReplaceAll(first.body, "http://127.0.0.1:3900", third.URL)
			d := newDouble(t, map[string][]reply{c.slug: {first, recordedReply(t, c.next)}})
			d.register(base, d.manifest(c.slug, on("t/"+strings.TrimPrefix(c.slug, "js-app-")), 0, ""))
			if run := runOf(t, s, send(t, s, "t/"+strings.TrimPrefix(c.slug, "js-app-"), map[string]any{})); run.Status != Completed {
				t.Fatalf("run is %s: %s", run.Status, run.Error)
			}
			got := d.callsOf(c.slug)[1]
			got.body = strings.ReplaceAll(got.body, third.URL, "http://127.0.0.1:3900")
			want := record(t, c.next).Request
			date := func(text string) string { return dates.ReplaceAllString(text, `"Date":"DATE"`) }
			if diff := cmp.Diff(pretty(t, date(want.body(t))), pretty(t, date(got.body))); diff != "" {
				t.Errorf("body differs (-recorded +sent):\n%s", diff)
			}
			if r := next(t, seen); r.Header.Get("Authorization") != c.authorization {
				t.Errorf("Authorization = %q, want %q", r.Header.Get("Authorization"), c.authorization)
			}
		})
	}
}

func TestGateway_failsTheStepWhenNobodyAnswers(t *testing.T) {
	// One that hangs up: a closed port may be another's a moment later.
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dead.Close()
	s, base := newServer(t, Options{Backoff: fast})
	d := newDouble(t, map[string][]reply{"js-app-f": {ops(op("Gateway", "g", `,"opts":{"url":"`+dead.URL+`"}`)), result(`"caught"`)}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 2, ""))
	run := runOf(t, s, send(t, s, "t/f", nil))
	step := string(run.Steps[inngest.HashStepID("g", 0)])
	if run.Status != Completed || !strings.HasPrefix(step, `{"error":{"name":"GatewayError","message":"request of step`) {
		t.Errorf("run is %s, step %s", run.Status, step)
	}
}

func TestSignal_conflicts(t *testing.T) {
	for name, c := range map[string]struct {
		conflict string
		want     []Status
	}{
		"fail":    {"fail", []Status{Completed, Failed}},
		"replace": {"replace", []Status{Running, Completed}},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			wait := ops(op("WaitForSignal", "w", `,"opts":{"signal":"sig","timeout":"1h","conflict":"`+c.conflict+`"}`))
			d := newDouble(t, map[string][]reply{"js-app-a": {wait, result("1")}, "js-app-b": {wait, result("2")}})
			d.register(base, d.manifest("js-app-a", on("t/a"), 0, ""), d.manifest("js-app-b", on("t/b"), 0, ""))
			send(t, s, "t/a", nil)
			until(t, s, "js-app-a", "WaitForSignal", 1)
			send(t, s, "t/b", nil)
			until(t, s, "js-app-b", "WaitForSignal", 1)
			status, _, answer := do(t, authorised(t, "POST", base+"/v1/signals", `{"signal":"sig","data":1}`))
			if status != 200 {
				t.Fatalf("signal = %d %s", status, answer)
			}
			err := s.WaitFor(soon(t), func(_ []App, runs []Run) bool {
				return len(runs) == 2 && runs[0].Status == c.want[0] && runs[1].Status == c.want[1]
			})
			if err != nil {
				t.Errorf("runs are %s and %s, want %v", s.Runs()[0].Status, s.Runs()[1].Status, c.want)
			}
		})
	}
}

func TestInvoke_byTheAPI(t *testing.T) {
	s, base := newServer(t, Options{})
	d := newDouble(t, map[string][]reply{"js-app-f": many(2, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""))
	req := authorised(t, "POST", base+"/invoke/js-app-f", `{"data":{"n":7},"user":{"u":1}}`)
	req.Header.Set(inngest.HeaderEventIDSeed, "1795540000000,MDEyMzQ1Njc4OQ==")
	status, _, body := do(t, req)
	// Here the seed counts from 0.
	if want := `{"id":"01M878C78060RK4CSM6MV3EE1S","status":200}` + "\n"; status != 200 || body != want {
		t.Fatalf("invoke = %d %s, want %s", status, body, want)
	}
	run := runOf(t, s, "01M878C78060RK4CSM6MV3EE1S")
	if run.Status != Completed || !strings.Contains(string(run.Events[0]), `"n":7`) || !strings.Contains(string(run.Events[0]), `"user":{"u":1}`) {
		t.Errorf("run = %+v", run)
	}
}

func TestUseAPI_leavesStateToTheAPI(t *testing.T) {
	s, base := newServer(t, Options{StateLimit: 4096})
	big := `"` + strings.Repeat("x", 2000) + `"`
	d := newDouble(t, map[string][]reply{"js-app-big": {ops(stepRun("a", big)), ops(stepRun("b", big)), result(`1`)}})
	hold := make(chan struct{})
	d.register(base, d.manifest("js-app-big", on("t/big"), 0, ""))
	d.came, d.from, d.hold["js-app-big"] = make(chan string, 9), 2, hold
	event := send(t, s, "t/big", map[string]any{"kib": 700, "n": 7})
	for range 3 {
		next(t, d.came)
	}
	var last inngest.CallRequest
	calls := d.callsOf("js-app-big")
	if err := json.Unmarshal([]byte(calls[2].body), &last); err != nil {
		t.Fatal(err)
	}
	if !last.UseAPI || !last.Ctx.UseAPI || len(last.Steps) != 0 || len(last.Events) != 1 || last.Event == nil || len(last.Ctx.Stack.Stack) != 2 {
		t.Errorf("call = %s", calls[2].body)
	}
	id := s.Runs()[0].ID
	status, h, body := do(t, authorised(t, "GET", base+"/v0/runs/"+id+"/actions", ""))
	if status != 200 || !strings.Contains(body, `{"data":"xxx`) || h.Get("Content-Type") != "text/plain; charset=utf-8" || len(h["Vary"]) != 2 {
		t.Errorf("actions = %d %v %.100s", status, h, body)
	}
	status, _, body = do(t, authorised(t, "GET", base+"/v0/runs/"+id+"/batch", ""))
	if want := `[{"data":{"kib":700,"n":7},"id":"ULID","name":"t/big","ts":MILLIS}]` + "\n"; status != 200 || strings.ReplaceAll(steady(body), `"MILLIS"`, "MILLIS") != want {
		t.Errorf("batch = %d %s, want %s", status, steady(body), want)
	}
	close(hold)
	runOf(t, s, event)
	for _, path := range []string{"/actions", "/batch"} {
		status, h, body = do(t, authorised(t, "GET", base+"/v0/runs/"+id+path, ""))
		if diff := answerDiffers(t, record(t, "108").Response, status, h, body); diff != "" {
			t.Errorf("%s of an ended run: %s", path, diff)
		}
	}
}

func TestUseAPI_leavesEventsOutThatAreTooLarge(t *testing.T) {
	s, base := newServer(t, Options{StateLimit: 4096})
	d := newDouble(t, map[string][]reply{"js-app-f": {result(`1`)}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""))
	runOf(t, s, send(t, s, "t/f", map[string]string{"x": strings.Repeat("x", 2500)}))
	var c inngest.CallRequest
	if err := json.Unmarshal([]byte(d.callsOf("js-app-f")[0].body), &c); err != nil {
		t.Fatal(err)
	}
	if !c.UseAPI || len(c.Events) != 0 || c.Event == nil || len(c.Event.Data) < 2500 {
		t.Errorf("call with use_api %v, %d events", c.UseAPI, len(c.Events))
	}
}

func TestRerun_namesTheStepAndItsInputAsRecorded(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-steperror2": {
		ops(`{"id":"1863835675e3970e15e5c22411ef60824eb55591","op":"StepRun","data":"ok"}`), result(`"ok"`),
		recordedReply(t, "87"), recordedReply(t, "88"), recordedReply(t, "89"),
	}})
	d.register(base, d.manifest("js-app-steperror2", on("t/steperror2"), 1, ""))
	run := runOf(t, s, send(t, s, "t/steperror2", map[string]any{}))
	id, err := s.Rerun(run.ID, "1863835675e3970e15e5c22411ef60824eb55591", json.RawMessage(`[{"changed":1}]`))
	if err != nil {
		t.Fatal(err)
	}
	until(t, s, "js-app-steperror2", "StepError", 1)
	clock.Advance(time.Second)
	again, err := s.WaitRun(soon(t), id)
	if err != nil || again.Status != Completed {
		t.Fatalf("rerun is %s, %v", again.Status, err)
	}
	calls := d.callsOf("js-app-steperror2")
	for i, number := range []string{"87", "88", "89"} {
		compareCall(t, number, calls[2+i])
	}
	if _, err := s.Rerun(run.ID, "nothing", json.RawMessage(`[]`)); err == nil {
		t.Error("a step that is not there was run again")
	}
}

func TestDiscoveryRequest_withOneIDTwiceLeavesTheRunWaiting(t *testing.T) {
	s, base := newServer(t, Options{})
	d := newDouble(t, map[string][]reply{"js-app-f": {ops(op("DiscoveryRequest", "d", "")), ops(op("DiscoveryRequest", "d", "")), result("1")}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""))
	send(t, s, "t/f", nil)
	until(t, s, "js-app-f", "DiscoveryRequest", 2)
	quiet(t, s, base)
	if run := s.Runs()[0]; run.Status != Running {
		t.Errorf("run is %s, want it to wait", run.Status)
	}
}

func TestRace_callsAfterEachStep(t *testing.T) {
	s, base := newServer(t, Options{})
	race := `,"opts":{"parallelMode":"race"}`
	d := newDouble(t, map[string][]reply{"js-app-f": {
		ops(op("WaitForEvent", "w", `,"opts":{"event":"t/never","timeout":"1h","parallelMode":"race"}`), op("StepPlanned", "a", race)),
		ops(stepRun("a", "1")), result("1"),
	}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, ""))
	run := runOf(t, s, send(t, s, "t/f", nil))
	if run.Status != Completed || !slices.Equal(run.Stack, []string{inngest.HashStepID("a", 0)}) {
		t.Errorf("run is %s with stack %v", run.Status, run.Stack)
	}
}
