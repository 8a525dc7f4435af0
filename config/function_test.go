package config

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const someFunctions = `
inngest: {signing_key: env:KEY}
functions:
  - &hello
    id: hello
    triggers: [{event: demo/hello}]
    retries: 2
    endpoint: {url: "http://127.0.0.1:9000/hello", headers: {authorization: env:TOKEN, x-plain: 012}}
  - <<: *hello
    id: again
`

func TestLoad_takesFunctionsWithoutAnApp(t *testing.T) {
	cfg := mustLoad(t, sources(someFunctions, "KEY="+testKey, "TOKEN=Bearer abc"))
	if d := cmp.Diff([]FunctionApp{DefaultFunctionApp()}, cfg.FunctionApps, cmp.AllowUnexported(Secret{}, Portion{})); d != "" {
		t.Errorf("function_apps (-want +got):\n%s", d)
	}
	all := cfg.FunctionsOf("functions")
	if len(all) != 2 || len(cfg.Apps) != 0 {
		t.Fatalf("%d functions, %d apps, want 2 and none", len(all), len(cfg.Apps))
	}
	for i, id := range []string{"hello", "again"} {
		f := all[i]
		if f.ID != id || *f.Settings.Retries != 2 || f.Endpoint.URL != "http://127.0.0.1:9000/hello" || f.Endpoint.Headers[0].Value != "Bearer abc" {
			t.Errorf("function %d = %+v, endpoint %+v", i, f, f.Endpoint)
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
}

func TestExample_functionsLoads(t *testing.T) {
	cfg := load(t, "functions.yaml")
	if len(cfg.Functions) != 2 || len(cfg.FunctionApps) != 1 || len(cfg.Apps) != 0 {
		t.Errorf("%d functions, %d function apps, %d apps; want 2, 1 and none", len(cfg.Functions), len(cfg.FunctionApps), len(cfg.Apps))
	}
}

// What a step sends is what was written: 3 is a number, "3" a text, and null
// is there.
func TestReadYAML_keepsTypesBelowFunctions(t *testing.T) {
	l, ok := readYAML("gw.yaml", []byte(`
limits: {body: 012, head: ~}
functions:
  - {int: 3, text: "3", zero: 012, float: 1.5, yes: yes, true: true, null: ~, date: 2024-01-02, list: [1, ~], at: &x 7, alias: *x}
function_apps: [{id: 7}]
`), &problems{})
	if !ok {
		t.Fatal("it is no YAML")
	}
	want := map[string]any{
		"limits":        map[string]any{"body": "012"},
		"function_apps": []any{map[string]any{"id": "7"}},
		"functions": []any{map[string]any{
			"int": 3, "text": "3", "zero": 10, "float": 1.5, "yes": "yes", "true": true, "null": nil, "date": "2024-01-02",
			"list": []any{1, nil}, "at": 7, "alias": 7,
		}},
	}
	if d := cmp.Diff(want, l.tree); d != "" {
		t.Errorf("tree (-want +got):\n%s", d)
	}
}

func TestLoad_takesFunctionsFromAVariableOrFlag(t *testing.T) {
	const text = `[{id: other, triggers: [{cron: "* * * * *"}], endpoint: "http://b/x"}]`
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--set", "functions=" + text}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Sources{
		"variable": sources(someFunctions, "KEY="+testKey, "TOKEN=x", "GATEWAY_FUNCTIONS="+text),
		"flag":     {Env: []string{"INNGEST_SIGNING_KEY=" + testKey}, Flags: flags, ReadFile: sources("").ReadFile},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, s)
			if len(cfg.Functions) != 1 || cfg.Functions[0].ID != "other" {
				t.Errorf("functions = %+v, want other alone", cfg.Functions)
			}
		})
	}
	got := problemsOf(t, sources(someFunctions, "KEY="+testKey, "TOKEN=x", "GATEWAY_FUNCTIONS=[{id: a, triggers: [], endpoint: x}]"))
	want := []string{
		`GATEWAY_FUNCTIONS: functions[0].endpoint is "x", want an http or https URL without user and fragment; it is literal, ${…} stands in steps only`,
		`GATEWAY_FUNCTIONS: functions[0].triggers is not set, want 1 to 10 triggers`,
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func TestLoad_tellsProblemsOfFunctionsAtTheirLine(t *testing.T) {
	got := problemsOf(t, sources(`inngest: {signing_key: `+testKey+`}
functions:
  - id: one
    triggers:
      - event: a
        if: event.data.
    retires: 3
    endpoint: http://b/${event.data.path}
  - id: two
    app: shop
    triggers: [{cron: "99 * * * *"}]
    endpoint: {url: "http://b/x", headers: {k: env:NONE}}
    onFailure:
      steps: []
  - id: two
    triggers: [{event: a}]
    endpoint: http://b/x
`))
	want := []string{
		`gw.yaml:6: functions[0].triggers[0].if is "event.data.", want an expression over event; at column 12: unexpected '.'`,
		`gw.yaml:7: functions[0].retires is not a setting, want retries`,
		`gw.yaml:8: functions[0].endpoint is "http://b/${event.data.path}", want an http or https URL without user and fragment; it is literal, ${…} stands in steps only`,
		`gw.yaml:11: functions[1].triggers[0].cron is "99 * * * *", want five fields (minute hour day month weekday) after an optional "TZ=<zone> "`,
		`gw.yaml:12: functions[1].endpoint.headers.k is "env:NONE", want a variable that is set`,
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("lacks %s", line)
		}
	}
	if !slices.ContainsFunc(got, func(line string) bool { return len(line) > 12 && line[:11] == "gw.yaml:14:" }) {
		t.Errorf("no problem at line 14, of the empty list of steps")
	}
	if t.Failed() {
		t.Logf("problems:\n%v", got)
	}
}

