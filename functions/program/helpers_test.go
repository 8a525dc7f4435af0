package program_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	var source any
	if err := yaml.Unmarshal([]byte(text), &source); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return source
}

func compile(t testing.TB, text string) *program.Program {
	t.Helper()
	p, problems := program.Compile(decode(t, text), program.Scope{Path: "steps", App: "app"})
	if len(problems) > 0 {
		t.Fatalf("Compile found\n%v\nin\n%s", problems, text)
	}
	return p
}

// A backend answers calls as a test says, and keeps them.
type backend struct {
	mu     sync.Mutex
	calls  []call.Call
	answer func(origin string, c *call.Call) (*call.Answer, error)
	sent   []string
}

func answer(status int, body string, fields ...string) *call.Answer {
	a := &call.Answer{Status: status, Body: []byte(body)}
	for n := 0; n+1 < len(fields); n += 2 {
		a.Fields = append(a.Fields, call.Field{Name: []byte(fields[n]), Value: []byte(fields[n+1])})
	}
	return a
}

func (b *backend) options() program.Options {
	return program.Options{
		Call: func(_ context.Context, origin string, c *call.Call) (*call.Answer, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.calls = append(b.calls, *c)
			if b.answer == nil {
				return answer(200, `{"target":"`+string(c.Target)+`"}`), nil
			}
			return b.answer(origin, c)
		},
		Send: func(_ context.Context, events json.RawMessage) (json.RawMessage, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.sent = append(b.sent, string(events))
			return json.RawMessage(`["e1"]`), nil
		},
		Timeout: time.Second,
		Limits:  program.Limits{Steps: 1000, Moves: 10_000, Bytes: 1 << 20},
		Now:     time.Now,
	}
}

func driver(t testing.TB, text string, b *backend) *program.Driver {
	t.Helper()
	d, err := compile(t, text).Driver(b.options())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newRun(event string) *run.Run {
	return &run.Run{
		Function: "app-fn", ID: "R1", MaxAttempts: 4, Memo: run.Memo{},
		Event: json.RawMessage(event), Events: json.RawMessage("[" + event + "]"),
	}
}

// finish runs a function to its end, one step at a time, the first that waits
// first. Steps of the server get what server says for their name, else null.
func finish(t testing.TB, d *program.Driver, r *run.Run, server map[string]string) run.Outcome {
	t.Helper()
	for range 2000 {
		out := d.Advance(t.Context(), r)
		if len(out.Steps) == 0 {
			return out
		}
		s := out.Steps[0]
		switch given, ok := server[s.Name]; {
		case ok && strings.HasPrefix(given, "error:"):
			r.Memo[s.ID] = run.Memoised{Done: true, Error: &run.Failure{Name: "Error", Message: given[6:]}}
		case ok:
			r.Memo[s.ID] = run.Memoised{Done: true, Data: json.RawMessage(given)}
		case s.Op != inngest.OpStepRun:
			r.Memo[s.ID] = run.Memoised{Done: true, Data: json.RawMessage("null")}
		default:
			result := d.Execute(t.Context(), r, &s, nil)
			r.Memo[s.ID] = run.Memoised{Done: true, Data: result.Data, Error: result.Failure}
		}
	}
	t.Fatal("the function does not end")
	return run.Outcome{}
}

// told writes an outcome in one line.
func told(out run.Outcome) string {
	switch {
	case len(out.Steps) > 0:
		var all []string
		for _, s := range out.Steps {
			all = append(all, fmt.Sprintf("%s %s", s.Op, s.Name))
		}
		return "wants " + strings.Join(all, ", ")
	case out.Failure != nil:
		return fmt.Sprintf("fails with %s: %s", out.Failure.Name, out.Failure.Message)
	}
	return string(out.Data)
}

func contains(text, part string) bool { return strings.Contains(text, part) }
