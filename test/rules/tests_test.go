package rules

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A test that sleeps is slow or flaky, mostly both. In a synctest bubble time
// costs nothing; elsewhere wait for the event itself.
func TestTests_sleepOnlyInBubbles(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test && !strings.HasPrefix(f.dir, "test/") || slices.Contains(f.imports(), "testing/synctest") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && name(call.Fun) == "time.Sleep" {
				t.Errorf("%s:%d: time.Sleep in a test outside a synctest bubble", f.path, f.line(call.Pos()))
			}
			return true
		})
	}
}

// Allocation budgets are left out under the race detector; .ci/run finds them
// by their names.
func TestTests_leftOutUnderTheRaceDetectorSayAlloc(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.test || !regexp.MustCompile(`(?m)^//go:build .*!race`).MatchString(f.text) {
			continue
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && strings.HasPrefix(fn.Name.Name, "Test") && !strings.Contains(strings.ToLower(fn.Name.Name), "alloc") {
				t.Errorf("%s:%d: %s is built without the race detector only, but its name does not say alloc: nothing runs it", f.path, f.line(fn.Pos()), fn.Name.Name)
			}
		}
	}
}

// A package that starts goroutines has tests that notice one left behind: goleak
// at the end, or bubbles, which do not end before their goroutines have. The
// commands' goroutines end with the process.
func TestTests_lookForLeakedGoroutines(t *testing.T) {
	starts, looks := map[string]string{}, map[string]bool{}
	for _, f := range goFiles(t) {
		if outside(f.dir) || strings.HasPrefix(f.dir, "cmd/") {
			continue
		}
		if f.test {
			if slices.Contains(f.imports(), "go.uber.org/goleak") || slices.Contains(f.imports(), "testing/synctest") {
				looks[f.dir] = true
			}
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				starts[f.dir] = f.path
			}
			return true
		})
	}
	for dir, path := range starts {
		if !looks[dir] {
			t.Errorf("%s starts a goroutine, and no test of %s would notice one that is left behind (go.uber.org/goleak)", path, dir)
		}
	}
}

// Work that outlives what asked for it is rare, and its reader wants to know why.
func TestContexts_areMadeFromNothingForAReasonOnly(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || outside(f.dir) || strings.HasPrefix(f.dir, "cmd/") {
			continue
		}
		commented := map[int]bool{}
		for _, group := range f.ast.Comments {
			for line := f.line(group.Pos()); line <= f.line(group.End())+1; line++ {
				commented[line] = true
			}
		}
		for _, decl := range f.ast.Decls { // a function's doc comment may say it
			if fn, ok := decl.(*ast.FuncDecl); ok && strings.Contains(strings.ToLower(fn.Doc.Text()), "context") {
				for line := f.line(fn.Pos()); line <= f.line(fn.End()); line++ {
					commented[line] = true
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch source := name(call.Fun); source {
			case "context.TODO":
				t.Errorf("%s:%d: context.TODO", f.path, f.line(call.Pos()))
			case "context.Background", "context.WithoutCancel":
				if !commented[f.line(call.Pos())] {
					t.Errorf("%s:%d: %s needs a comment that says why the work outlives its request", f.path, f.line(call.Pos()), source)
				}
			}
			return true
		})
	}
}
