package devserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A scene is a function whose calls are compared with the recordings.
type scene struct {
	slug    string
	trigger string // event; the function's if empty
	data    string // of the event
	retries int
	more    string // of the function's configuration
	script  []reply
	others  map[string][]reply // functions that it needs
	// like are the recordings that the n-th call, from 0, is compared with;
	// "" is not compared.
	like []string
	// meanwhile moves the run on from outside.
	meanwhile func(t *testing.T, s *Server, base string, clock *Clock)
	want      string // the run's output
}

const plainData = `{"n":1,"u":"é<>&"}`

func scenes(t *testing.T) map[string]scene {
	ids := `{"ids":["01M85TYN0G2EHKFW87VW6M6JQA"]}`
	return map[string]scene{
		"a function without steps": {
			slug: "js-app-simple", data: plainData, retries: 4, script: []reply{recordedReply(t, "06")}, like: []string{"06"}, want: `{"ok":true,"n":1}`,
		},
		"steps, a sleep, an event, an invocation": {
			slug: "js-app-steps", data: plainData, retries: 4,
			script: []reply{
				recordedReply(t, "05"), ops(stepRun("b", "2")), recordedReply(t, "13"),
				ops(`{"id":"2e96e89125f4c1aef797410a4bfdb32c0632ef0c","op":"StepRun","data":` + ids + `}`),
				recordedReply(t, "14"), recordedReply(t, "17"), recordedReply(t, "18"),
			},
			others: map[string][]reply{"js-app-simple": {result(`{"n":9,"ok":true}`)}},
			like:   []string{"05", "", "13", "", "14", "17", "18"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-steps", "Sleep", 1)
				clock.Advance(time.Second)
				until(t, s, "js-app-steps", "WaitForEvent", 1)
				send(t, s, "t/approve", map[string]any{})
			},
			want: record(t, "18").Response.body(t),
		},
		"an error with Retry-After": {
			slug: "js-app-retryafter", data: plainData, retries: 2,
			script: []reply{recordedReply(t, "08"), recordedReply(t, "15")}, like: []string{"08", "15"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-retryafter", "Error", 1)
				clock.Advance(2 * time.Second)
			},
			want: "1",
		},
		"a step that fails at last, and is caught": {
			slug: "js-app-steperror", data: "{}", retries: 1,
			script: []reply{recordedReply(t, "55"), recordedReply(t, "56"), recordedReply(t, "57")}, like: []string{"55", "56", "57"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-steperror", "StepError", 1)
				clock.Advance(2 * time.Second)
			},
			want: `{"caught":"wobble","name":"RetryAfterError"}`,
		},
		"a step that fails once": {
			slug: "js-app-steperror2", data: "{}", retries: 1,
			script: []reply{recordedReply(t, "58"), recordedReply(t, "59"), result(`"ok"`)}, like: []string{"58", "59"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-steperror2", "StepError", 1)
				clock.Advance(time.Second)
			},
			want: `"ok"`,
		},
		"an invoked function that fails": {
			slug: "js-app-invokefail", data: "{}", script: []reply{recordedReply(t, "60"), recordedReply(t, "61")}, like: []string{"60", "61"},
			others: map[string][]reply{"js-app-nonretriable": {recordedReply(t, "62")}},
			want:   `{"caught":"nope","name":"NonRetriableError"}`,
		},
		"an invoked function that does not end": {
			slug: "js-app-invokeunknown", data: "{}",
			script: []reply{
				ops(`{"id":"d01c1e12edf4b8d373019310ba8f7ba1093c6038","op":"InvokeFunction","opts":{"function_id":"js-app-nobody","payload":{},"timeout":"2s"}}`),
				recordedReply(t, "63"),
			},
			like: []string{"", "63"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-invokeunknown", "InvokeFunction", 1)
				clock.Advance(2 * time.Second)
			},
			want: record(t, "63").Response.body(t),
		},
		"a signal": {
			slug: "js-app-signal", data: `{"signal":"sig-1t"}`, retries: 4,
			script: []reply{recordedReply(t, "66"), recordedReply(t, "69")}, like: []string{"66", "69"},
			meanwhile: func(t *testing.T, s *Server, base string, _ *Clock) {
				until(t, s, "js-app-signal", "WaitForSignal", 1)
				for _, number := range []string{"68", "70"} {
					r := record(t, number)
					status, h, body := r.Request.ask(t, base)
					if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
						t.Errorf("recording %s: %s", number, diff)
					}
				}
			},
			want: `{"data":{"hello":"wörld"},"signal":"sig-1t"}`,
		},
		"a wait that times out": {
			slug: "js-app-waitmatch", data: `{"id":"w1"}`, retries: 4,
			script: []reply{
				ops(`{"id":"aff024fe4ab0fece4091de044c58c9ae4233383a","op":"WaitForEvent","name":"t/match","opts":{"timeout":"2s","if":"async.data.id == event.data.id"}}`),
				recordedReply(t, "73"),
			},
			like: []string{"", "73"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-waitmatch", "WaitForEvent", 1)
				send(t, s, "t/match", map[string]any{"id": "w2"})
				clock.Advance(2 * time.Second)
			},
			want: "null",
		},
		"a deferral and one that is taken back": {
			slug: "js-app-deferring", data: "{}", retries: 4,
			script: []reply{recordedReply(t, "79"), recordedReply(t, "80"), recordedReply(t, "81")}, like: []string{"79", "80", "81"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-deferring", "Sleep", 1)
				clock.Advance(time.Second)
			},
			want: "1",
		},
		"parallel steps of other kinds": {
			slug: "js-app-race", data: "{}", retries: 4,
			script: []reply{recordedReply(t, "83"), recordedReply(t, "84"), recordedReply(t, "85"), result(`"after"`)}, like: []string{"83", "84", ""},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "js-app-race", "StepRun", 1)
				clock.Advance(4 * time.Second)
			},
			want: `"after"`,
		},
		"odd numbers": {
			slug: "js-app-undef", trigger: "t/odd", data: `{"big":9007199254740993,"dup":2,"e":1e21,"f":1.0,"n":null,"neg0":-0,"small":1e-7,"z":"\u0000�"}`,
			retries: 4, script: []reply{recordedReply(t, "90")}, want: "null",
		},
		"a function without an SDK's opcodes, no retry": {
			slug: "js-app-batch", data: plainData, retries: 4, script: []reply{recordedReply(t, "19")}, like: []string{"19"}, want: "1",
		},
		"the Go SDK": {
			slug: "go-app-steps", trigger: "g/steps", data: "{}", retries: 1,
			script: []reply{recordedReply(t, "50"), recordedReply(t, "51"), ops(stepRun("b", `"é\u003c>&!"`)), recordedReply(t, "54")},
			like:   []string{"50", "51", "", "54"},
			meanwhile: func(t *testing.T, s *Server, _ string, clock *Clock) {
				until(t, s, "go-app-steps", "Sleep", 1)
				clock.Advance(time.Second)
			},
			want: `"é\u003c\u003e\u0026!"`,
		},
	}
}

