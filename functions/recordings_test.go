package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A recording is one exchange of a real server and a real SDK.
type recording struct {
	Request  struct{ Target, Body string }
	Response struct {
		Status  int
		Headers [][2]string
		Body    string
	}
}

func record(t testing.TB, number string) recording {
	t.Helper()
	names, err := filepath.Glob("testdata/" + number + "-*.json")
	if err != nil || len(names) != 1 {
		t.Fatalf("recording %s: %v %v", number, names, err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// header returns a header of the SDK's answer.
func (r *recording) header(name string) string {
	for _, h := range r.Response.Headers {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

// newHost builds a host that nobody calls but the test.
func newHost(t testing.TB, with func(*functions.Options), list ...functions.Function) *functions.Host {
	t.Helper()
	o := functions.Options{
		App: "shop", Version: "1.2.3", Functions: list, APITimeout: time.Second, APIAttempts: 1,
		Yield: 10 * time.Second, MaxAnswer: 8 << 20, MaxState: 8 << 20, Budget: newBudget(t, 64<<20),
		Metrics: metrics.New(prometheus.NewRegistry()).Functions, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	if with != nil {
		with(&o)
	}
	h, err := functions.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// post calls a host.
func post(t testing.TB, h *functions.Host, query, body string) *call.Answer {
	t.Helper()
	a, err := h.Do(context.Background(), callOf(query, body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
	return a
}

// callOf is a call as it comes out of the gateway's front.
func callOf(query, body string) *call.Call {
	return &call.Call{
		App: "shop", Method: http.MethodPost, Target: []byte("/api/functions" + query), Body: []byte(body), Received: time.Now(),
	}
}

// A driver is made of functions.
type driver struct {
	advance func(*run.Run) run.Outcome
	execute func(*run.Run, *run.Step, json.RawMessage) run.Result
}

func (d driver) Advance(_ context.Context, r *run.Run) run.Outcome { return d.advance(r) }

func (d driver) Execute(_ context.Context, r *run.Run, s *run.Step, input json.RawMessage) run.Result {
	return d.execute(r, s, input)
}

// steps makes an outcome of steps of a backend's.
func steps(ids ...string) run.Outcome {
	var o run.Outcome
	for _, id := range ids {
		o.Steps = append(o.Steps, run.Step{ID: inngest.HashStepID(id, 0), Name: id, Op: inngest.OpStepRun})
	}
	return o
}

// The official SDK's answers to the same calls, but for stacks and times.
func TestHost_answersAsSDKDoes(t *testing.T) {
	for name, c := range map[string]struct {
		number string
		driver driver
	}{
		"a step": {"05", driver{
			func(*run.Run) run.Outcome { return steps("a") },
			func(*run.Run, *run.Step, json.RawMessage) run.Result { return run.Result{Data: json.RawMessage(`1`)} },
		}},
		"a result": {"06", driver{
			func(*run.Run) run.Outcome { return run.Outcome{Data: json.RawMessage(`{"ok":true,"n":1}`)} }, nil,
		}},
		"parallel steps": {"09", driver{
			func(*run.Run) run.Outcome { return steps("p1", "p2", "p3", "p4") }, nil,
		}},
		"a targeted step": {"10", driver{
			func(*run.Run) run.Outcome { return steps("p1", "p2", "p3", "p4") },
			func(_ *run.Run, s *run.Step, _ json.RawMessage) run.Result {
				if s.Name != "p3" {
					t.Errorf("ran %s, want p3", s.Name)
				}
				return run.Result{Data: json.RawMessage(`9`)}
			},
		}},
		"results of parallel steps": {"12", driver{
			func(r *run.Run) run.Outcome {
				var list []json.RawMessage
				for _, id := range []string{"p1", "p2", "p3", "p4"} {
					list = append(list, r.Memo[inngest.HashStepID(id, 0)].Data)
				}
				text, err := json.Marshal(list)
				if err != nil {
					t.Error(err)
				}
				return run.Outcome{Data: text}
			}, nil,
		}},
		"a step with another input": {"87", driver{
			func(*run.Run) run.Outcome { return steps("once") },
			func(_ *run.Run, _ *run.Step, input json.RawMessage) run.Result {
				wantJSON(t, "input", input, `[{"changed":1}]`)
				return run.Result{Failure: &run.Failure{Name: "RetryAfterError", Message: "first time", RetryAfter: time.Second}}
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, c.number)
			_, query, _ := strings.Cut(r.Request.Target, "?")
			h := newHost(t, nil, functions.Function{Config: inngest.Function{ID: between(query, "fnId=", "&")}, Driver: c.driver})
			a := post(t, h, "?"+query, r.Request.Body)
			if a.Status != r.Response.Status {
				t.Errorf("status = %d, want %d", a.Status, r.Response.Status)
			}
			for _, name := range []string{inngest.HeaderNoRetry, inngest.HeaderRetryAfter, inngest.HeaderRequestVersion, inngest.HeaderSDKHandled} {
				if got, want := string(a.Get(name)), r.header(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if got := string(a.Get(inngest.HeaderSDK)); got != "gateway:v1.2.3" {
				t.Errorf("%s = %q", inngest.HeaderSDK, got)
			}
			wantJSON(t, "body", comparable(t, a.Body), string(comparable(t, []byte(r.Response.Body))))
		})
	}
}

func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// comparable takes out of operations what differs from call to call, and what
// is the same said twice: null data, options without any.
func comparable(t testing.TB, body []byte) []byte {
	t.Helper()
	var ops []map[string]any
	if json.Unmarshal(body, &ops) != nil {
		return body
	}
	for _, op := range ops {
		delete(op, "timing")
		if op["data"] == nil {
			delete(op, "data")
		}
		if opts, ok := op["opts"].(map[string]any); ok && len(opts) == 0 {
			delete(op, "opts")
		}
		if e, ok := op["error"].(map[string]any); ok {
			delete(e, "stack")
		}
	}
	text, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What the real server's API gave for a call that was too large.
func TestHost_readsStateAsRealServerHasIt(t *testing.T) {
	const runID = "01M879PH1F9KFYRWHZEN36YBFY"
	api := answers{
		"/v0/runs/" + runID + "/batch":   record(t, "106").Response.Body,
		"/v0/runs/" + runID + "/actions": record(t, "107").Response.Body,
	}
	var got *run.Run
	h := newHost(t, func(o *functions.Options) { o.API = api }, function("slow", driver{advance: func(r *run.Run) run.Outcome {
		got = r
		return run.Outcome{}
	}}, true, 1))
	a := post(t, h, "?fnId=shop-slow&stepId=step", `{"ctx":{"run_id":"`+runID+`","use_api":true,"max_attempts":2,
		"stack":{"stack":["640d87e741e6aa4c669a82a4cd304787960513ab"],"current":1}},"event":{"name":"t/slow"},"events":[],"steps":{},"use_api":true}`)
	if got == nil {
		t.Fatalf("answer = %d %s", a.Status, a.Body)
	}
	wantJSON(t, "event", got.Event, `{"data":{"ms":10,"ms2":9000,"ms3":0},"id":"01M879PGSDXEBWQKQXY4BA8XR1","name":"t/slow","ts":1795541386029}`)
	wantJSON(t, "step", got.Memo["640d87e741e6aa4c669a82a4cd304787960513ab"].Data, `"one"`)
}

// An app whose SDK does not know use_api gets a call that carries its state, and
// that reads as the server would have sent it.
func TestHydrator_splicesStateIntoCall(t *testing.T) {
	call := record(t, "105").Request.Body
	runID := between(call, `"run_id":"`, `"`)
	api := answers{
		"/v0/runs/" + runID + "/batch":   `[{"name":"t/<slow>","ts":17,"data":{"b":1,"a":2}},{"name":"t/two"}]`,
		"/v0/runs/" + runID + "/actions": `{"640d87e741e6aa4c669a82a4cd304787960513ab":{"data":"one"},"unknown":{"data":2},"again":{"input":[1]}}`,
	}
	h, err := functions.NewHydrator(functions.HydratorOptions{
		App: "shop", API: api, APITimeout: time.Second, APIAttempts: 1, MaxState: 1 << 20, Budget: newBudget(t, 64<<20),
		Metrics: metrics.New(prometheus.NewRegistry()).Functions, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	stacked := strings.Replace(call, `"stack":[`, `"stack":["640d87e741e6aa4c669a82a4cd304787960513ab",`, 1)
	stacked = strings.Replace(stacked, `",]`, `"]`, 1)
	got := hydrated(t, h, stacked)
	var r inngest.CallRequest
	if err := json.Unmarshal(got, &r); err != nil {
		t.Fatal(err)
	}
	if id, ok := inngest.ScanIdentity(got); !ok || id != r.Identity() || id.UseAPI || r.UseAPI || id.RunID != runID {
		t.Errorf("identity of the hydrated call = %+v, %v", id, ok)
	}
	if len(r.Events) != 2 || r.Event.Name != "t/<slow>" || len(r.Steps) != 2 {
		t.Errorf("hydrated call has events %+v, event %+v, steps %v", r.Events, r.Event, r.Steps)
	}
	if canonical, err := signature.Canonical(got); err != nil || string(canonical) != string(got) {
		t.Error("the hydrated call is not canonical")
	}
	if again := hydrated(t, h, string(got)); len(again) != 0 {
		t.Errorf("a call with its state was written anew: %s", again)
	}
}

// hydrated returns what a hydrator writes.
func hydrated(t testing.TB, h *functions.Hydrator, body string) []byte {
	t.Helper()
	into := newBudget(t, 64<<20).Request(8 << 20)
	defer into.Free()
	if err := h.Hydrate(context.Background(), []byte(body), &into); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(into.Bytes())
}

// State is bounded, and what was charged for it is given back whatever happens.
func TestHydrator_takesNoMoreThanThereIs(t *testing.T) {
	call := record(t, "105").Request.Body
	runID := between(call, `"run_id":"`, `"`)
	large := answers{
		"/v0/runs/" + runID + "/batch":   `[{"name":"t/one","data":"` + strings.Repeat("x", 6<<10) + `"}]`,
		"/v0/runs/" + runID + "/actions": `{"640d87e741e6aa4c669a82a4cd304787960513ab":{"data":"` + strings.Repeat("x", 6<<10) + `"}}`,
	}
	for name, c := range map[string]struct {
		api          answers
		most, memory int
		want         error
		text         string
	}{
		"one part too large":  {large, 5 << 10, 1 << 20, budget.ErrTooLarge, "more than 5120 bytes (limits.body)"},
		"both parts together": {large, 10 << 10, 1 << 20, budget.ErrTooLarge, "more than 10240 bytes (limits.body)"},
		"no memory":           {large, 1 << 20, 8 << 10, budget.ErrExhausted, "limits.memory"},
		"none to splice":      {large, 1 << 20, 24 << 10, budget.ErrExhausted, "limits.memory"},
		"no answer":           {answers{}, 1 << 20, 1 << 20, nil, "did not answer /v0/runs/" + runID},
		"no JSON":             {answers{"/v0/runs/" + runID + "/batch": "[", "/v0/runs/" + runID + "/actions": "{}"}, 1 << 20, 1 << 20, nil, "no JSON"},
		"no event":            {answers{"/v0/runs/" + runID + "/batch": "[]", "/v0/runs/" + runID + "/actions": "{}"}, 1 << 20, 1 << 20, nil, "knows no event"},
	} {
		t.Run(name, func(t *testing.T) {
			memory := newBudget(t, int64(c.memory))
			h, err := functions.NewHydrator(functions.HydratorOptions{
				App: "shop", API: c.api, APITimeout: time.Second, APIAttempts: 2, MaxState: c.most, Budget: memory,
				Metrics: metrics.New(prometheus.NewRegistry()).Functions, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			into := memory.Request(c.most)
			defer into.Free()
			err = h.Hydrate(context.Background(), []byte(call), &into)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Hydrate = %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// answers is an API that has one answer for each path.
type answers map[string]string

func (a answers) Ask(_ context.Context, _, path string, _ []byte) (int, []byte, error) {
	body, ok := a[path]
	if !ok {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return http.StatusOK, []byte(body), nil
}

func (a answers) Read(ctx context.Context, path string, into *budget.Buffer) (int, error) {
	status, body, err := a.Ask(ctx, http.MethodGet, path, nil)
	return status, errors.Join(err, into.Write(ctx, body))
}
