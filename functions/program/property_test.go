package program_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A run that is interrupted after each step, its state written and read again,
// its parallel steps done in any order and some attempts failing, ends as the
// same statements do when Go executes them at once. Each call to a backend that
// succeeds is made exactly once.
func TestProgram_endsAlikeHoweverItIsInterrupted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &generator{t: t, left: 12}
		nodes := append(g.block(&known{}, 3), &returnNode{value: expression{"7", func(*env) (int, bool) { return 7, true }}})
		source := sources(nodes)
		m := &machine{calls: map[string]int{}}
		want := toldEnding(execAll(nodes, m, &env{steps: map[string]any{}, vars: map[string]int{}, locals: map[string]int{}}))

		p, problems := program.Compile(source, program.Scope{Path: "steps", App: "app"})
		if len(problems) > 0 {
			t.Fatalf("Compile found\n%v\nin\n%s", problems, pretty(source))
		}
		w := &world{done: map[string]int{}, seen: map[string]int{}}
		got := w.finish(t, p)
		if got != want {
			t.Fatalf("the run %s, want %s, of\n%s", got, want, pretty(source))
		}
		if diff := cmp.Diff(m.calls, w.done); diff != "" {
			t.Fatalf("calls that succeeded, or failed for good (-want +got):\n%s\nof\n%s", diff, pretty(source))
		}
	})
}

// A world is backend, server and storage of a run.
type world struct {
	done map[string]int // target and body of calls that came to an end
	seen map[string]int // by idempotency key: attempts
}

func (w *world) answer(_ string, c *call.Call) (*call.Answer, error) {
	_, key, _ := strings.Cut(string(c.Head), "Idempotency-Key: ")
	key, _, _ = strings.Cut(key, "\r\n")
	w.seen[key]++
	if len(key)%2 == int(key[len(key)-1])%2 && w.seen[key] == 1 {
		return answer(503, "once more"), nil
	}
	w.done[string(c.Target)+string(c.Body)]++
	n, fails := backendSays(string(c.Target), string(c.Body))
	if fails {
		return answer(400, `{"name":"Odd"}`), nil
	}
	return answer(200, fmt.Sprintf(`{"n":%d.0}`, n)), nil
}

func (w *world) finish(t *rapid.T, p *program.Program) string {
	r := newRun(`{"data":{}}`)
	for range 1000 {
		d, err := p.Driver((&backend{answer: w.answer}).options())
		if err != nil {
			t.Fatal(err)
		}
		out := d.Advance(t.Context(), r)
		if len(out.Steps) == 0 {
			return toldShort(out)
		}
		s := out.Steps[rapid.IntRange(0, len(out.Steps)-1).Draw(t, "next")]
		if r.Memo[s.ID].Done {
			t.Fatalf("the step %s is wanted again", s.Name)
		}
		w.do(t, d, r, &s)
		if rapid.Bool().Draw(t, "another process") {
			r.Memo, r.Own = throughJSON(t, r.Memo), nil
		}
	}
	t.Fatal("the run does not end")
	return ""
}

func (w *world) do(t *rapid.T, d *program.Driver, r *run.Run, s *run.Step) {
	if s.Op == inngest.OpWaitForEvent {
		data := json.RawMessage("null")
		if serverSays(s.Name) {
			data = json.RawMessage(`{"name":"e","data":{}}`)
		}
		r.Memo[s.ID] = run.Memoised{Done: true, Data: data}
		return
	}
	result := d.Execute(t.Context(), r, s, nil)
	switch {
	case result.Failure == nil:
		r.Memo[s.ID] = run.Memoised{Done: true, Data: result.Data}
	case result.Failure.NoRetry:
		r.Memo[s.ID] = run.Memoised{Done: true, Error: result.Failure}
	}
}

func throughJSON(t *rapid.T, memo run.Memo) run.Memo {
	text, err := json.Marshal(memo)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := jcs.Transform(text) // as Inngest sends it: 5.0 is 5
	if err != nil {
		t.Fatal(err)
	}
	var out run.Memo
	if err := json.Unmarshal(canonical, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func toldShort(out run.Outcome) string {
	if out.Failure != nil {
		return "fails with " + out.Failure.Name
	}
	return string(out.Data)
}
