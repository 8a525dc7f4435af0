package run_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// answered makes a backend's answer; header is name, value, name, value.
func answered(status int, body string, header ...string) *call.Answer {
	a := &call.Answer{Status: status, Body: []byte(body)}
	for i := 0; i < len(header); i += 2 {
		a.Set(header[i], header[i+1])
	}
	return a
}

func TestJudge_readsAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer *call.Answer
		want   run.Result
	}{
		"JSON":                     {answered(200, ` {"a": "<é>"} `), run.Result{Data: json.RawMessage(`{"a": "<é>"}`)}},
		"JSON that says it is not": {answered(201, `7`, "Content-Type", "text/plain"), run.Result{Data: json.RawMessage(`7`)}},
		"a text":                   {answered(200, "hi <you>\n", "Content-Type", "text/plain"), run.Result{Data: json.RawMessage(`"hi <you>\n"`)}},
		"nothing":                  {answered(204, ""), run.Result{Data: json.RawMessage(`null`)}},
		"a seconds' wait": {answered(429, "", "Retry-After", "7"),
			run.Result{Failure: &run.Failure{Name: "HTTP 429", Message: "The backend answered 429 Too Many Requests.", RetryAfter: 7 * time.Second}}},
		"a wait until a date": {answered(503, "down", "Retry-After", now.Add(time.Minute).Format(http.TimeFormat)),
			run.Result{Failure: &run.Failure{Name: "HTTP 503", Message: "down", RetryAfter: time.Minute}}},
		"a wait until an ISO date": {answered(503, "down", "Retry-After", "2026-11-24T12:02:00Z"),
			run.Result{Failure: &run.Failure{Name: "HTTP 503", Message: "down", RetryAfter: 2 * time.Minute}}},
		"a wait of no time": {answered(503, "down", "Retry-After", "0"), run.Result{Failure: &run.Failure{Name: "HTTP 503", Message: "down"}}},
		"a wait of years": {answered(503, "down", "Retry-After", "99999999999"),
			run.Result{Failure: &run.Failure{Name: "HTTP 503", Message: "down", RetryAfter: inngest.MaxRetryAfter}}},
		"a wait for what is over": {answered(400, "bad", "Retry-After", "7"),
			run.Result{Failure: &run.Failure{Name: "HTTP 400", Message: "bad", NoRetry: true}}},
		"an error in JSON": {answered(500, `{"name":"E","message":"m","stack":"s","data":{"a":1},"other":2}`),
			run.Result{Failure: &run.Failure{Name: "E", Message: "m", Stack: "s", Data: json.RawMessage(`{"a":1}`)}}},
		"an error of other types": {answered(500, `{"name":1,"message":["m"],"error":"e"}`),
			run.Result{Failure: &run.Failure{Name: "HTTP 500", Message: "e"}}},
		"a long error": {answered(500, `{"message":"`+strings.Repeat("é", 10_000)+`"}`),
			run.Result{Failure: &run.Failure{Name: "HTTP 500", Message: strings.Repeat("é", 8<<10)}}},
		"a long text": {answered(500, "x"+strings.Repeat("é", 2000)),
			run.Result{Failure: &run.Failure{Name: "HTTP 500", Message: "x" + strings.Repeat("é", 1023)}}},
		"a coding": {answered(200, "x", "Content-Encoding", "zstd"),
			run.Result{Failure: run.Invalid("The backend answered in a content coding that was not asked for: %q.", "zstd")}},
		"bytes": {answered(200, "\xff\xfe"), run.Result{Failure: run.Invalid("The backend's answer is neither JSON nor a text in UTF-8.")}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, run.Judge(c.answer, now)); diff != "" {
				t.Errorf("Judge (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnreached_namesCauseAndNoAddress(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code inngest.Code
		want string
	}{
		"refused":  {&pool.Error{Code: inngest.CodeUpstreamRefused, Endpoint: "http://10.0.0.1"}, inngest.CodeFunctionWebhook, "(upstream_refused); nothing reached it."},
		"reset":    {&pool.Error{Code: inngest.CodeUpstreamReset, Sent: true, Endpoint: "http://10.0.0.1"}, inngest.CodeFunctionWebhook, "it may have done what it was asked."},
		"too slow": {&pool.Error{Code: inngest.CodeUpstreamTimeout, Sent: true, Endpoint: "http://10.0.0.1"}, inngest.CodeFunctionTimeout, "(upstream_timeout)"},
		"no time":  {pool.ErrTimeout, inngest.CodeFunctionTimeout, "in the time that the function gives it."},
		"draining": {&pool.Error{Code: inngest.CodeDraining, Endpoint: "http://10.0.0.1"}, inngest.CodeFunctionWebhook, "went away (draining); nothing reached it."},
		"other":    {http.ErrServerClosed, inngest.CodeFunctionWebhook, "could not be called."},
	} {
		t.Run(name, func(t *testing.T) {
			f := run.Unreached(c.err)
			if f.Code != c.code || !strings.HasSuffix(f.Message, c.want) && !strings.Contains(f.Message, c.want) || strings.Contains(f.Message, "10.0.0.1") || f.NoRetry || (f.RetryAfter > 0) != (name == "draining") {
				t.Errorf("Unreached = %+v, want %s, …%s", f, c.code, c.want)
			}
		})
	}
}

func TestIdentifyEvents(t *testing.T) {
	for name, c := range map[string]struct{ events, want, err string }{
		"one":              {`{"name":"a","data":{"n":9007199254740993}}`, `[{"data":{"n":9007199254740993},"id":"R-S-0","name":"a"}]`, ""},
		"a list":           {`[{"name":"a"},{"name":"b","id":"mine"},{"name":"c","id":""}]`, `[{"id":"R-S-0","name":"a"},{"id":"mine","name":"b"},{"id":"R-S-2","name":"c"}]`, ""},
		"an id of no text": {`[{"name":"a","id":7}]`, `[{"id":7,"name":"a"}]`, ""},
		"none":             {`[]`, "", "no event to send"},
		"null":             {`[null]`, "", "event 1 is no object"},
		"a text":           {`"a"`, "", "neither an event nor a list"},
		"no name":          {`[{"name":"a"},{"name":""}]`, "", "event 2 has no name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run.IdentifyEvents(json.RawMessage(c.events), "R", "S")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("IdentifyEvents = %s, %v, want error %s", got, err, c.err)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Errorf("IdentifyEvents = %s, %v, want %s", got, err, c.want)
			}
		})
	}
}
