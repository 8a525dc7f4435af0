package program_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// only advances a run whose program has one step and returns that.
func only(t *testing.T, d *program.Driver, r *run.Run) run.Step {
	t.Helper()
	out := d.Advance(t.Context(), r)
	if len(out.Steps) != 1 {
		t.Fatalf("%s, want one step", told(out))
	}
	return out.Steps[0]
}

func TestExecute_sendsTheRequest(t *testing.T) {
	const event = `{"data":{"id":"a/b ?","n":2,"list":[1,2],"none":null,"text":"hi"}}`
	for name, c := range map[string]struct {
		step string
		want string // method, target, header lines that are the step's own, body
	}{
		"get": {`get: "http://b:8080/o/${event.data.id}?q=${event.data.id}"`,
			"GET /o/a%2Fb%20%3F?q=a%2Fb%20%3F\nAccept: application/json\n\n"},
		"query": {`get: "http://b/o?a=1", query: {l: "${event.data.list}", n: "${event.data.none}", t: "x y"}`,
			"GET /o?a=1&l=1&l=2&t=x%20y\nAccept: application/json\n\n"},
		"post": {`post: "http://b/", body: {id: "${event.data.id}", list: "${event.data.list}"}`,
			"POST /\nAccept: application/json\nContent-Type: application/json\n\n" + `{"id":"a/b ?","list":[1,2]}`},
		"no path":     {`delete: "http://b"`, "DELETE /\nAccept: application/json\n\n"},
		"a text":      {`put: "http://b/", body: "${event.data.text}!"`, "PUT /\nAccept: application/json\nContent-Type: text/plain; charset=utf-8\n\nhi!"},
		"a JSON text": {`patch: "http://b/", headers: {content-type: application/json, accept: "*/*"}, body: "${event.data.text}"`, "PATCH /\nAccept: */*\nContent-Type: application/json\n\n\"hi\""},
		"headers":     {`post: "http://b/", headers: {x-n: "${event.data.n}", authorization: "Bearer env:NOT"}`, "POST /\nAccept: application/json\nAuthorization: Bearer env:NOT\nX-N: 2\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{}
			r := newRun(event)
			r.Traceparent = "00-1-2-01"
			d := driver(t, `[{id: s, `+c.step+`}]`, b)
			s := only(t, d, r)
			if result := d.Execute(t.Context(), r, &s, nil); result.Failure != nil {
				t.Fatal(result.Failure)
			}
			head := string(b.calls[0].Head)
			for _, line := range []string{"Idempotency-Key: R1/" + hash("s") + "\r\n", "User-Agent: inngest-gateway\r\n", "traceparent: 00-1-2-01\r\n"} {
				if !strings.Contains(head, line) {
					t.Errorf("head %q lacks %q", head, line)
				}
				head = strings.Replace(head, line, "", 1)
			}
			got := b.calls[0].Method + " " + string(b.calls[0].Target) + "\n" + strings.ReplaceAll(head, "\r\n", "\n") + "\n" + string(b.calls[0].Body)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExecute_signsTheBody(t *testing.T) {
	b := &backend{}
	o := b.options()
	o.Sign = func(body []byte) []byte { return append([]byte("signed:"), body...) }
	d, err := compile(t, `[{id: s, post: "http://b/", body: [1]}]`).Driver(o)
	if err != nil {
		t.Fatal(err)
	}
	s := only(t, d, newRun(`{}`))
	d.Execute(t.Context(), newRun(`{}`), &s, nil)
	if got := string(b.calls[0].Signature); got != "signed:[1]" {
		t.Errorf("signature %q", got)
	}
}

func TestExecute_judgesTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		step   string
		answer *call.Answer
		want   run.Result
	}{
		"JSON":              {``, answer(200, ` {"a": 1} `), run.Result{Data: json.RawMessage(`{"a": 1}`)}},
		"a text":            {``, answer(201, `hi`), run.Result{Data: json.RawMessage(`"hi"`)}},
		"nothing":           {``, answer(204, ``), run.Result{Data: json.RawMessage(`null`)}},
		"the response":      {`, output: response`, answer(200, `1`, "X-A", "b", "x-a", "c"), run.Result{Data: json.RawMessage(`{"status":200,"headers":{"x-a":"b"},"body":1}`)}},
		"an expected 404":   {`, expect: [2xx, 404]`, answer(404, `{"gone":true}`), run.Result{Data: json.RawMessage(`{"gone":true}`)}},
		"a 404 as response": {`, expect: 4xx, output: response`, answer(404, ``), run.Result{Data: json.RawMessage(`{"status":404,"headers":{},"body":null}`)}},
		"an unexpected 202": {`, expect: 200`, answer(202, ``), run.Result{Failure: &run.Failure{Name: "HTTP 202", Message: "The backend answered 202 Accepted, which the step does not expect."}}},
		"a 400":             {``, answer(400, `{"name":"Bad","message":"no"}`), run.Result{Failure: &run.Failure{Name: "Bad", Message: "no", NoRetry: true}}},
		"a 500":             {``, answer(500, `oops`, "Retry-After", "7"), run.Result{Failure: &run.Failure{Name: "HTTP 500", Message: "oops", RetryAfter: 7 * time.Second}}},
		"a 429":             {``, answer(429, ``), run.Result{Failure: &run.Failure{Name: "HTTP 429", Message: "The backend answered 429 Too Many Requests."}}},
		"no retries left":   {`, retries: 0`, answer(503, `busy`), run.Result{Failure: &run.Failure{Name: "HTTP 503", Message: "busy", NoRetry: true}}},
		"a long answer":     {``, answer(200, `"`+strings.Repeat("x", 1<<20)+`"`), run.Result{Failure: &run.Failure{Name: "InvalidFunction", Message: "The step's result has 1048578 bytes, the limit is 1048576.", NoRetry: true, Code: inngest.CodeFunctionInvalid}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{answer: func(string, *call.Call) (*call.Answer, error) { return c.answer, nil }}
			d := driver(t, `[{id: s, post: "http://b/"`+c.step+`}]`, b)
			s := only(t, d, newRun(`{}`))
			if diff := cmp.Diff(c.want, d.Execute(t.Context(), newRun(`{}`), &s, nil)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExecute_tellsThatABackendWasNotReached(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code inngest.Code
	}{
		"refused": {&pool.Error{Code: inngest.CodeUpstreamRefused}, inngest.CodeFunctionWebhook},
		"silent":  {&pool.Error{Code: inngest.CodeUpstreamTimeout, Err: pool.ErrTimeout}, inngest.CodeFunctionTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{}
			o := b.options()
			o.Call = func(_ context.Context, _ string, made *call.Call) (*call.Answer, error) {
				if made.Timeout != time.Millisecond || !made.Waits {
					t.Errorf("the call has %v, and waits: %v", made.Timeout, made.Waits)
				}
				return nil, c.err
			}
			d, err := compile(t, `[{id: s, get: "http://b/", timeout: 1ms}]`).Driver(o)
			if err != nil {
				t.Fatal(err)
			}
			s := only(t, d, newRun(`{}`))
			f := d.Execute(t.Context(), newRun(`{}`), &s, nil).Failure
			if f == nil || f.Code != c.code || f.NoRetry {
				t.Errorf("failure %+v, want %s, to be retried", f, c.code)
			}
		})
	}
}

func TestExecute_takesTheInputOfARerun(t *testing.T) {
	b := &backend{}
	d := driver(t, `[{parallel: [{id: s, post: "http://b/", body: {a: 1}}, {id: e, sendEvent: {name: x}}]}]`, b)
	r := newRun(`{}`)
	steps := d.Advance(t.Context(), r).Steps
	opts, err := json.Marshal(steps[0].Opts)
	if err != nil || string(opts) != `{"input":[{"a":1}]}` {
		t.Errorf("opts of the step are %s, %v", opts, err)
	}
	d.Execute(t.Context(), r, &steps[0], json.RawMessage(`[{"a":2}]`))
	d.Execute(t.Context(), r, &steps[0], json.RawMessage(`"text"`))
	d.Execute(t.Context(), r, &steps[0], nil)
	var bodies []string
	for _, c := range b.calls {
		bodies = append(bodies, string(c.Body))
	}
	if diff := cmp.Diff([]string{`{"a":2}`, `text`, `{"a":1}`}, bodies); diff != "" {
		t.Error(diff)
	}
	d.Execute(t.Context(), r, &steps[1], json.RawMessage(`[{"name":"y","id":"1"}]`))
	if diff := cmp.Diff([]string{`[{"id":"1","name":"y"}]`}, b.sent); diff != "" {
		t.Error(diff)
	}
}

func TestExecute_sendsEventsThatCountOnce(t *testing.T) {
	b := &backend{}
	d := driver(t, `[{id: s, sendEvent: [{name: a, data: {x: "${event.data.n}"}}, {name: b, id: own}]}, {return: "${steps.s.ids}"}]`, b)
	r := newRun(`{"data":{"n":1}}`)
	out := finish(t, d, r, nil)
	want := `[{"data":{"x":1},"id":"R1-` + hash("s") + `-0","name":"a"},{"id":"own","name":"b"}]`
	if diff := cmp.Diff([]string{want}, b.sent); diff != "" || told(out) != `["e1"]` {
		t.Errorf("%s\n%s", told(out), diff)
	}
	for _, text := range []string{`"${event.data.n}"`, `"${[]}"`, `["${event.data}"]`} {
		out := driver(t, `[{id: s, sendEvent: `+text+`}]`, b).Advance(t.Context(), newRun(`{"data":{"n":1}}`))
		if out.Failure == nil {
			t.Errorf("%s: %s, want a failure", text, told(out))
		}
	}
}

func TestAdvance_refusesValuesThatLeadElsewhere(t *testing.T) {
	for value, want := range map[string]string{
		`".."`:        `a part of the path ".."`,
		`""`:          `a part of the path ""`,
		`null`:        `is null, and stands in a URL`,
		`{"a":1}`:     `is an object, and stands in a URL`,
		`"a\r\nX: y"`: `X-Id has a control character`,
	} {
		out := driver(t, `[{id: s, get: "http://b/o/${event.data.v}/x", headers: {x-id: "${event.data.v}"}}]`, &backend{}).
			Advance(t.Context(), newRun(`{"data":{"v":`+value+`}}`))
		if out.Failure == nil || !contains(out.Failure.Message, want) {
			t.Errorf("%s: %s, want %q", value, told(out), want)
		}
	}
}
