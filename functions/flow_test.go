package functions_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// both runs a test with and without checkpoints.
func both(t *testing.T, test func(t *testing.T, checkpoint bool)) {
	for name, checkpoint := range map[string]bool{"with checkpoints": true, "without": false} {
		t.Run(name, func(t *testing.T) { test(t, checkpoint) })
	}
}

func completed(t testing.TB, r devserver.Run, output string) {
	t.Helper()
	if r.Status != devserver.Completed {
		t.Fatalf("run ended as %s: %s; %+v", r.Status, r.Error, r.Calls)
	}
	wantJSON(t, "output", r.Output, output)
}

func TestHost_plansParallelStepsAndRunsEachOnce(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := &talker{
			next: func(q *question) any {
				if _, ok := q.Steps["first"]; !ok {
					return m{"steps": []m{{"id": "first", "run": 0}}}
				}
				var steps []m
				for _, id := range []string{"a", "b", "c"} {
					if _, ok := q.Steps[id]; !ok {
						steps = append(steps, m{"id": id, "run": id})
					}
				}
				if _, ok := q.Steps["nap"]; !ok {
					steps = append(steps, m{"id": "nap", "sleep": "10m"})
				}
				if steps != nil {
					return m{"steps": steps}
				}
				if _, ok := q.Steps["last"]; !ok {
					return m{"steps": []m{{"id": "last", "run": 0}}}
				}
				return m{"return": string(q.Steps["a"].Data) + string(q.Steps["b"].Data) + string(q.Steps["c"].Data) + string(q.Steps["nap"].Data)}
			},
			run: func(q *question) (int, any) { return http.StatusOK, q.Run },
		}
		w := newWorld(t, setup{}, function("fan", k.conversation(t), checkpoint, 3))
		r := w.start("t/fan", m{})
		completed(t, r, `"\"a\"\"b\"\"c\"null"`)
		for _, id := range []string{"first", "a", "b", "c", "last"} {
			if ran, tried := k.times(r.ID, id); ran != 1 || tried != 1 {
				t.Errorf("step %s ran %d times in %d attempts, want once", id, ran, tried)
			}
		}
		planned := 0
		for _, p := range w.front.posts() {
			planned += strings.Count(p.answer, `"StepPlanned"`)
		}
		if planned != 3 {
			t.Errorf("%d steps were planned, want 3", planned)
		}
	})
}

func TestHost_retriesStepAndLetsFunctionCatchItsError(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := &talker{
			next: func(q *question) any {
				if _, ok := q.Steps["before"]; !ok {
					return m{"steps": []m{{"id": "before", "run": nil}}}
				}
				s, ok := q.Steps["pay"]
				switch {
				case !ok:
					return m{"steps": []m{{"id": "pay", "run": nil}}}
				case s.Error == nil:
					return m{"return": "paid"}
				}
				return m{"return": m{"caught": s.Error.Name + ": " + s.Error.Message}}
			},
			run: func(q *question) (int, any) {
				if q.Run == "before" {
					return http.StatusOK, nil
				}
				return http.StatusBadGateway, m{"name": "CardError", "message": fmt.Sprintf("attempt %d of %d", q.Ctx.Attempt, q.Ctx.MaxAttempts)}
			},
		}
		w := newWorld(t, setup{}, function("pay", k.conversation(t), checkpoint, 2))
		r := w.start("t/pay", m{})
		completed(t, r, `{"caught":"CardError: attempt 2 of 3"}`)
		if ran, tried := k.times(r.ID, "pay"); ran != 0 || tried != 3 {
			t.Errorf("the step was tried %d times, want 3", tried)
		}
		if ran, tried := k.times(r.ID, "before"); ran != 1 || tried != 1 {
			t.Errorf("the step before ran %d times in %d attempts, want once", ran, tried)
		}
		var last exchange
		for _, p := range w.front.posts() {
			if strings.Contains(p.answer, `"StepFailed"`) {
				last = p
			}
		}
		if got := last.header.Get(inngest.HeaderGatewayError); got != string(inngest.CodeFunctionRetriesExhausted) {
			t.Errorf("%s of the last attempt = %q", inngest.HeaderGatewayError, got)
		}
		if got := last.header.Get(inngest.HeaderNoRetry); got != "true" {
			t.Errorf("%s of the last attempt = %q, want true", inngest.HeaderNoRetry, got)
		}
	})
}

func TestHost_doesNotRetryStepThatMustNotBe(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := &talker{
			next: func(q *question) any {
				if s, ok := q.Steps["pay"]; ok {
					return m{"return": s.Error.Name}
				}
				return m{"steps": []m{{"id": "pay", "run": nil}}}
			},
			run: func(*question) (int, any) { return http.StatusPaymentRequired, m{"title": "NoMoney"} },
		}
		w := newWorld(t, setup{}, function("pay", k.conversation(t), checkpoint, 5))
		r := w.start("t/pay", m{})
		completed(t, r, `"NoMoney"`)
		if _, tried := k.times(r.ID, "pay"); tried != 1 {
			t.Errorf("the step was tried %d times, want once", tried)
		}
	})
}

