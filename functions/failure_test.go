package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// call is the body of a first call.
const firstCall = `{"ctx":{"run_id":"01M85TYKKTB03K0XR5KXBPFMT7","attempt":0,"max_attempts":3},"event":{"name":"t/x"},"events":[{"name":"t/x"}],"steps":{}}`

func TestHost_endsRequestsThatTakeTooLong(t *testing.T) {
	done := make(chan struct{})
	b := newBackend(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	t.Cleanup(func() { close(done) })
	b.Timeout = 20 * time.Millisecond
	e, err := functions.NewEndpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	a := post(t, newHost(t, nil, function("slow", e, false, 2)), "?fnId=shop-slow&stepId=step", firstCall)
	if a.Status != http.StatusInternalServerError || string(a.Get(inngest.HeaderGatewayError)) != string(inngest.CodeFunctionTimeout) {
		t.Errorf("answer = %d %q: %s", a.Status, a.Get(inngest.HeaderGatewayError), a.Body)
	}
}

// A backend that is down costs attempts, and the waits between them are those
// that the gateway is told.
func TestHost_waitsForBackendThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	k := tenSteps()
	c := newConversation(t, functions.Backend{
		App: "shop", Callee: newUpstream(t, metrics.New(prometheus.NewRegistry()), "http://"+address), Target: "/", Timeout: time.Second, Now: time.Now,
	})
	w := newWorld(t, setup{host: func(o *functions.Options) {
		o.RetryAfter = func(attempt, of int) time.Duration { return time.Duration(100*attempt+of) * time.Second }
	}}, function("down", c, true, 3))
	event := w.send("t/down", m{})
	if err := w.dev.WaitFor(soon(t), func(_ []devserver.App, runs []devserver.Run) bool {
		return len(runs) == 1 && len(runs[0].Calls) == 1
	}); err != nil {
		t.Fatal(err)
	}
	first := w.front.posts()[0]
	if got := first.header.Get(inngest.HeaderRetryAfter); got != "4" || first.header.Get(inngest.HeaderGatewayError) != string(inngest.CodeFunctionWebhook) {
		t.Errorf("first answer has Retry-After %q and code %q: %s", got, first.header.Get(inngest.HeaderGatewayError), first.answer)
	}
	if strings.Contains(first.answer, address) {
		t.Errorf("the answer names the backend: %s", first.answer)
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skip("the port was taken meanwhile")
	}
	server := &http.Server{Handler: k}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	r := w.wait(event)
	completed(t, r, `{"sum":55}`)
	eachOnce(t, k, r.ID)
}

// A backend that loses connections in the middle of a run: each step has one
// attempt that succeeds.
func TestHost_survivesBackendThatDiesMidRun(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := tenSteps()
		var n atomic.Int32
		b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i := n.Add(1); i == 7 || i == 12 || i == 13 {
				panic(http.ErrAbortHandler)
			}
			k.ServeHTTP(w, r)
		}))
		w := newWorld(t, setup{}, function("ten", newConversation(t, b), checkpoint, 3))
		r := w.start("t/ten", m{})
		completed(t, r, `{"sum":55}`)
		for i := range 10 {
			if ran, _ := k.times(r.ID, fmt.Sprintf("s%d", i)); ran != 1 {
				t.Errorf("step s%d ran %d times, want once", i, ran)
			}
		}
	})
}

func TestHost_survivesPanicsOfDrivers(t *testing.T) {
	for name, d := range map[string]driver{
		"that say what is next": {advance: func(*run.Run) run.Outcome { panic("oh") }},
		"that run a step": {
			advance: func(*run.Run) run.Outcome { return steps("a") },
			execute: func(*run.Run, *run.Step, json.RawMessage) run.Result { panic("oh") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := post(t, newHost(t, nil, function("x", d, true, 2)), "?fnId=shop-x&stepId=step", firstCall)
			if string(a.Get(inngest.HeaderGatewayError)) != string(inngest.CodeFunctionRuntime) || strings.Contains(string(a.Body), "oh") {
				t.Errorf("answer = %d %q: %s", a.Status, a.Get(inngest.HeaderGatewayError), a.Body)
			}
		})
	}
}

func TestHost_refusesWhatDriversMustNotAskFor(t *testing.T) {
	big := json.RawMessage(`"` + strings.Repeat("x", 4<<20) + `"`)
	for name, c := range map[string]struct {
		outcome run.Outcome
		result  run.Result
		want    string
	}{
		"an unknown opcode":          {run.Outcome{Steps: []run.Step{{ID: "1", Name: "a", Op: "Step"}}}, run.Result{}, "which a function cannot ask for"},
		"the same id twice":          {steps("a", "a"), run.Result{}, "two steps with the id"},
		"too many steps":             {run.Outcome{Steps: make([]run.Step, 1001)}, run.Result{}, "1001 steps at once"},
		"options of no JSON":         {run.Outcome{Steps: []run.Step{{ID: "1", Op: inngest.OpStepRun, Opts: func() {}}}}, run.Result{}, "cannot be written as JSON"},
		"a result too large":         {run.Outcome{Data: big}, run.Result{}, "the limit is 4194304"},
		"a result of no JSON":        {run.Outcome{Data: json.RawMessage(`{`)}, run.Result{}, "is no JSON"},
		"a step's result too large":  {steps("a"), run.Result{Data: big}, "the limit is 4194304"},
		"a step's result of no JSON": {steps("a"), run.Result{Data: json.RawMessage(`{`)}, "is no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			d := driver{
				advance: func(*run.Run) run.Outcome { return c.outcome },
				execute: func(*run.Run, *run.Step, json.RawMessage) run.Result { return c.result },
			}
			a := post(t, newHost(t, nil, function("x", d, true, 2)), "?fnId=shop-x&stepId=step", firstCall)
			if !strings.Contains(string(a.Body), c.want) || string(a.Get(inngest.HeaderGatewayError)) != string(inngest.CodeFunctionInvalid) {
				t.Errorf("answer = %d %q: %.300s", a.Status, a.Get(inngest.HeaderGatewayError), a.Body)
			}
		})
	}
}

