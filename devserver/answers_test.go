package devserver

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// gzipped is a text as a gzip stream.
func gzipped(t testing.TB, text string) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestServer_judgesAnswers(t *testing.T) {
	type want struct {
		status Status
		calls  int
		output string
		err    string // in the error's message
	}
	header := func(name, value string) map[string]string { return map[string]string{name: value} }
	br, err := base64.StdEncoding.DecodeString(record(t, "102").Response.BodyBase64)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		first reply
		want  want
	}{
		"200":                                 {result(`{"a":1}`), want{Completed, 1, `{"a":1}`, ""}},
		"200 without a body":                  {result(``), want{Completed, 1, `null`, ""}},
		"200 with a text":                     {result(`hello`), want{Completed, 1, `"hello"`, ""}},
		"200 with an object encoded twice":    {result(`"{\"a\":1}"`), want{Completed, 1, `{"a":1}`, ""}},
		"200 that no SDK sent":                {reply{status: 200, body: `{}`, bare: true}, want{Completed, 2, `"second"`, ""}},
		"204 that no SDK sent":                {reply{status: 204, bare: true}, want{Completed, 2, `"second"`, ""}},
		"206 that no SDK sent":                {reply{status: 206, body: "[" + stepRun("a", "1") + "]", bare: true}, want{Completed, 2, `"second"`, ""}},
		"500":                                 {reply{status: 500, body: `{"name":"Error","message":"boom"}`}, want{Completed, 2, `"second"`, ""}},
		"503 of a proxy":                      {reply{status: 503, body: `try later`, bare: true}, want{Completed, 2, `"second"`, ""}},
		"400 without a word on retries":       {reply{status: 400, body: `{}`}, want{Completed, 2, `"second"`, ""}},
		"400 that forbids a retry":            {recordedReply(t, "07"), want{Failed, 1, "", "nope"}},
		"no-retry with another text":          {reply{status: 500, header: header(inngest.HeaderNoRetry, "TRUE"), body: `{}`}, want{Completed, 2, `"second"`, ""}},
		"200 that forbids a retry":            {recordedReply(t, "104"), want{Failed, 1, "", "NonRetriableError"}},
		"gzip":                                {reply{status: 200, header: header("Content-Encoding", "gzip"), body: gzipped(t, `{"z":1}`)}, want{Completed, 1, `{"z":1}`, ""}},
		"br":                                  {reply{status: 200, header: header("Content-Encoding", "br"), body: string(br)}, want{Completed, 1, "*", ""}},
		"identity":                            {reply{status: 200, header: header("Content-Encoding", "identity"), body: `{}`}, want{Completed, 2, `"second"`, ""}},
		"zstd":                                {reply{status: 200, header: header("Content-Encoding", "zstd"), body: `{}`}, want{Completed, 2, `"second"`, ""}},
		"two codings":                         {reply{status: 200, header: header("Content-Encoding", "gzip, br"), body: `{}`}, want{Completed, 2, `"second"`, ""}},
		"a 201 wrapper":                       {recordedReply(t, "103"), want{Completed, 1, `"inner"`, ""}},
		"a 201 wrapper around a 500":          {reply{status: 201, bare: true, body: `  {"status":500,"headers":{"x-inngest-sdk":"js:v1","x-inngest-no-retry":"true"},"body":"{\"message\":\"in\"}"}`}, want{Failed, 1, "", "in"}},
		"a 201 that is no wrapper":            {reply{status: 201, body: `nothing`}, want{Completed, 2, `"second"`, ""}},
		"a 201 with an error":                 {reply{status: 201, body: `{"error":"broken"}`}, want{Completed, 2, `"second"`, ""}},
		"an unknown opcode":                   {ops(op("NoSuchOp", "a", ``)), want{Completed, 2, `"second"`, ""}},
		"an unknown opcode beside a good one": {ops(stepRun("a", "1"), op("NoSuchOp", "b", ``)), want{Completed, 2, `"second"`, ""}},
		"a 206 without a body":                {reply{status: 206}, want{Completed, 2, `"second"`, ""}},
		"a 206 that is no JSON":               {reply{status: 206, body: "x"}, want{Completed, 2, `"second"`, ""}},
		"a 206 with one op alone":             {reply{status: 206, body: stepRun("a", "1")}, want{Completed, 2, `"second"`, ""}},
		"RunComplete":                         {ops(`{"op":"RunComplete","id":"0737c22d3bfae812339732d14d8c7dbd6dc4e09c","data":{"r":1}}`), want{Completed, 1, `{"r":1}`, ""}},
		"SyncRunComplete":                     {ops(`{"op":"SyncRunComplete","id":"x","data":{"data":{"status":200,"body":"x"}}}`), want{Completed, 1, `{"status":200,"body":"x"}`, ""}},
		"SyncRunComplete without data":        {ops(`{"op":"SyncRunComplete","id":"x","data":1}`), want{Completed, 2, `"second"`, ""}},
		"RunComplete without data":            {ops(`{"op":"RunComplete","id":"0737c22d3bfae812339732d14d8c7dbd6dc4e09c"}`), want{Completed, 1, `null`, ""}},
		"DiscoveryRequest":                    {ops(op("DiscoveryRequest", "d", ``)), want{Completed, 2, `"second"`, ""}},
		"an empty 206":                        {ops(), want{Completed, 2, `"second"`, ""}},
		"a step that is too large":            {ops(stepRun("a", `"`+strings.Repeat("x", maxStepOutput)+`"`)), want{Completed, 2, `"second"`, ""}},
		"an answer that is too large":         {result(strings.Repeat(" ", inngest.MaxAnswerBytes) + `{}`), want{Completed, 2, `"second"`, ""}},
		"a sleep of more than a year":         {ops(sleep("s", "400d")), want{Failed, 1, "", "more than a year"}},
		"a sleep until the past":              {ops(sleep("s", "2001-02-03T04:05:06Z")), want{Completed, 2, `"second"`, ""}},
		"a sleep that is no duration":         {ops(sleep("s", "a while")), want{Completed, 2, `"second"`, ""}},
		"a wait of more than a year":          {ops(op("WaitForEvent", "w", `,"opts":{"event":"a","timeout":"367d"}`)), want{Failed, 1, "", "more than a year"}},
		"a wait with a bad expression":        {ops(op("WaitForEvent", "w", `,"opts":{"event":"a","timeout":"1h","if":"async."}`)), want{Failed, 1, "", "expression"}},
		"a wait without a timeout":            {ops(op("WaitForEvent", "w", `,"opts":{"event":"a"}`)), want{Completed, 2, `"second"`, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{Backoff: fast})
			d := newDouble(t, map[string][]reply{"js-app-f": {c.first, result(`"second"`)}})
			d.register(base, d.manifest("js-app-f", on("t/f"), 3, ""))
			run := runOf(t, s, send(t, s, "t/f", map[string]any{}))
			if run.Status != c.want.status || len(d.callsOf("js-app-f")) != c.want.calls {
				t.Errorf("run is %s after %d calls, want %s after %d; %+v", run.Status, len(d.callsOf("js-app-f")), c.want.status, c.want.calls, run.Calls)
			}
			if c.want.status == Completed && c.want.output != "*" && string(run.Output) != c.want.output {
				t.Errorf("output = %s, want %s", run.Output, c.want.output)
			}
			var failure struct{ Message string }
			if c.want.err != "" && (json.Unmarshal(run.Error, &failure) != nil || !strings.Contains(failure.Message, c.want.err)) {
				t.Errorf("error = %s, want %q in it", run.Error, c.want.err)
			}
		})
	}
}