func TestServer_callsAsRecorded(t *testing.T) {
	for name, c := range scenes(t) {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s, base := newServer(t, Options{Clock: clock})
			script := map[string][]reply{c.slug: c.script}
			d := newDouble(t, script)
			if c.trigger == "" {
				c.trigger = "t/" + strings.TrimPrefix(c.slug, "js-app-")
			}
			functions := []string{d.manifest(c.slug, on(c.trigger), c.retries, c.more)}
			for other, replies := range c.others {
				script[other] = replies
				functions = append(functions, d.manifest(other, on("x/"+other), 4, ""))
			}
			d.register(base, functions...)
			event := send(t, s, c.trigger, json.RawMessage(c.data))
			if c.meanwhile != nil {
				c.meanwhile(t, s, base, clock)
			}
			run := runOf(t, s, event)
			if run.Status != Completed || string(run.Output) != c.want {
				t.Errorf("run is %s with %s, want %s; calls %+v", run.Status, run.Output, c.want, run.Calls)
			}
			calls := d.callsOf(c.slug)
			if len(calls) != len(c.script) {
				t.Fatalf("%d calls, want %d", len(calls), len(c.script))
			}
			for i, number := range c.like {
				if number != "" {
					compareCall(t, number, calls[i])
				}
			}
		})
	}
}

