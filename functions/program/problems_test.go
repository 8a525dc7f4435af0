package program_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/functions/program"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// Each testdata/*.wrong.yaml is compiled and its problems compared with the
// golden file of the same name.
func TestCompile_tellsAllProblemsAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/*.wrong.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no wrong programs: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, problems := program.Compile(decode(t, string(text)), program.Scope{Path: "functions[0].steps", Secret: func(ref string) (string, string) {
				return "", "a variable that is set"
			}})
			if p != nil {
				t.Error("a program with problems was compiled")
			}
			got := problems.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompile_namesItsBackends(t *testing.T) {
	p := compile(t, `
- {id: a, get: "HTTP://Orders:8080/x"}
- {id: b, post: "https://pay/"}
- {id: c, post: "http://orders:8080?y=${event.data.y}"}
- {id: d, fetch: {url: "https://elsewhere/"}}
`)
	if got, want := p.Origins(), []string{"http://orders:8080", "https://pay"}; !slices.Equal(got, want) {
		t.Errorf("Origins = %v, want %v", got, want)
	}
}

func TestCompile_putsSecretsWhereTheyAreNamed(t *testing.T) {
	p, problems := program.Compile(decode(t, `[{parallel: [
		{id: a, get: "http://b/", headers: {authorization: "env:TOKEN", x-no: "is env:TOKEN"}},
		{id: b, ai: {format: anthropic, key: "env:TOKEN", body: {}}}]}]`), program.Scope{Path: "steps", Secret: func(ref string) (string, string) {
		return "s${x}" + ref, ""
	}})
	if problems != nil {
		t.Fatal(problems)
	}
	b := &backend{}
	d, err := p.Driver(b.options())
	if err != nil {
		t.Fatal(err)
	}
	steps := d.Advance(t.Context(), newRun(`{}`)).Steps
	d.Execute(t.Context(), newRun(`{}`), &steps[0], nil)
	if head := string(b.calls[0].Head); !contains(head, "Authorization: s${x}env:TOKEN\r\n") || !contains(head, "X-No: is env:TOKEN\r\n") {
		t.Errorf("head %q", head)
	}
}