func TestServer_triesAgainWithBackoff(t *testing.T) {
	clock := NewClock()
	var asked []int
	s, base := newServer(t, Options{Clock: clock, Backoff: func(n int) time.Duration {
		asked = append(asked, n)
		return time.Duration(n) * time.Hour
	}})
	d := newDouble(t, map[string][]reply{"js-app-f": {{status: 500, body: `{}`}, {status: 500, body: `{}`}, {status: 500, body: `{"message":"last"}`}}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 2, ""))
	event := send(t, s, "t/f", map[string]any{})
	for i := 1; i <= 2; i++ {
		until(t, s, "js-app-f", "Error", i)
		if n := len(d.callsOf("js-app-f")); n != i {
			t.Fatalf("%d calls before the back-off, want %d", n, i)
		}
		clock.Advance(time.Duration(i) * time.Hour)
	}
	run := runOf(t, s, event)
	if run.Status != Failed || !strings.Contains(string(run.Error), `"last"`) {
		t.Errorf("run is %s with %s", run.Status, run.Error)
	}
	for i, c := range run.Calls {
		if c.Attempt != i || c.Generation != i+1 {
			t.Errorf("call %d is attempt %d, generation %d", i, c.Attempt, c.Generation)
		}
	}
	jobs := map[string]bool{}
	for i, c := range d.callsOf("js-app-f") {
		jobs[c.header.Get(inngest.HeaderJobID)] = true
		var body inngest.CallRequest
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			t.Fatal(err)
		}
		if body.Ctx.Attempt != i || body.Ctx.GenerationID != i+1 || body.Version != -1 {
			t.Errorf("call %d: attempt %d, generation %d, version %d", i, body.Ctx.Attempt, body.Ctx.GenerationID, body.Version)
		}
	}
	if len(jobs) != 1 || len(asked) != 2 {
		t.Errorf("%d job ids, want 1; back-offs %v, want 1 and 2", len(jobs), asked)
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		text string
		want time.Duration
		ok   bool
	}{
		"seconds":          {"2", 2 * time.Second, true},
		"zero":             {"0", 0, false},
		"negative":         {"-5", 0, false},
		"a fraction":       {"2.5", 0, false},
		"a word":           {"soon", 0, false},
		"an HTTP date":     {"Tue, 24 Nov 2026 12:00:30 GMT", 30 * time.Second, true},
		"an ISO date":      {"2026-11-24T12:01:00Z", time.Minute, true},
		"with a fraction":  {"2026-11-24T12:01:00.500Z", time.Minute + 500*time.Millisecond, true},
		"days":             {"604800", 24 * time.Hour, true},
		"an enormous wait": {"99999999999999", 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := parseRetryAfter(c.text, now); ok != c.ok || ok && got != c.want {
				t.Errorf("parseRetryAfter(%q) = %v, %v, want %v, %v", c.text, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestBackoff_followsTheTable(t *testing.T) {
	for attempt, least := range map[int]time.Duration{
		1: 15 * time.Second, 2: 30 * time.Second, 3: time.Minute, 4: 2 * time.Minute, 10: 2 * time.Hour, 99: 2 * time.Hour,
	} {
		if got := Backoff(attempt); got < least || got >= least+30*time.Second {
			t.Errorf("Backoff(%d) = %v, want %v and up to 30 s", attempt, got, least)
		}
	}
}

func TestServer_countsAttemptsOfStepsByThemselves(t *testing.T) {
	s, base := newServer(t, Options{Backoff: fast})
	failing := func(id string) reply {
		return ops(op("StepError", id, `,"error":{"name":"Error","message":"no"}`))
	}
	d := newDouble(t, map[string][]reply{"js-app-f": {
		failing("a"), ops(stepRun("a", "1")), failing("b"), ops(stepRun("b", "2")), {status: 500, body: "{}"}, result(`"end"`),
	}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 1, ""))
	run := runOf(t, s, send(t, s, "t/f", map[string]any{}))
	if run.Status != Completed {
		t.Fatalf("run is %s: %s", run.Status, run.Error)
	}
	want := []int{0, 1, 0, 1, 0, 1}
	for i, c := range run.Calls {
		if c.Attempt != want[i] {
			t.Errorf("call %d is attempt %d, want %d", i, c.Attempt, want[i])
		}
	}
}

func TestServer_callsAgainAtOnceAfterAnEmptyList(t *testing.T) {
	s, base := newServer(t, Options{Backoff: func(int) time.Duration { return time.Hour }})
	script := []reply{ops(stepRun("a", "1"))}
	for range 20 {
		script = append(script, ops())
	}
	d := newDouble(t, map[string][]reply{"js-app-f": append(script, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 1, ""))
	if run := runOf(t, s, send(t, s, "t/f", map[string]any{})); run.Status != Completed || len(run.Calls) != 22 {
		t.Errorf("run is %s after %d calls", run.Status, len(run.Calls))
	}
}