func TestValidate_checksFunctionApps(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a function of an app that is not there": {
			"functions: [{id: f, app: shop, triggers: [{event: e}], endpoint: \"http://b/f\"}]",
			`gw.yaml:2: functions[0].app is "shop", want the id of a function app: functions`,
		},
		"a function of one of several": {
			"function_apps: [{id: a, path: /a}, {id: b, path: /b}]\nfunctions: [{id: f, triggers: [{event: e}], endpoint: \"http://b/f\"}]",
			`gw.yaml:3: functions[0].app is not set, want the id of one of function_apps: there are several`,
		},
		"the path of an app": {
			"apps: [{id: shop, path: /api/functions, upstream: {endpoints: [\"http://a:1\"]}}]\nfunction_apps: [{id: functions, discover: {urls: [\"http://b\"]}}]",
			`gw.yaml:3: function_apps[0].path is "/api/functions", want another value than apps[0].path`,
		},
		"the id of an app": {
			"apps: [{id: shop, upstream: {endpoints: [\"http://a:1\"]}}]\nfunction_apps: [{id: shop, discover: {urls: [\"http://b\"]}}]",
			`gw.yaml:3: function_apps[0].id is "shop", want another value than apps[0].id`,
		},
		"an environment that is not there": {
			"function_apps: [{inngest: prod, discover: {urls: [\"http://b\"]}}]",
			`gw.yaml:2: function_apps[0].inngest is "prod", want the name of a group in inngest`,
		},
		"a probe that only SDKs answer": {
			"function_apps: [{discover: {urls: [\"http://b\"]}, backends: {probe: {kind: sdk}}}]",
			`gw.yaml:2: function_apps[0].backends.probe.kind is "sdk", want tcp or http: a backend without an SDK answers no sdk probe`,
		},
		"the real key for backends": {
			"function_apps: [{discover: {urls: [\"http://b\"]}, backends: {signing_key: " + testKey + "}}]",
			`gw.yaml:2: function_apps[0].backends.signing_key is ***, want another key than that of Inngest: the real key must not reach the app`,
		},
		"events without a key to send them": {
			"functions: [{id: f, triggers: [{event: e}], steps: [{if: event.data.x, then: [{id: s, sendEvent: {name: x}}]}]}]",
			`gw.yaml:1: inngest.event_key is not set, want the key to send events with (INNGEST_EVENT_KEY, or inngest.event_key): functions[0] does`,
		},
		"an app without functions": {
			"function_apps: [{id: jobs}]",
			`gw.yaml:2: function_apps[0] is without functions, want functions, or discover.urls: Inngest registers no app that has none`,
		},
		"itself as a publisher": {
			"function_apps: [{discover: {urls: [\"http://127.0.0.1:8480/\"]}}]",
			`gw.yaml:2: function_apps[0].discover.urls[0] is "http://127.0.0.1:8480", want the address of a backend: the gateway would ask itself`,
		},
		"more steps than Inngest takes": {
			"function_apps: [{discover: {urls: [\"http://b\"]}, limits: {steps: 1001}}]",
			`gw.yaml:2: function_apps[0].limits.steps is "1001", want from 1 to 1000`,
		},
		"a setting of another name": {
			"function_apps: [{discover: {urls: [\"http://b\"]}, checkpointing: false}]",
			`gw.yaml:2: function_apps[0].checkpointing is not a setting, want function_apps[0].checkpoint`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := problemsOf(t, sources("inngest: {signing_key: "+testKey+"}\n"+c.file))
			if d := cmp.Diff([]string{c.want}, got); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
		})
	}
}

func TestLoad_takesFunctionAppsFromVariables(t *testing.T) {
	cfg := mustLoad(t, sources(someFunctions, "KEY="+testKey, "TOKEN=x",
		"GATEWAY_FUNCTION_APPS__0__ID=jobs", "GATEWAY_FUNCTION_APPS__0__CHECKPOINT__MAX_RUNTIME=20s", "GATEWAY_FUNCTION_APPS__0__CHECKPOINT__ENABLED=0"))
	a := cfg.FunctionApps[0]
	if a.ID != "jobs" || a.Checkpoint != (Checkpoint{false, 20 * time.Second}) || len(cfg.FunctionsOf("jobs")) != 2 {
		t.Errorf("function app = %+v with %d functions", a, len(cfg.FunctionsOf("jobs")))
	}
}
