package program

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/steps.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGuide_namesEveryKey(t *testing.T) {
	text := guide(t)
	manual, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for kind, f := range forms() {
		for _, key := range append([]string{kind}, f.keys...) {
			if !strings.Contains(text, "`"+key+"`") {
				t.Errorf("docs/steps.md does not name %s of %s", key, kind)
			}
			if !regexp.MustCompile(`\b` + key + `\b`).Match(manual) {
				t.Errorf("doc.go does not name %s of %s", key, kind)
			}
		}
	}
}

func TestGuide_showsProgramsThatCompile(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(guide(t), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d programs", len(blocks))
	}
	for _, b := range blocks {
		var source any
		if err := yaml.Unmarshal([]byte(b[1]), &source); err != nil {
			t.Fatalf("%v in\n%s", err, b[1])
		}
		if m, ok := source.(map[string]any); ok {
			source = m["steps"]
		}
		if _, problems := Compile(source, Scope{Path: "steps", App: "app"}); len(problems) > 0 {
			t.Errorf("%v\nin\n%s", problems, b[1])
		}
	}
}
