package functions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A gateway that has just started knows no step's id: it learns them by asking.
func TestConversation_learnsIDsAfterRestart(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := tenSteps()
		next := k.next
		k.next = func(q *question) any {
			_, slept := q.Steps["nap"]
			if _, ok := q.Steps["s4"]; ok && !slept {
				return m{"steps": []m{{"id": "nap", "sleep": "1h"}}}
			}
			return next(q)
		}
		b := newBackend(t, k)
		w := newWorld(t, setup{}, function("ten", newConversation(t, b), checkpoint, 3))
		event := w.send("t/ten", m{})
		if err := w.dev.WaitFor(soon(t), func(_ []devserver.App, runs []devserver.Run) bool {
			return len(runs) == 1 && len(runs[0].Calls) > 0 && runs[0].Calls[len(runs[0].Calls)-1].Op == "Sleep"
		}); err != nil {
			t.Fatal(err)
		}
		before := k.questions()
		w.front.swap(w.newHost(setup{}, function("ten", newConversation(t, b), checkpoint, 3)))
		r := w.wait(event)
		completed(t, r, `{"sum":55}`)
		eachOnce(t, k, r.ID)
		// Six questions teach the six ids, then there is one for each step that
		// is left and one for the result.
		if got := k.questions() - before; got != 6+5+1 {
			t.Errorf("%d questions after the restart, want 12", got)
		}
	})
}

func TestConversation_refusesWhatCannotBeDone(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"no object":              {`[1]`, "is no JSON object"},
		"nothing":                {`{}`, "it has none"},
		"both":                   {`{"return":1,"steps":[]}`, "it has return, steps"},
		"a member too many":      {`{"return":1,"x":2}`, "it has return, 1 others"},
		"no steps":               {`{"steps":[]}`, "has no steps"},
		"no id":                  {`{"steps":[{"run":1}]}`, "must have an id"},
		"an id that is too long": {`{"steps":[{"id":"` + strings.Repeat("i", 201) + `","run":1}]}`, "must have an id"},
		"the same id twice":      {`{"steps":[{"id":"a","run":1},{"id":"a","run":2}]}`, `two steps with the id "a"`},
		"no kind":                {`{"steps":[{"id":"a"}]}`, "it has 0 of run, sleep"},
		"two kinds":              {`{"steps":[{"id":"a","run":1,"sleep":"1s"}]}`, "it has 2 of run, sleep"},
		"a kind that is unknown": {`{"steps":[{"id":"a","slep":"1s"}]}`, `unknown field "slep"`},
		"a sleep without unit":   {`{"steps":[{"id":"a","sleep":"5"}]}`, `step "a" cannot be done`},
		"a sleep of a number":    {`{"steps":[{"id":"a","sleep":5}]}`, "a length of time is a text"},
		"a sleep of two years":   {`{"steps":[{"id":"a","sleep":"104w"}]}`, "longer than 366 days"},
		"a time without zone":    {`{"steps":[{"id":"a","sleepUntil":"2027-01-01 10:00"}]}`, "must be a time as"},
		"a wait without timeout": {`{"steps":[{"id":"a","waitForEvent":{"event":"x"}}]}`, "has no timeout"},
		"a wait for nothing":     {`{"steps":[{"id":"a","waitForEvent":{"timeout":"1h"}}]}`, "has no event"},
		"an odd conflict":        {`{"steps":[{"id":"a","waitForSignal":{"signal":"s","timeout":"1h","onConflict":"win"}}]}`, "must be fail or replace"},
		"an invoke of nobody":    {`{"steps":[{"id":"a","invoke":{"data":{}}}]}`, "has no function"},
		"an invoke with a list":  {`{"steps":[{"id":"a","invoke":{"function":"f","data":[1]}}]}`, "data must be an object"},
		"an event without name":  {`{"steps":[{"id":"a","sendEvent":{"data":{}}}]}`, "event 1 has no name"},
		"a list of no events":    {`{"steps":[{"id":"a","sendEvent":[]}]}`, "no event to send"},
		"a fetch of a path":      {`{"steps":[{"id":"a","fetch":{"url":"/x"}}]}`, "url must begin with"},
		"a model without format": {`{"steps":[{"id":"a","ai":{"url":"https://x","body":{}}}]}`, "has no format"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }))
			w := newWorld(t, setup{}, function("odd", newConversation(t, b), true, 0))
			r := w.start("t/odd", m{})
			if r.Status != devserver.Failed || !strings.Contains(strings.ReplaceAll(string(r.Error), `\"`, `"`), c.want) {
				t.Errorf("run ended as %s: %s, want %s", r.Status, r.Error, c.want)
			}
		})
	}
}

func TestConversation_endsRunThatGoesInCircles(t *testing.T) {
	k := &talker{
		next: func(*question) any { return m{"steps": []m{{"id": "again", "run": 1}}} },
		run:  func(*question) (int, any) { return http.StatusOK, 1 },
	}
	both(t, func(t *testing.T, checkpoint bool) {
		w := newWorld(t, setup{}, function("loop", k.conversation(t), checkpoint, 0))
		r := w.start("t/loop", m{})
		if r.Status != devserver.Failed || !strings.Contains(string(r.Error), "asks for steps that have ended, again") {
			t.Errorf("run ended as %s: %s", r.Status, r.Error)
		}
		if ran, _ := k.times(r.ID, "again"); ran != 1 {
			t.Errorf("the step ran %d times", ran)
		}
	})
}

