package inngest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// good returns a function with nothing wrong.
func good() *inngest.Function {
	return &inngest.Function{
		ID:       "shop-order",
		Name:     "order",
		Triggers: []inngest.Trigger{{Event: "order.created"}},
		Steps: map[string]inngest.Step{"step": {
			ID: "step", Name: "step",
			Runtime: inngest.Runtime{Type: "http", URL: "http://127.0.0.1:3000/api/inngest?fnId=shop-order&stepId=step"},
		}},
	}
}

func TestCheck_namesEveryFault(t *testing.T) {
	batch := inngest.BatchEvents{MaxSize: 2, Timeout: "1s"}
	for name, c := range map[string]struct {
		change func(*inngest.Function)
		want   []string // paths
	}{
		"nothing": {func(*inngest.Function) {}, nil},
		"no names": {func(f *inngest.Function) { f.ID, f.Name = "", "" },
			[]string{"id", "name"}},
		"no trigger": {func(f *inngest.Function) { f.Triggers = nil }, []string{"triggers"}},
		"eleven triggers": {func(f *inngest.Function) {
			f.Triggers = nil
			for i := range 11 {
				f.Triggers = append(f.Triggers, inngest.Trigger{Event: strings.Repeat("e", i+1)})
			}
		}, []string{"triggers"}},
		"bad triggers": {func(f *inngest.Function) {
			f.Triggers = []inngest.Trigger{
				{Event: "a"}, {Event: "a"}, {}, {Event: "b", Cron: "* * * * *"},
				{Event: strings.Repeat("e", 256)}, {Event: "c", Jitter: "1s"},
				{Cron: "* * * * * *"}, {Cron: "0 0 L * *"}, {Cron: "* * * * *", Jitter: "6m"},
			}
		}, []string{"triggers[1]", "triggers[2]", "triggers[3]", "triggers[4].event", "triggers[5].jitter",
			"triggers[6].cron", "triggers[7].cron", "triggers[8].jitter"}},
		"good cron schedules": {func(f *inngest.Function) {
			f.Triggers = []inngest.Trigger{
				{Cron: "TZ=Europe/Berlin 0 4 1 1 *"}, {Cron: "CRON_TZ=UTC */5 * * * MON-FRI", Jitter: "5m"},
			}
		}, nil},
		"cron schedules in words": {func(f *inngest.Function) {
			f.Triggers = []inngest.Trigger{{Cron: "@daily"}, {Cron: "@every 5m"}, {Cron: "TZ=UTC @daily"}}
		}, []string{"triggers[0].cron", "triggers[1].cron", "triggers[2].cron"}},
		"batch that waits for days": {func(f *inngest.Function) { f.BatchEvents = &inngest.BatchEvents{MaxSize: 2, Timeout: "1d"} },
			[]string{"batchEvents.timeout"}},
		"no step": {func(f *inngest.Function) { f.Steps = nil }, []string{"steps"}},
		"bad step": {func(f *inngest.Function) {
			f.Steps = map[string]inngest.Step{"step": {
				Runtime: inngest.Runtime{URL: "unix:///x"}, Retries: &inngest.StepRetries{Attempts: 21},
			}}
		}, []string{"steps.step.name", "steps.step.runtime.url", "steps.step.retries.attempts"}},
		"retries": {func(f *inngest.Function) { n := 21; f.Retries = &n }, []string{"retries"}},
		"rate limit": {func(f *inngest.Function) { f.RateLimit = &inngest.RateLimit{Period: "25h"} },
			[]string{"rateLimit.limit", "rateLimit.period"}},
		"throttle": {func(f *inngest.Function) { f.Throttle = &inngest.Throttle{Burst: -1, Period: "8d"} },
			[]string{"throttle.limit", "throttle.burst", "throttle.period"}},
		"three limits": {func(f *inngest.Function) {
			f.Concurrency = &inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{{Limit: 1}, {Limit: 2}, {Limit: -1}}}
		}, []string{"concurrency", "concurrency[2].limit"}},
		"limits of runs and steps": {func(f *inngest.Function) {
			f.Concurrency = &inngest.Concurrency{
				Fn:   []inngest.ConcurrencyLimit{{Limit: 1}, {Limit: 1, Scope: "env"}},
				Step: []inngest.ConcurrencyLimit{{Limit: 1}, {Limit: 1, Scope: "account", Key: "'k'"}, {Limit: 1, Scope: "all"}},
			}
		}, []string{"concurrency.fn", "concurrency.step", "concurrency.fn[1].key", "concurrency.step[2].scope"}},
		"one limit of runs, two of steps": {func(f *inngest.Function) {
			f.Concurrency = &inngest.Concurrency{
				Fn:   []inngest.ConcurrencyLimit{{Limit: 1}},
				Step: []inngest.ConcurrencyLimit{{Limit: 1}, {Limit: 2, Key: "event.data.k"}},
			}
		}, nil},
		"debounce": {func(f *inngest.Function) { f.Debounce = &inngest.Debounce{Period: "999ms", Timeout: "soon"} },
			[]string{"debounce.period", "debounce.timeout"}},
		"priority": {func(f *inngest.Function) { f.Priority = &inngest.Priority{} }, []string{"priority.run"}},
		"timeouts": {func(f *inngest.Function) { f.Timeouts = &inngest.Timeouts{Start: "1", Finish: "-1s"} },
			[]string{"timeouts.start", "timeouts.finish"}},
		"six cancellations": {func(f *inngest.Function) { f.Cancel = make([]inngest.Cancel, 6) },
			[]string{"cancel", "cancel[0].event", "cancel[1].event", "cancel[2].event", "cancel[3].event", "cancel[4].event", "cancel[5].event"}},
		"batch beside what excludes it": {func(f *inngest.Function) {
			f.BatchEvents, f.Priority = &batch, &inngest.Priority{Run: "1"}
			f.Singleton = &inngest.SingletonConfig{Mode: "skip"}
			f.Debounce = &inngest.Debounce{Period: "1s"}
			f.Cancel = []inngest.Cancel{{Event: "e"}}
		}, []string{"batchEvents"}},
		"small batch": {func(f *inngest.Function) { f.BatchEvents = &inngest.BatchEvents{MaxSize: 1, Timeout: "10ms"} },
			[]string{"batchEvents.maxSize", "batchEvents.timeout"}},
		"singleton": {func(f *inngest.Function) { f.Singleton = &inngest.SingletonConfig{} }, []string{"singleton.mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.change(f)
			var got []string
			for _, fault := range f.Check() {
				got = append(got, fault.Path)
				if fault.Want == "" {
					t.Errorf("fault %+v does not say what would be accepted", fault)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConcurrency_readsAndWritesItsFourShapes(t *testing.T) {
	for text, c := range map[string]struct {
		read    inngest.Concurrency
		written string
	}{
		`2`:           {inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{{Limit: 2}}}, `2`},
		`{"limit":2}`: {inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{{Limit: 2}}}, `2`},
		`[{"limit":2,"key":"k"}]`: {
			inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{{Limit: 2, Key: "k"}}}, `[{"limit":2,"key":"k"}]`},
		`[]`: {inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{}}, `[]`},
		`{"fn":[{"limit":1}],"step":[{"limit":2}]}`: {inngest.Concurrency{
			Fn:   []inngest.ConcurrencyLimit{{Limit: 1}},
			Step: []inngest.ConcurrencyLimit{{Limit: 2}},
		}, `{"fn":[{"limit":1}],"step":[{"limit":2}]}`},
	} {
		var got inngest.Concurrency
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(c.read, got); diff != "" {
			t.Errorf("%s was read as (-want +got):\n%s", text, diff)
		}
		if written := string(marshal(t, got)); written != c.written {
			t.Errorf("%s was written as %s, want %s", text, written, c.written)
		}
	}
	for _, bad := range []string{`"2"`, `2.5`, `{"fn":1}`, `[1]`, `true`} {
		if err := json.Unmarshal([]byte(bad), new(inngest.Concurrency)); err == nil {
			t.Errorf("%s was read as a concurrency", bad)
		}
	}
}

func TestEffectiveRetries_prefersTheStep(t *testing.T) {
	n := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		function, step *int
		want           int
	}{
		"neither says":              {nil, nil, 4},
		"the function says":         {n(1), nil, 1},
		"the step says":             {nil, n(7), 7},
		"both say":                  {n(1), n(7), 7},
		"none at all":               {n(0), nil, 0},
		"more than the server does": {n(21), nil, 20},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			f.Retries = c.function
			if c.step != nil {
				step := f.Steps["step"]
				step.Retries = &inngest.StepRetries{Attempts: *c.step}
				f.Steps["step"] = step
			}
			if got := f.EffectiveRetries(); got != c.want {
				t.Errorf("EffectiveRetries = %d, want %d", got, c.want)
			}
		})
	}
}

func TestParseDuration_knowsDaysAndWeeks(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1s":       time.Second,
		"1w2d3h":   9*24*time.Hour + 3*time.Hour,
		"1.5d":     36 * time.Hour,
		"1h30m":    90 * time.Minute,
		"250ms":    250 * time.Millisecond,
		"0s":       0,
		"366d":     inngest.MaxWait,
		"15000w6d": 105006 * 24 * time.Hour,
	} {
		if got, err := inngest.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "1", "-1s", "+1s", "1 s", " 1s", "s", "1x", "1s1", "1..5s", ".s", "16000w", "15000w15000w", "1mo", "1S"} {
		if got, err := inngest.ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", bad, got)
		}
	}
}
