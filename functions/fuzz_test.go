package functions

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// Whatever a backend answers: the steps made of it can be sent, each with an
// opcode that the server knows, and no id twice.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"return":{"a":[1,null]}}`, `{"steps":[{"id":"a","run":null},{"id":"b","sleep":"1h"}]}`,
		`{"steps":[{"id":"a","sleepUntil":"2027-01-01T00:00:00Z"},{"id":"w","waitForEvent":{"event":"x","timeout":"1d","if":"true"}}]}`,
		`{"steps":[{"id":"s","waitForSignal":{"signal":"x","timeout":"1d"}},{"id":"i","invoke":{"function":"a-b","data":{}}}]}`,
		`{"steps":[{"id":"e","sendEvent":[{"name":"x"}]},{"id":"f","fetch":{"url":"http://x","body":"<>"}}]}`,
		`{"steps":[{"id":"m","ai":{"url":"http://x","format":"y","body":{}}}]}`, `{"steps":[{"id":"a"}]}`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, failure := parseReply(body)
		if failure != nil || r.Steps == nil {
			return
		}
		seen := map[string]bool{}
		for i := range r.Steps {
			w := &r.Steps[i]
			s, err := w.step(inngest.HashStepID(w.ID, 0))
			if err != nil {
				continue
			}
			if seen[s.ID] {
				t.Errorf("two steps have the id %q", w.ID)
			}
			seen[s.ID] = true
			op := opOf(&s)
			text, err := encode(op)
			if err != nil || !json.Valid(text) {
				t.Errorf("step %q cannot be sent: %v", w.ID, err)
			}
			if kindOf(op.Op) == kindOther {
				t.Errorf("step %q has the opcode %q", w.ID, op.Op)
			}
		}
	})
}

// echo returns what it is told of the run.
type echo struct{}

func (echo) Advance(_ context.Context, r *run.Run) run.Outcome {
	if len(r.Memo) == 0 {
		return run.Outcome{Steps: []run.Step{{ID: inngest.HashStepID("a", 0), Name: "a", Op: inngest.OpStepRun}}}
	}
	return run.Outcome{Data: r.Event}
}

func (echo) Execute(_ context.Context, r *run.Run, _ *run.Step, input json.RawMessage) run.Result {
	return run.Result{Data: input}
}

func newEchoHost(t testing.TB) *Host {
	t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	memory, err := budget.New(budget.Options{Max: 64 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Options{
		App: "js-app", Version: "1", APITimeout: time.Second, APIAttempts: 1, Yield: time.Second, MaxAnswer: 8 << 20,
		Functions: []Function{{Config: inngest.Function{ID: "js-app-f"}, Driver: echo{}}},
		MaxState:  1 << 20, Budget: memory,
		Metrics: m.Functions, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Whatever is called: the answer is an SDK's, its body is JSON, and its status is
// one that the server knows.
func FuzzCall(f *testing.F) {
	names, err := filepath.Glob("testdata/*-to-app-post-*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var r struct{ Request struct{ Target, Body string } }
		if err := json.Unmarshal(text, &r); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte("?fnId=js-app-f&stepId=step"), []byte(r.Request.Body))
	}
	f.Add([]byte("?probe=trust"), []byte("{}"))
	f.Add([]byte("?fnId=js-app-f&stepId=step"), []byte(`{"ctx":{"run_id":"1"},"steps":{"a":{"error":"x"},"b":null,"c":{"input":[]}}}`))
	h := newEchoHost(f)
	f.Fuzz(func(t *testing.T, query, body []byte) {
		a, err := h.Do(context.Background(), &call.Call{
			App: "js-app", Method: http.MethodPost, Target: append([]byte("/api/inngest"), query...), Body: body,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		switch a.Status {
		case 200, 206, 400, 500:
		default:
			t.Errorf("status = %d", a.Status)
		}
		if !a.FromSDK() || !json.Valid(a.Body) {
			t.Errorf("answer %d %q", a.Status, a.Body)
		}
	})
}

func BenchmarkHost_call(b *testing.B) {
	h := newEchoHost(b)
	text, err := os.ReadFile("testdata/12-plain-to-app-post-parallel-200.json")
	if err != nil {
		b.Fatal(err)
	}
	var r struct{ Request struct{ Body string } }
	if err := json.Unmarshal(text, &r); err != nil {
		b.Fatal(err)
	}
	target, body := []byte("/api/inngest?fnId=js-app-f&stepId=step"), []byte(r.Request.Body)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		a, err := h.Do(context.Background(), &call.Call{App: "js-app", Method: http.MethodPost, Target: target, Body: body})
		if err != nil || a.Status != http.StatusOK {
			b.Fatal(a, err)
		}
		a.Release()
	}
}
