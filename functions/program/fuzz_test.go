package program_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Whatever a manifest holds is compiled or refused in words, and what is
// compiled runs to an end of its own.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.wrong.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var entries []any
		if err := yaml.Unmarshal(text, &entries); err != nil {
			f.Fatal(err)
		}
		for _, one := range entries {
			if source, err := json.Marshal([]any{one}); err == nil {
				f.Add(string(source))
			}
		}
	}
	f.Add(`[{"forEach":"event.data.list","parallel":2,"do":[{"id":"a-${item}","as":"a","post":"http://b/${item}","body":{"x":"${item}"}}]},{"return":"${steps.a}"}]`)
	f.Add(`[{"try":[{"parallel":[{"id":"s","sleep":"1s"},[{"fail":{"name":"a","message":"b","data":[1]}}]]}],"catch":[{"set":{"a":"${error.message}"}}]}]`)
	f.Add(`[{"switch":"event.data.n","cases":[{"is":[1,"2"],"then":[{"return":null}]}],"else":[{"id":"w","waitForEvent":{"event":"e","timeout":"1h","if":"async.ts > ${event.data.n}"}}]}]`)
	language, err := program.NewLanguage()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var source any
		if json.Unmarshal([]byte(text), &source) != nil {
			return
		}
		p, problems := language.Compile(source, program.Scope{Path: "steps", App: "app"})
		for _, problem := range problems {
			if !strings.HasPrefix(problem.Path, "steps") || problem.Got == "" || problem.Want == "" {
				t.Errorf("a problem without place or words: %+v", problem)
			}
		}
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("Compile = %v, %v", p, problems)
		}
		if p != nil {
			runFor(t, p, 30)
		}
	})
}

func runFor(t *testing.T, p *program.Program, most int) {
	o := (&backend{}).options()
	o.Limits = program.Limits{Steps: 20, Moves: 200, Bytes: 1 << 16}
	d, err := p.Driver(o)
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(`{"name":"x","ts":1,"data":{"list":[1,2,3],"n":2}}`)
	for range most {
		out := d.Advance(t.Context(), r)
		if len(out.Steps) == 0 {
			if (out.Failure == nil) != (out.Data != nil) || out.Failure == nil && !json.Valid(out.Data) {
				t.Errorf("outcome %+v", out)
			}
			return
		}
		for _, s := range out.Steps {
			if r.Memo[s.ID].Done {
				t.Fatalf("%s is wanted again", s.Name)
			}
			memo := run.Memoised{Done: true, Data: json.RawMessage("null")}
			if s.Op == inngest.OpStepRun {
				result := d.Execute(t.Context(), r, &s, nil)
				memo.Data, memo.Error = result.Data, result.Failure
			}
			r.Memo[s.ID] = memo
		}
	}
	t.Errorf("the run does not end")
}
