package devserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// endpoint serves a durable endpoint: re-entries get the reply of that number,
// from 0, or the one of the step that they name.
func endpoint(t *testing.T, ofStep map[string]reply, replies ...reply) (string, chan call) {
	t.Helper()
	calls := make(chan call, 9)
	var n atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- call{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)}
		if out, ok := ofStep[r.Header.Get(inngest.HeaderStepID)]; ok {
			out.write(w)
			return
		}
		if i := int(n.Add(1)) - 1; i < len(replies) {
			replies[i].write(w)
		}
	}))
	t.Cleanup(app.Close)
	return app.URL, calls
}

// newRun posts the recorded new run, for an endpoint of ours.
func newRun(t *testing.T, base, domain string, change func(body string) string) (int, http.Header, string) {
	t.Helper()
	r := record(t, "126").Request
	body := change(strings.ReplaceAll(r.body(t), "http://127.0.0.1:3103", domain))
	r.Body = &body
	return r.ask(t, base)
}

func asItIs(body string) string { return body }

func TestDurable_goesFromTheFirstRequestToTheResultAsRecorded(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	domain, calls := endpoint(t, nil, recordedReply(t, "128"), recordedReply(t, "131"))

	status, h, body := newRun(t, base, domain, asItIs)
	if diff := answerDiffers(t, record(t, "126").Response, status, h, body); diff != "" {
		t.Fatal(diff)
	}
	var answer struct{ Data struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	const id = "01M879ZPK6ZRZF0359KV6N4DT9"
	for _, number := range []string{"129", "130"} {
		r := record(t, number)
		status, h, body := r.Request.ask(t, base)
		want := strings.ReplaceAll(r.Response.body(t), "http://127.0.0.1:3103", domain)
		if number == "130" { // recorded later, with more steps
			want = `{"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8":{"data":{"q":"11"}}}` + "\n"
		}
		r.Response.Body = &want
		if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
			t.Errorf("recording %s: %s", number, diff)
		}
	}
	r := record(t, "127")
	status, h, body = r.Request.ask(t, base)
	if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
		t.Errorf("recording 127: %s", diff)
	}
	clock.Advance(time.Second)
	for _, number := range []string{"128", "131"} {
		got, want := next(t, calls), record(t, number).Request
		if got.method != want.Method || got.target != want.Target || got.body != "" {
			t.Errorf("re-entry %s %s with %q, want %s %s", got.method, got.target, got.body, want.Method, want.Target)
		}
		verify(t, got)
		compareHeaders(t, got.header, want)
	}
	run, err := s.WaitRun(soon(t), id)
	if err != nil || run.Status != Completed {
		t.Fatalf("run is %s, %v", run.Status, err)
	}
	r = record(t, "133")
	r.Request.Target = "/v1/http/runs/" + id + "/output?token=" + answer.Data.Token
	status, h, body = r.Request.ask(t, base)
	if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
		t.Errorf("recording 133: %s", diff)
	}
	r = record(t, "134")
	status, h, body = r.Request.ask(t, base)
	if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
		t.Errorf("recording 134: %s", diff)
	}
}

func TestDurable_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		status int
	}{
		"a text for the client's body": {func(b string) string { return strings.Replace(b, `"body":""`, `"body":"plain text"`, 1) }, 400},
		"a run id that is none":        {func(b string) string { return strings.Replace(b, "01M879ZPK6ZRZF0359KV6N4DT9", "x", 1) }, 400},
		"a domain without a scheme":    {func(b string) string { return strings.Replace(b, `"domain":"http://`, `"domain":"`, 1) }, 400},
		"nothing: a body in base64":    {func(b string) string { return strings.Replace(b, `"body":""`, `"body":"eHl6"`, 1) }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			_, base := newServer(t, Options{})
			status, _, body := newRun(t, base, "http://127.0.0.1:1", c.change)
			if status != c.status {
				t.Errorf("answer = %d %s, want %d", status, body, c.status)
			}
			if status == 200 {
				if status, _, body := newRun(t, base, "http://127.0.0.1:1", c.change); status != 409 || !strings.Contains(body, "Run already exists") {
					t.Errorf("the same run again = %d %s", status, body)
				}
			}
		})
	}
}

func TestDurable_isReenteredWithTheClientsBodyAndPlans(t *testing.T) {
	s, base := newServer(t, Options{})
	domain, calls := endpoint(t, map[string]reply{
		inngest.HashStepID("p1", 0): ops(stepRun("p1", "1")), inngest.HashStepID("p2", 0): ops(stepRun("p2", "2")),
	}, ops(`{"op":"RunComplete","id":"x","data":{"status":201,"headers":{"x-mine":"1"},"body":"made"}}`))
	_, _, body := newRun(t, base, domain, func(b string) string {
		b = strings.Replace(b, `"method":"GET"`, `"method":"POST"`, 1)
		b = strings.Replace(b, `"content_type":""`, `"content_type":"text/x-own"`, 1)
		return strings.Replace(b, `"body":""`, `"body":"eHl6"`, 1)
	})
	steps := fmt.Sprintf(`{"run_id":"01M879ZPK6ZRZF0359KV6N4DT9","steps":[%s,%s]}`, op("StepPlanned", "p1", ""), op("StepPlanned", "p2", ""))
	if status, _, answer := do(t, authorised(t, "POST", base+"/v1/checkpoint/01M879ZPK6ZRZF0359KV6N4DT9/steps", steps)); status != 200 {
		t.Fatal(answer)
	}
	planned := map[string]bool{}
	for range 2 {
		c := next(t, calls)
		planned[c.header.Get(inngest.HeaderStepID)] = true
		if c.method != "POST" || c.body != "xyz" || c.header.Get("Content-Type") != "text/x-own" || c.header.Get(inngest.HeaderForceStepPlan) != "true" {
			t.Errorf("re-entry = %+v", c)
		}
		verify(t, c)
	}
	if diff := cmp.Diff(map[string]bool{inngest.HashStepID("p1", 0): true, inngest.HashStepID("p2", 0): true}, planned); diff != "" {
		t.Errorf("planned steps:\n%s", diff)
	}
	if c := next(t, calls); c.header.Get(inngest.HeaderForceStepPlan) != "" || c.header.Get(inngest.HeaderStepID) != "" {
		t.Errorf("last re-entry = %+v", c)
	}
	var answer struct{ Data struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	ended(t, s, "POST /work", 1)
	for _, prefix := range []string{"/v1/checkpoint/", "/v1/http/runs/"} {
		req, err := http.NewRequest("GET", base+prefix+"any/output?token="+answer.Data.Token, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, h, text := do(t, req); status != 201 || h.Get("X-Mine") != "1" || text != "made" {
			t.Errorf("%s: output = %d %v %q", prefix, status, h, text)
		}
	}
}

func TestDurable_outputSaysThatTheRunGoesOn(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	_, _, body := newRun(t, base, "http://127.0.0.1:1", asItIs)
	var answer struct{ Data struct{ Token string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(base + "/v1/http/runs/any/output?token=" + answer.Data.Token)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		got <- string(text)
	}()
	// Only once the request waits can its time run out.
	err := s.wait(soon(t), func() bool { _, waits := s.queue.next(); return waits })
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Minute)
	if text := next(t, got); !strings.Contains(text, `"status":"running"`) {
		t.Errorf("output = %s", text)
	}
}
