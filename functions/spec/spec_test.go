package spec_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/functions/spec"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// decoded reads YAML as package config does.
func decoded(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// read reads functions that must be good, in the app js-app.
func read(t testing.TB, text string) []spec.Function {
	t.Helper()
	all, problems := spec.Reader{App: "js-app"}.Read(decoded(t, text), "functions")
	for _, p := range problems {
		t.Errorf("problem: %v", p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// problemsOf returns a line for each problem.
func problemsOf(t testing.TB, r spec.Reader, source any) []string {
	t.Helper()
	_, problems := r.Read(source, "functions")
	if problems == nil {
		return nil
	}
	return strings.Split(problems.Error(), "\n")
}

// everything is a function with every option that the recorded app has set, in
// the words of this package, and the failure function of each.
const everything = `
- id: allcfg
  name: Everything set
  triggers:
    - {event: t/all, if: event.data.ok == true}
    - {cron: "TZ=Europe/Berlin 0 4 1 1 *"}
  retries: 7
  rateLimit: {limit: 100, period: 1h, key: event.data.k}
  throttle: {limit: 10, period: 1m, burst: 5, key: event.data.k}
  concurrency:
    - {limit: 3, key: event.data.k, scope: fn}
    - {limit: 50, scope: env, key: '"shared"'}
  debounce: {period: 1s, key: event.data.k, timeout: 10s}
  priority: {run: "event.data.plan == 'paid' ? 120 : 0"}
  timeouts: {start: 1h, finish: 2h}
  cancelOn:
    - {event: t/all.cancel, timeout: 1d, if: event.data.k == async.data.k}
    - {event: t/all.stop, if: async.data.k == event.data.k}
  onFailure: {endpoint: "http://127.0.0.1:9000/failed"}
  endpoint: http://127.0.0.1:9000/all
- id: allbatch
  triggers: [{event: t/allbatch}]
  retries: 0
  batchEvents: {maxSize: 10, timeout: 5s, key: event.data.k, if: event.data.go == true}
  throttle: {limit: 4, period: 2m}
  concurrency: 2
  timeouts: {finish: 30m}
  endpoint: http://127.0.0.1:9000/batch
- id: single
  triggers: [{event: t/single}]
  idempotency: event.data.once
  singleton: {key: event.data.k, mode: skip}
  conversation: http://127.0.0.1:9000/single
- id: minutely
  triggers: [{cron: "* * * * *"}]
  endpoint: http://127.0.0.1:9000/minutely
`

// What is registered must be what Inngest's own SDK registers for the same
// settings: recording 25.
func TestRegister_isWhatAnSDKRegisters(t *testing.T) {
	var sent inngest.RegisterRequest
	if err := json.Unmarshal(recorded.One(t, 25).Request.Body, &sent); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	for _, text := range sent.Functions {
		var one map[string]any
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		want[one["id"].(string)] = one
	}
	for _, f := range read(t, everything) {
		for _, one := range f.Register("js-app", sent.URL) {
			// The SDK calls a function without a name by its id; a step is named step.
			text, err := json.Marshal(one)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[one.ID], any(got)); d != "" {
				t.Errorf("%s (-recorded +ours):\n%s", one.ID, d)
			}
			if faults := one.Check(); len(faults) > 0 {
				t.Errorf("%s: the server would refuse it: %v", one.ID, faults)
			}
		}
	}
}

func TestParts_areInTheOrderOfRegister(t *testing.T) {
	f := read(t, everything)[0]
	registered := f.Register("shop", "http://gw/api/functions")
	parts := f.Parts("shop")
	if len(parts) != 2 || len(registered) != 2 {
		t.Fatalf("%d parts and %d registrations, want 2 of each", len(parts), len(registered))
	}
	for i, part := range parts {
		if part.ID != registered[i].ID || part.Name != registered[i].Name || part.Failure != (i == 1) {
			t.Errorf("part %d = %+v, registered as %s, %q", i, part, registered[i].ID, registered[i].Name)
		}
	}
	if parts[1].Body.Endpoint.URL != "http://127.0.0.1:9000/failed" {
		t.Errorf("the failure's endpoint = %+v", parts[1].Body.Endpoint)
	}
}

// A program is configured in YAML, a manifest is JSON: they are one language.
func TestRead_takesWhatAJSONDecoderGives(t *testing.T) {
	text, err := json.Marshal(decoded(t, everything))
	if err != nil {
		t.Fatal(err)
	}
	var source any
	if err := json.Unmarshal(text, &source); err != nil {
		t.Fatal(err)
	}
	got, problems := spec.Reader{App: "js-app"}.Read(source, "functions")
	if problems != nil {
		t.Fatal(problems)
	}
	if d := cmp.Diff(read(t, everything), got); d != "" {
		t.Errorf("from JSON (-YAML +JSON):\n%s", d)
	}
}

func TestRead_takesEveryShapeOfConcurrency(t *testing.T) {
	for shape, want := range map[string]string{
		"5":                             "5",
		"{limit: 5}":                    "5",
		"[5]":                           "5",
		"{limit: 5, key: event.data.k}": `[{"limit":5,"key":"event.data.k"}]`,
		"[{limit: 5}, {limit: 9, key: event.data.k, scope: account}]": `[{"limit":5},{"limit":9,"key":"event.data.k","scope":"account"}]`,
		"{fn: 1, step: [{limit: 2}, {limit: 3, key: event.data.k}]}":  `{"fn":[{"limit":1}],"step":[{"limit":2},{"limit":3,"key":"event.data.k"}]}`,
		"{step: {limit: 2}}": `{"step":[{"limit":2}]}`,
	} {
		t.Run(shape, func(t *testing.T) {
			f := read(t, "[{id: f, triggers: [{event: e}], endpoint: http://b/f, concurrency: "+shape+"}]")[0]
			got, err := json.Marshal(f.Settings.Concurrency)
			if err != nil || string(got) != want {
				t.Errorf("registered as %s, %v, want %s", got, err, want)
			}
		})
	}
}

func TestRead_readsSecretsOfHeaders(t *testing.T) {
	r := spec.Reader{App: "a", Secret: func(text string) (string, string) {
		if text == "env:TOKEN" {
			return "Bearer s3cret", ""
		}
		return "", "a variable that is set"
	}}
	source := decoded(t, `[{id: f, triggers: [{event: e}], endpoint: {url: "http://B:80/f?x=1", timeout: 1m30s, headers: {authorization: env:TOKEN, x-Plain: 7}}}]`)
	all, problems := r.Read(source, "functions")
	if problems != nil {
		t.Fatal(problems)
	}
	want := &spec.Backend{
		URL: "http://b:80/f?x=1", Timeout: 90e9,
		Headers: []spec.Header{{Name: "Authorization", Value: "Bearer s3cret"}, {Name: "X-Plain", Value: "7"}},
	}
	if d := cmp.Diff(want, all[0].Endpoint); d != "" {
		t.Errorf("endpoint (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"http://b:80"}, all[0].Origins()); d != "" {
		t.Errorf("origins (-want +got):\n%s", d)
	}
	source = decoded(t, `[{id: f, triggers: [{event: e}], endpoint: {url: http://b/f, headers: {authorization: env:NONE}}}]`)
	got := problemsOf(t, r, source)
	if d := cmp.Diff([]string{`functions[0].endpoint.headers.authorization is "env:NONE", want a variable that is set`}, got); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

// What is taken can be asked for: nothing in a request line but visible ASCII.
func TestRead_writesURLsAsTheyAreSent(t *testing.T) {
	for text, want := range map[string]string{
		"http://b/x?q=ä b":     "http://b/x?q=%C3%A4%20b",
		"http://b/ä b?q=%20+1": "http://b/%C3%A4%20b?q=%20+1",
		"http://[::1]:80":      "http://[::1]:80",
		"http://b:65536/":      "",
		"http://b:0/":          "",
		"http://b:/":           "",
	} {
		source := []any{map[string]any{"id": "f", "triggers": []any{map[string]any{"event": "e"}}, "endpoint": text}}
		all, problems := spec.Reader{App: "a"}.Read(source, "functions")
		got := ""
		if problems == nil {
			got = all[0].Endpoint.URL
		}
		if got != want {
			t.Errorf("%s is %q, %v, want %q", text, got, problems, want)
		}
	}
}

// Whatever is wrong, all of it is told at once.
func TestRead_tellsEveryProblem(t *testing.T) {
	text, err := os.ReadFile("testdata/wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := spec.Reader{App: "functions", Secret: func(string) (string, string) { return "", "a variable that is set" }}
	golden(t, "testdata/wrong.golden", strings.Join(problemsOf(t, r, decoded(t, string(text))), "\n")+"\n")
}

func TestRead_wantsAnAppWhereThereAreSeveral(t *testing.T) {
	got := problemsOf(t, spec.Reader{}, decoded(t, "[{id: f, triggers: [{event: e}], endpoint: http://b/f}, {id: f, app: shop, triggers: [{event: e}], endpoint: http://b/f}]"))
	want := []string{"functions[0].app is not set, want the id of one of function_apps: there are several"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func TestProblems_areAnError(t *testing.T) {
	_, problems := spec.Reader{}.Read("x", "functions")
	var target spec.Problems
	if err := error(problems); !errors.As(err, &target) || err.Error() != "functions is a text, want a list" {
		t.Errorf("problems = %v", err)
	}
}
