package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/functions/spec"
)

// keys are what a reader of the examples would have in the environment.
var keys = []string{
	"INNGEST_SIGNING_KEY=signkey-prod-1234567890abcdef1234567890abcdef", "INNGEST_EVENT_KEY=abcdef1234567890", "WELCOME_TOKEN=x",
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// load reads a configuration that is a text.
func load(t *testing.T, yaml string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Sources{File: file, Env: keys}); err != nil {
		t.Errorf("the gateway refuses it: %v\n%s", err, yaml)
	}
}

func TestWorkflows_areGoodConfigurations(t *testing.T) {
	files, err := filepath.Glob("*/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("examples = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) { load(t, text(t, file)) })
	}
}

// What the guides show is taken by the gateway.
func TestGuides_showWhatWorks(t *testing.T) {
	const frame = "functions:\n  - id: f\n    triggers: [{event: e}]\n"
	for _, guide := range []string{"functions.md", "conversation.md"} {
		n := 0
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text(t, "../docs/"+guide), -1) {
			n++
			if block := m[1]; strings.HasPrefix(block, "functions:") {
				load(t, block)
			} else {
				load(t, frame+"    "+strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n    ")+"\n")
			}
		}
		if n == 0 {
			t.Errorf("docs/%s shows no configuration", guide)
		}
	}
	m := regexp.MustCompile("(?s)```json\n(\\{\"functions\".*?)```").FindStringSubmatch(text(t, "../docs/functions.md"))
	if m == nil {
		t.Fatal("docs/functions.md shows no manifest")
	}
	if _, problems := (spec.Reader{App: "functions"}).ReadManifest([]byte(m[1]), "http://backend:8080"); problems != nil {
		t.Errorf("the manifest in docs/functions.md: %v", problems)
	}
}

func TestGuides_showTheExampleAsItIs(t *testing.T) {
	if !strings.Contains(text(t, "../docs/conversation.md"), "```python\n"+text(t, "conversation/order.py")+"```") {
		t.Error("docs/conversation.md shows another examples/conversation/order.py")
	}
}

// A backend without an SDK is worth it only while it is small.
func TestConversations_areShort(t *testing.T) {
	for _, file := range []string{"order.py", "order.mjs", "go/main.go", "order.sh"} {
		n := 0
		for line := range strings.Lines(text(t, "conversation/"+file)) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "#") {
				n++
			}
		}
		if n >= 40 {
			t.Errorf("conversation/%s has %d lines", file, n)
		}
	}
}