// compareCall compares a call with a recorded one: target, header, body. The
// values that differ from run to run are compared by their form.
func compareCall(t *testing.T, number string, got call) {
	t.Helper()
	want := record(t, number).Request
	if got.method != want.Method || target(got.target) != target(want.Target) {
		t.Errorf("recording %s: %s %s, want %s %s", number, got.method, got.target, want.Method, want.Target)
	}
	verify(t, got)
	compareHeaders(t, got.header, want)
	if canonical, err := signature.Canonical([]byte(got.body)); err != nil || string(canonical) != got.body {
		t.Errorf("recording %s: body is not canonical: %v", number, err)
	}
	if diff := cmp.Diff(pretty(t, want.body(t)), pretty(t, got.body)); diff != "" {
		t.Errorf("recording %s: body differs (-recorded +sent):\n%s", number, diff)
	}
}

// target is a request's target without the order of its query.
func target(text string) string {
	path, query, _ := strings.Cut(text, "?")
	fields := strings.Split(query, "&")
	slices.Sort(fields)
	return path + "?" + strings.Join(slices.DeleteFunc(fields, func(f string) bool { return f == "step=step" }), "&")
}

func TestServer_plansParallelSteps(t *testing.T) {
	s, base := newServer(t, Options{})
	script := []reply{recordedReply(t, "09")}
	d := newDouble(t, map[string][]reply{"js-app-parallel": script})
	d.register(base, d.manifest("js-app-parallel", on("t/parallel"), 4, ""))
	// The four come in any order: the double answers each for its own step.
	d.front.Config.Handler = parallelApp(d, script[0])
	run := runOf(t, s, send(t, s, "t/parallel", json.RawMessage(plainData)))
	if run.Status != Completed || string(run.Output) != "[1,4,9,16]" {
		t.Fatalf("run is %s with %s", run.Status, run.Output)
	}
	calls := d.callsOf("js-app-parallel")
	if len(calls) != 6 {
		t.Fatalf("%d calls, want 6: plan, four steps, result", len(calls))
	}
	compareCall(t, "09", calls[0])
	seen := map[string]bool{}
	for _, c := range calls[1:5] {
		seen[c.target] = true
		if strings.Contains(c.target, "e4fbe62d887b8cdee986e6be781203d8d938bbd5") {
			var body map[string]any
			if err := json.Unmarshal([]byte(c.body), &body); err != nil {
				t.Fatal(err)
			}
			if ctx := body["ctx"].(map[string]any); ctx["disable_immediate_execution"] != true || ctx["step_id"] != "step" {
				t.Errorf("ctx of a planned step's call = %v", ctx)
			}
			if c.header.Get("X-Inngest-Step-Id") != "e4fbe62d887b8cdee986e6be781203d8d938bbd5" {
				t.Errorf("header of a planned step's call = %v", c.header)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("planned steps called: %v", seen)
	}
	last := calls[5]
	if got, want := steady(sortStack(t, last.body)), steady(sortStack(t, record(t, "12").Request.body(t))); got != want {
		t.Errorf("last call:\n%s\nwant:\n%s", got, want)
	}
}

// parallelApp answers a targeted call with the square of its step's number.
func parallelApp(d *double, plan reply) http.Handler {
	number := map[string]int{
		"b78f576611ec06f96af3ca654c22172a5d746c40": 1, "c5fd961c9f737a955a308050062e7a2c34ee67c3": 4,
		"e4fbe62d887b8cdee986e6be781203d8d938bbd5": 9, "1b9645e71bb4d1ce9c48520b78a3d94f3f9a6a62": 16,
	}
	var one sync.Mutex // what the script says is for the call that wrote it
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		step := r.URL.Query().Get("stepId")
		d.mu.Lock()
		switch first := len(d.calls["js-app-parallel"]) == 0; {
		case number[step] > 0:
			d.script["js-app-parallel"] = fill(len(d.calls["js-app-parallel"]), ops(fmt.Sprintf(`{"id":%q,"op":"StepRun","data":%d}`, step, number[step])))
		case first:
			d.script["js-app-parallel"] = []reply{plan}
		default:
			d.script["js-app-parallel"] = fill(len(d.calls["js-app-parallel"]), result("[1,4,9,16]"))
		}
		d.mu.Unlock()
		d.ServeHTTP(w, r)
	})
}