// A step that succeeds on a later attempt is handed back alone: the next one
// must begin with all its attempts.
func TestHost_givesEachStepAllItsAttempts(t *testing.T) {
	var one, two atomic.Int32
	k := &talker{
		next: inOrder(func(*question) any { return "done" }, m{"id": "one", "run": nil}, m{"id": "two", "run": nil}),
		run: func(q *question) (int, any) {
			n := &one
			if q.Run == "two" {
				n = &two
			}
			if n.Add(1) <= 2 {
				return http.StatusServiceUnavailable, nil
			}
			return http.StatusOK, nil
		},
	}
	w := newWorld(t, setup{}, function("shaky", k.conversation(t), true, 2))
	completed(t, w.start("t/shaky", m{}), `"done"`)
}

func TestHost_failsFunctionByTheTable(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		header   map[string]string
		body     string
		attempts int
		want     string
		message  string
	}{
		"400 with problem+json":   {400, nil, `{"title":"BadOrder","detail":"no items"}`, 1, "BadOrder", "no items"},
		"404 with a text":         {404, nil, "no such thing", 1, "HTTP 404", "no such thing"},
		"429":                     {429, nil, `{"error":"slow down"}`, 3, "HTTP 429", "slow down"},
		"500 without a body":      {500, nil, "", 3, "HTTP 500", "The backend answered 500 Internal Server Error."},
		"500 that forbids retry":  {500, map[string]string{"X-Inngest-No-Retry": "true"}, `{"message":"over"}`, 1, "HTTP 500", "over"},
		"409 that allows a retry": {409, map[string]string{"X-Inngest-No-Retry": "false"}, "", 3, "HTTP 409", "The backend answered 409 Conflict."},
		"302":                     {302, map[string]string{"Location": "/other"}, "", 1, "HTTP 302", "The backend redirects; the gateway follows no redirects. The URL in the configuration must be the final one."},
		"JSON that is none":       {200, map[string]string{"Content-Type": "application/json"}, `{"a":`, 3, "InvalidFunction", "The backend's answer says that it is JSON, and is not."},
	} {
		t.Run(name, func(t *testing.T) {
			var hits atomic.Int32
			e, err := functions.NewEndpoint(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				hits.Add(1)
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, setup{}, function("bad", e, false, 2))
			r := w.start("t/bad", m{})
			if r.Status != devserver.Failed || int(hits.Load()) != c.attempts {
				t.Errorf("run ended as %s after %d attempts, want failed after %d", r.Status, hits.Load(), c.attempts)
			}
			if text := string(r.Error); !strings.Contains(text, `"`+c.want+`"`) || !strings.Contains(text, c.message) {
				t.Errorf("error = %s, want %s: %s", text, c.want, c.message)
			}
		})
	}
}

func TestHost_passesRetryAfterOn(t *testing.T) {
	var hits atomic.Int32
	e, err := functions.NewEndpoint(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if hits.Add(1) == 1 {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, setup{}, function("later", e, false, 2))
	completed(t, w.start("t/later", m{}), `null`)
	if got := w.front.posts()[0].header.Get("Retry-After"); got != "3" {
		t.Errorf("Retry-After = %q, want 3", got)
	}
}

func TestHost_hasTheServerDoItsSteps(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := &talker{
			next: inOrder(func(q *question) any {
				return m{
					"sleep": q.Steps["nap"].Data, "until": q.Steps["until"].Data, "event": q.Steps["approved"].Data,
					"none": q.Steps["never"].Data, "invoked": q.Steps["call"].Data, "failed": q.Steps["call bad"].Error.Message,
				}
			},
				m{"id": "nap", "sleep": "10m"},
				m{"id": "until", "sleepUntil": "2020-01-01T00:00:00Z"},
				m{"id": "approve", "sendEvent": m{"name": "t/approved", "data": m{"id": 7}}},
				m{"id": "never", "waitForEvent": m{"event": "t/never", "timeout": "5m"}},
				m{"id": "approved", "waitForEvent": m{"event": "t/hello", "timeout": "1d", "if": "async.data.id == event.data.id"}},
				m{"id": "call", "invoke": m{"function": "shop-other", "data": m{"n": 1}, "timeout": "1h"}},
				m{"id": "call bad", "invoke": m{"function": "shop-bad"}},
			),
			run: func(*question) (int, any) { return http.StatusOK, nil },
		}
		other, err := functions.NewEndpoint(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"other"`) })))
		if err != nil {
			t.Fatal(err)
		}
		bad, err := functions.NewEndpoint(newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 400) })))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, setup{}, function("long", k.conversation(t), checkpoint, 1), function("other", other, checkpoint, 0), function("bad", bad, checkpoint, 0))
		event := w.send("t/long", m{"id": 7})
		stop := w.jump()
		err = w.dev.WaitFor(soon(t), func(_ []devserver.App, runs []devserver.Run) bool {
			return slices.ContainsFunc(runs, func(r devserver.Run) bool {
				return slices.ContainsFunc(r.Calls, func(c devserver.Call) bool { return c.Step == "approved" })
			})
		})
		stop()
		if err != nil {
			t.Fatal(err)
		}
		w.send("t/hello", m{"id": 8})
		w.send("t/hello", m{"id": 7})
		r := w.wait(event)
		if r.Status != devserver.Completed {
			t.Fatalf("run ended as %s: %s; %+v", r.Status, r.Error, r.Calls)
		}
		for _, part := range []string{`"sleep":null`, `"until":null`, `"none":null`, `"name":"t/hello"`, `"invoked":"other"`, `"failed":"broken"`} {
			if !strings.Contains(string(r.Output), part) {
				t.Errorf("output %s lacks %s", r.Output, part)
			}
		}
	})
}