// Steps that have ended may be listed beside new ones.
func TestConversation_passesOverStepsThatHaveEnded(t *testing.T) {
	k := &talker{
		next: func(q *question) any {
			if len(q.Steps) == 3 {
				return m{"return": len(q.Steps)}
			}
			list := []m{{"id": "a", "run": 1}}
			if _, ok := q.Steps["a"]; ok {
				list = append(list, m{"id": "b", "run": 1}, m{"id": "c", "run": 1})
			}
			return m{"steps": list}
		},
		run: func(q *question) (int, any) { return http.StatusOK, q.Run },
	}
	both(t, func(t *testing.T, checkpoint bool) {
		w := newWorld(t, setup{}, function("all", k.conversation(t), checkpoint, 0))
		r := w.start("t/all", m{})
		completed(t, r, `3`)
		for _, id := range []string{"a", "b", "c"} {
			if ran, tried := k.times(r.ID, id); ran != 1 || tried != 1 {
				t.Errorf("step %s ran %d times in %d attempts", id, ran, tried)
			}
		}
	})
}

func TestConversation_tellsBackendWhatItIsFor(t *testing.T) {
	k := &talker{next: inOrder(func(*question) any { return nil }, m{"id": "pay, ü", "run": m{"n": 1}})}
	var h http.Header
	k.run = func(q *question) (int, any) {
		h = k.header
		return http.StatusOK, string(q.Input)
	}
	b := newBackend(t, k)
	b.Header = []functions.Header{{Name: "Authorization", Value: "Bearer x"}}
	b.Sign = func(body []byte) []byte { return fmt.Appendf(nil, "t=1&s=%d", len(body)) }
	w := newWorld(t, setup{}, function("told", newConversation(t, b), false, 0))
	r := w.start("t/told", m{})
	completed(t, r, `null`)
	wantJSON(t, "step", r.Steps[inngest.HashStepID("pay, ü", 0)], `{"data":"{\"n\":1}"}`)
	if got := k.header.Get("Idempotency-Key"); got != "" {
		t.Errorf("Idempotency-Key of a question = %q, want none", got)
	}
	for name, want := range map[string]string{
		"Idempotency-Key": r.ID + "/pay,%20%C3%BC", "Authorization": "Bearer x", "Content-Type": "application/json", "User-Agent": "inngest-gateway",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(h.Get(inngest.HeaderSignature), "t=1&s=") || h.Get(inngest.HeaderTraceparent) == "" {
		t.Errorf("signature %q, traceparent %q", h.Get(inngest.HeaderSignature), h.Get(inngest.HeaderTraceparent))
	}
}

func TestConversation_sendsEventsWithIDs(t *testing.T) {
	k := &talker{next: inOrder(func(q *question) any { return q.Steps["tell"].Data },
		m{"id": "tell", "sendEvent": []m{{"name": "a"}, {"name": "b", "id": "mine"}}})}
	w := newWorld(t, setup{}, function("events", k.conversation(t), true, 0))
	r := w.start("t/events", m{})
	completed(t, r, fmt.Sprintf(`{"ids":[%q,"mine"]}`, r.ID+"-"+inngest.HashStepID("tell", 0)+"-0"))
}

// What the server does for a step must look as the official SDK's steps do.
func TestConversation_asksServerAsSDKDoes(t *testing.T) {
	for name, c := range map[string]struct{ step, want string }{
		"sleep": {`"sleep":"1s"`, `{"op":"Sleep","name":"1s"}`},
		"wait": {`"waitForEvent":{"event":"t/approve","timeout":"2s","if":"a == b"}`,
			`{"op":"WaitForEvent","name":"t/approve","opts":{"event":"t/approve","timeout":"2s","if":"a == b"}}`},
		"signal": {`"waitForSignal":{"signal":"sig","timeout":"30s"}`,
			`{"op":"WaitForSignal","name":"sig","opts":{"signal":"sig","timeout":"30s","conflict":"fail"}}`},
		"invoke": {`"invoke":{"function":"js-app-simple","data":{"n":9}}`,
			`{"op":"InvokeFunction","opts":{"function_id":"js-app-simple","payload":{"data":{"n":9}}}}`},
		"fetch": {`"fetch":{"url":"http://127.0.0.1:1/hello","method":"POST","headers":{"x-mine":"yes"},"body":{"a":1}}`,
			`{"op":"Gateway","opts":{"url":"http://127.0.0.1:1/hello","method":"POST","headers":{"x-mine":"yes"},"body":"{\"a\":1}"}}`},
		"model": {`"ai":{"url":"http://127.0.0.1:1/v1","authKey":"k","format":"openai-chat","body":{"model":"m"}}`,
			`{"op":"AIGateway","opts":{"type":"step.ai.infer","url":"http://127.0.0.1:1/v1","auth_key":"k","format":"openai-chat","body":{"model":"m"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"steps":[{"id":"a",%s}]}`, c.step)
			}))
			h := newHost(t, nil, function("one", newConversation(t, b), true, 3))
			a := post(t, h, "?fnId=shop-one&stepId=step", record(t, "05").Request.Body)
			var ops []map[string]json.RawMessage
			if err := json.Unmarshal(a.Body, &ops); err != nil || a.Status != http.StatusPartialContent || len(ops) != 1 {
				t.Fatalf("answer = %d %s", a.Status, a.Body)
			}
			wantJSON(t, "id", ops[0]["id"], `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`)
			wantJSON(t, "userland", ops[0]["userland"], `{"id":"a"}`)
			for _, name := range []string{"id", "userland", "displayName"} {
				delete(ops[0], name)
			}
			rest, err := json.Marshal(ops[0])
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, "op", rest, c.want)
		})
	}
}