// fill makes a script whose n-th reply is that one.
func fill(n int, r reply) []reply {
	out := make([]reply, n+1)
	out[n] = r
	return out
}

// sortStack is a call's body with its stack sorted: it lists the steps as they
// happened to end.
func sortStack(t testing.TB, body string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	stack := v["ctx"].(map[string]any)["stack"].(map[string]any)["stack"].([]any)
	slices.SortFunc(stack, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return string(marshal(v))
}

func TestServer_followsRedirectsAsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		status           int
		location, method string
	}{
		"307 keeps the method":        {307, "/t/r307", "POST"},
		"308 merges the queries":      {308, "/t/r307?kept=1", "POST"},
		"302 makes a GET with a body": {302, "/t/r307", "GET"},
		"301 makes a GET with a body": {301, "/t/r307", "GET"},
		"303 makes a GET with a body": {303, "/t/r307", "GET"},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			d := newDouble(t, map[string][]reply{"js-app-r": {
				{status: c.status, bare: true, header: map[string]string{"Location": c.location}}, result(`{"ok":true}`),
			}})
			d.register(base, d.manifest("js-app-r", on("raw/r"), 1, ""))
			run := runOf(t, s, send(t, s, "raw/r", map[string]any{}))
			if run.Status != Completed {
				t.Fatalf("run is %s: %s", run.Status, run.Error)
			}
			calls := d.callsOf("js-app-r")
			first, second := calls[0], calls[1]
			if second.method != c.method || second.body != first.body || !strings.HasPrefix(second.target, "/t/r307?fnId=js-app-r") {
				t.Errorf("followed with %s %s and %d bytes", second.method, second.target, len(second.body))
			}
			if c.status == 308 && !strings.Contains(second.target, "&kept=1") {
				t.Errorf("target %s has lost its own query", second.target)
			}
			verify(t, second)
			if second.header.Get("Referer") == "" {
				t.Error("no Referer (recording 97 has one)")
			}
			first.header.Del("Referer")
			second.header.Del("Referer")
			if diff := cmp.Diff(first.header, second.header); diff != "" {
				t.Errorf("headers differ:\n%s", diff)
			}
		})
	}
}

func TestServer_followsRedirectsToOtherHosts(t *testing.T) {
	s, base := newServer(t, Options{})
	other := newDouble(t, map[string][]reply{"js-app-r": {result(`1`)}})
	d := newDouble(t, map[string][]reply{"js-app-r": {{status: 307, header: map[string]string{"Location": other.front.URL + "/x"}}}})
	d.register(base, d.manifest("js-app-r", on("raw/r"), 0, ""))
	if run := runOf(t, s, send(t, s, "raw/r", nil)); run.Status != Completed {
		t.Fatalf("run is %s: %s", run.Status, run.Error)
	}
	verify(t, other.callsOf("js-app-r")[0])
}