// A targeted step that the function lacks is an error that is tried again: the
// function may have been changed back.
func TestHost_failsTargetedStepThatIsNotThere(t *testing.T) {
	d := driver{advance: func(*run.Run) run.Outcome { return steps("a") }}
	a := post(t, newHost(t, nil, function("x", d, true, 2)), "?fnId=shop-x&stepId="+inngest.HashStepID("b", 0), firstCall)
	if a.Status != http.StatusInternalServerError || string(a.Get(inngest.HeaderNoRetry)) != "false" {
		t.Errorf("answer = %d, no-retry %q", a.Status, a.Get(inngest.HeaderNoRetry))
	}
}

// A call that the end of the gateway cuts is nobody's failure.
func TestHost_givesNoAnswerWhenCut(t *testing.T) {
	ctx, cut := context.WithCancel(context.Background())
	d := driver{
		advance: func(*run.Run) run.Outcome { return steps("a") },
		execute: func(*run.Run, *run.Step, json.RawMessage) run.Result {
			cut()
			return run.Result{Failure: &run.Failure{Name: "Error", Message: "cut"}}
		},
	}
	h := newHost(t, nil, function("x", d, true, 2))
	c := callOf("?fnId=shop-x&stepId=step", firstCall)
	if a, err := h.Do(ctx, c); err == nil {
		t.Errorf("answer = %d %s, want an error", a.Status, a.Body)
	}
	if s := h.Status().Functions[0]; s.Failures != 0 {
		t.Errorf("%d failures of the function", s.Failures)
	}
}

func TestHost_runsThousandRunsAtOnce(t *testing.T) {
	const runs = 1000
	k := &talker{
		next: func(q *question) any {
			_, one := q.Steps["one"]
			_, a := q.Steps["a"]
			_, b := q.Steps["b"]
			switch {
			case !one:
				return m{"steps": []m{{"id": "one", "run": 1}}}
			case !a || !b:
				return m{"steps": []m{{"id": "a", "run": 1}, {"id": "b", "run": 1}}}
			}
			return m{"return": "done"}
		},
		run: func(*question) (int, any) { return http.StatusOK, 1 },
	}
	f := function("many", k.conversation(t), true, 3)
	f.Config.Concurrency = &inngest.Concurrency{Limits: []inngest.ConcurrencyLimit{{Limit: 50}}}
	w := newWorld(t, setup{}, f)
	events := make([]string, runs)
	for i := range events {
		events[i] = w.send("t/many", m{"n": i})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	for _, event := range events {
		list, err := w.dev.WaitRunsOf(ctx, event)
		if err != nil || len(list) != 1 {
			t.Fatalf("runs of event %s: %v %+v", event, err, list)
		}
		completed(t, list[0], `"done"`)
		for _, id := range []string{"one", "a", "b"} {
			if ran, tried := k.times(list[0].ID, id); ran != 1 || tried != 1 {
				t.Errorf("step %s of run %s ran %d times in %d attempts", id, list[0].ID, ran, tried)
			}
		}
	}
}

func TestBackend_refusesWhatCannotBeSent(t *testing.T) {
	good := newBackend(t, http.NotFoundHandler())
	for name, spoil := range map[string]func(*functions.Backend){
		"no callee":          func(b *functions.Backend) { b.Callee = nil },
		"no app":             func(b *functions.Backend) { b.App = "" },
		"a URL as target":    func(b *functions.Backend) { b.Target = "http://x/" },
		"a target of lines":  func(b *functions.Backend) { b.Target = "/a\r\nX: y" },
		"no time":            func(b *functions.Backend) { b.Timeout = 0 },
		"no clock":           func(b *functions.Backend) { b.Now = nil },
		"a header of lines":  func(b *functions.Backend) { b.Header = []functions.Header{{Name: "A", Value: "b\r\nC: d"}} },
		"a name with spaces": func(b *functions.Backend) { b.Header = []functions.Header{{Name: "A B", Value: "b"}} },
		"the gateway's own":  func(b *functions.Backend) { b.Header = []functions.Header{{Name: "content-length", Value: "1"}} },
	} {
		t.Run(name, func(t *testing.T) {
			b := good
			spoil(&b)
			if _, err := functions.NewEndpoint(b); err == nil {
				t.Error("NewEndpoint took it")
			}
		})
	}
}
