package program_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func hash(id string) string { return inngest.HashStepID(id, 0) }

// recordedOps returns the ops that the recorded SDK answered.
func recordedOps(t *testing.T, number int) []inngest.GeneratorOp {
	t.Helper()
	ops, err := inngest.ParseOps(recorded.One(t, number).Response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

func TestAdvance_wantsWhatAnSDKAsksFor(t *testing.T) {
	for name, c := range map[string]struct {
		exchange int
		program  string
	}{
		"run":      {5, `[{id: a, get: "http://b/a"}]`},
		"sleep":    {13, `[{id: zzz, sleep: 1s}]`},
		"wait":     {14, `[{id: wait, waitForEvent: {event: t/approve, timeout: 2s}}]`},
		"invoke":   {17, `[{id: inv, invoke: {app: js-app, function: simple, data: {n: 9}}}]`},
		"signal":   {66, `[{id: wait for it, waitForSignal: {signal: sig-1t, timeout: 30s}}]`},
		"fetch":    {74, `[{id: "step.fetch: 127.0.0.1", fetch: {url: "http://127.0.0.1:3900/hello?x=1", method: post, headers: {authorization: Bearer downstream-token, x-mine: "yes"}, body: {a: 1}}}]`},
		"ai":       {77, `[{id: ask, ai: {format: openai-chat, url: "http://127.0.0.1:3900/v1/chat/completions", key: model-test-key, body: {model: gpt-4o-mini, messages: [{role: user, content: "2+2?"}]}}}]`},
		"parallel": {83, `[{parallel: [{id: fast, get: "http://b/"}, {id: slow, sleep: 3s}, {id: ev, waitForEvent: {event: t/never, timeout: 4s}}]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			want := recordedOps(t, c.exchange)
			got := driver(t, c.program, &backend{}).Advance(t.Context(), newRun(`{"data":{}}`)).Steps
			if len(got) != len(want) {
				t.Fatalf("%d steps, want %d", len(got), len(want))
			}
			for n := range want {
				same(t, got[n], want[n])
			}
		})
	}
}

// same compares what the server acts on.
func same(t *testing.T, got run.Step, want inngest.GeneratorOp) {
	t.Helper()
	op := want.Op
	if op == inngest.OpStepPlanned {
		op = inngest.OpStepRun // planned by the host
	}
	text := want.Name
	if op == inngest.OpStepRun {
		text = "" // the host puts the id there
	}
	if got.ID != want.ID || got.Op != op || got.Name != want.Userland.ID || got.Text != text {
		t.Errorf("step %s %s %q %q, want %s %s %q %q", got.ID, got.Op, got.Name, got.Text, want.ID, op, want.Userland.ID, text)
	}
	if op == inngest.OpStepRun {
		return
	}
	var wantOpts, gotOpts map[string]any
	if err := want.ParseOpts(&wantOpts); err != nil {
		t.Fatal(err)
	}
	if got.Opts != nil {
		text, err := json.Marshal(got.Opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &gotOpts); err != nil {
			t.Fatal(err)
		}
	}
	if len(wantOpts) == 0 && len(gotOpts) == 0 {
		return
	}
	if headers, ok := gotOpts["headers"].(map[string]any); ok {
		delete(headers, "content-type") // fetch of JavaScript sends none for a text
	}
	if diff := cmp.Diff(wantOpts, gotOpts); diff != "" {
		t.Errorf("opts of %s (-SDK +ours):\n%s", got.Name, diff)
	}
}

func TestAdvance_writesTimesAsTheServerReadsThem(t *testing.T) {
	const event = `{"ts":1795492370030,"data":{"at":"2027-01-02T03:04:05+01:00","wait":"1d12h","n":90}}`
	for value, want := range map[string]string{
		`sleep: "${event.data.wait}"`:                                  "1d12h",
		`sleep: "${duration(\"90s\")}"`:                                "1m30s",
		`sleep: "${event.data.n}s"`:                                    "90s",
		`sleepUntil: "${event.data.at}"`:                               "2027-01-02T02:04:05.000Z",
		`sleepUntil: "${timestamp(event.data.at) + duration(\"1h\")}"`: "2027-01-02T03:04:05.000Z",
		`sleepUntil: "${event.ts}"`:                                    "2026-11-24T03:52:50.030Z",
		`sleepUntil: 2027-05-06`:                                       "2027-05-06T00:00:00.000Z",
		`sleepUntil: "2027-05-06T07:08:09Z"`:                           "2027-05-06T07:08:09.000Z",
	} {
		t.Run(value, func(t *testing.T) {
			out := driver(t, `[{id: a, `+value+`}]`, &backend{}).Advance(t.Context(), newRun(event))
			if len(out.Steps) != 1 || out.Steps[0].Text != want || out.Steps[0].Op != inngest.OpSleep {
				t.Errorf("%s: %+v, want %s", told(out), out.Steps, want)
			}
		})
	}
	for value, want := range map[string]string{
		`sleep: "${event.data.n}"`:         "is a number, want a duration",
		`sleep: "${event.data.at}"`:        "want numbers with the units",
		`sleep: "${\"0s\"}"`:               "want a duration from above 0",
		`sleepUntil: "${event.data}"`:      "is an object, want a time",
		`sleepUntil: "${event.data.wait}"`: "is no time",
	} {
		t.Run(value, func(t *testing.T) {
			out := driver(t, `[{id: a, `+value+`}]`, &backend{}).Advance(t.Context(), newRun(event))
			if out.Failure == nil || !contains(out.Failure.Message, want) {
				t.Errorf("%s, want %q", told(out), want)
			}
		})
	}
}

func TestAdvance_givesValuesToTheServersExpression(t *testing.T) {
	out := driver(t, `[{id: w, waitForEvent: {event: "t/${event.data.kind}", timeout: 1h, if: "async.data.id == ${event.data.id} && event.name != \"\""}}]`,
		&backend{}).Advance(t.Context(), newRun(`{"data":{"kind":"paid","id":"a\" || true || \""}}`))
	want := inngest.WaitForEventOpts{Timeout: "1h", If: `(async.data.id == "a\" || true || \"" && event.name != "") && async.name != "vars."`}
	if len(out.Steps) != 1 || out.Steps[0].Text != "t/paid" {
		t.Fatalf("%s", told(out))
	}
	if diff := cmp.Diff(want, out.Steps[0].Opts); diff != "" {
		t.Error(diff)
	}
}

// A repeated id is told as SDKs tell it: the id and how often it came before.
func TestSteps_tellRepeatedIDsWithTheirNumber(t *testing.T) {
	d := driver(t, `
- {id: once, get: "http://b/"}
- forEach: event.data.list
  parallel: 2
  do:
    - {id: again, get: "http://b/"}
    - forEach: event.data.list
      as: inner
      do:
        - {id: deep, get: "http://b/"}
`, &backend{})
	r := newRun(`{"data":{"list":[1,2]}}`)
	got := map[inngest.Userland]bool{}
	for {
		o := d.Advance(t.Context(), r)
		if o.Failure != nil {
			t.Fatal(o.Failure)
		}
		if len(o.Steps) == 0 {
			break
		}
		for _, s := range o.Steps {
			if s.ID != inngest.HashStepID(s.Userland.ID, s.Userland.Index) {
				t.Errorf("the id of %s is not the hash of %+v", s.Name, s.Userland)
			}
			got[s.Userland] = true
			r.Memo[s.ID] = run.Memoised{Done: true, Data: json.RawMessage("1")}
		}
	}
	want := map[inngest.Userland]bool{
		{ID: "once"}: true, {ID: "again"}: true, {ID: "again", Index: 1}: true,
		{ID: "deep:0"}: true, {ID: "deep:0", Index: 1}: true, {ID: "deep:1"}: true, {ID: "deep:1", Index: 1}: true,
	}
	if !maps.Equal(got, want) {
		t.Errorf("steps tell %v, want %v", got, want)
	}
}
