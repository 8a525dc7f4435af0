package rules

import (
	"slices"
	"strings"
	"testing"
)

// table is the order of the packages: each may import those below it only. A
// package inside a listed folder has the folder's place. docs/architecture.md
// says what each is for, docs/decisions/0001-layout.md why it is there.
var table = []string{
	"cmd/gateway",
	"gateway",
	"gateway/inbound",
	"gateway/outbound",
	"gateway/admin",
	"gateway/apps",
	"gateway/admission",
	"devserver",
	"config",
	"functions",
	"functions/spec",
	"functions/program",
	"functions/expr",
	"functions/run",
	"events",
	"events/deliver",
	"events/intake",
	"events/schema",
	"events/spool",
	"pool",
	"breaker",
	"budget",
	"call",
	"metrics",
	"logs",
	"spelling",
	"statefile",
	"signature",
	"inngest",
}

// place returns the row of the table that a folder belongs to, -1 if none.
func place(dir string) int {
	for ; dir != "."; dir = parent(dir) {
		if i := slices.Index(table, dir); i >= 0 {
			return i
		}
	}
	return -1
}

func parent(dir string) string {
	i := strings.LastIndexByte(dir, '/')
	if i < 0 {
		return "."
	}
	return dir[:i]
}

// outside tells whether a folder holds no part of the product: tests, benchmarks
// and examples may import any package and are imported by tests only.
func outside(dir string) bool {
	first, _, _ := strings.Cut(dir, "/")
	return slices.Contains([]string{"test", "bench", "examples"}, first)
}

func TestImports_goDownTheTable(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || !f.own || outside(f.dir) {
			continue
		}
		from := place(f.dir)
		if from < 0 {
			t.Errorf("%s: folder %s has no place in the table of packages (test/rules, docs/architecture.md)", f.path, f.dir)
			continue
		}
		for _, path := range f.imports() {
			dir, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			to := place(dir)
			switch {
			case outside(dir):
				t.Errorf("%s imports %s, which is there for tests", f.path, dir)
			case to < 0:
				t.Errorf("%s imports %s, which has no place in the table of packages", f.path, dir)
			case to < from:
				t.Errorf("%s: %s must not import %s, which stands above it in the table", f.path, f.dir, dir)
			}
		}
	}
}

// A package with a framework in its hands knows it; the others must not, so that
// the whole pipeline runs in tests without sockets.
func TestImports_keepFrameworksAndConfigurationAtTheEdges(t *testing.T) {
	users := map[string][]string{ // nobody: tests only
		"github.com/valyala/fasthttp":  {"gateway/inbound", "gateway/outbound", "gateway/admin"}, // fiber hands out its types
		"github.com/gofiber/fiber":     {"gateway/outbound", "gateway/admin"},
		"github.com/spf13/cobra":       {"cmd/gateway"},
		"github.com/knadh/koanf":       {"config"},
		"github.com/sony/gobreaker":    {"breaker"},
		module + "/config":             {"config", "gateway", "cmd/gateway"},
		"github.com/google/go-cmp":     {},
		"github.com/rogpeppe":          {},
		"github.com/cyberphone":        {},
		"github.com/HdrHistogram":      {},
		"github.com/inngest/inngestgo": {},
		"github.com/inngest/inngest":   {},
		"go.uber.org/goleak":           {},
		"pgregory.net/rapid":           {},
		"net/http/httptest":            {},
		"testing":                      {},
		// Other names of modules that we have: never both in one binary.
		"github.com/google/cel-go": {},
		"gopkg.in/yaml.v3":         {},
	}
	for _, f := range goFiles(t) {
		if f.test || !f.own || outside(f.dir) {
			continue
		}
		for _, path := range f.imports() {
			for prefix, dirs := range users {
				if path != prefix && !strings.HasPrefix(path, prefix+"/") {
					continue
				}
				if slices.ContainsFunc(dirs, func(dir string) bool { return f.dir == dir || (dir != "gateway" && strings.HasPrefix(f.dir, dir+"/")) }) {
					continue
				}
				t.Errorf("%s imports %s; allowed: %s", f.path, path, orNobody(dirs))
			}
		}
	}
}

func TestImports_devserverKnowsTheProtocolAlone(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || f.dir != "devserver" && !strings.HasPrefix(f.dir, "devserver/") {
			continue
		}
		for _, path := range f.imports() {
			dir, ours := strings.CutPrefix(path, module+"/")
			if ours && dir != "inngest" && dir != "signature" && !strings.HasPrefix(dir, "devserver") {
				t.Errorf("%s imports %s: the development server plays the other side and must not share the gateway's code", f.path, dir)
			}
		}
	}
}

func orNobody(dirs []string) string {
	if len(dirs) == 0 {
		return "tests only"
	}
	return strings.Join(dirs, ", ")
}
