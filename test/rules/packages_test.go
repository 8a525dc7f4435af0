package rules

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPackages_haveOneDocCommentEach(t *testing.T) {
	docs := map[string][]string{}
	packages := map[string]string{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		packages[f.dir] = f.ast.Name.Name
		if f.ast.Doc == nil {
			continue
		}
		docs[f.dir] = append(docs[f.dir], f.path)
		name, first := f.ast.Name.Name, f.ast.Doc.Text()
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + filepath.Base(f.dir) + " "
		}
		if !strings.HasPrefix(first, want) {
			t.Errorf("%s: the doc comment must begin with %q, not %q", f.path, want, firstLine(first))
		}
	}
	for dir, name := range packages {
		if len(docs[dir]) != 1 {
			t.Errorf("package %s in %s has %d doc comments %v, want one: its job, then what it leaves to whom", name, dir, len(docs[dir]), docs[dir])
		}
	}
}

func TestPackages_areNamedAfterTheirJob(t *testing.T) {
	for _, f := range goFiles(t) {
		if name := f.ast.Name.Name; slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "types", "shared"}, name) {
			t.Errorf("%s: package %s says nothing about what is in it", f.path, name)
		}
		if base := filepath.Base(f.path); slices.Contains([]string{"util.go", "utils.go", "common.go", "helper.go", "helpers.go", "misc.go", "types.go"}, base) {
			t.Errorf("%s: a file is named after the thing in it", f.path)
		}
	}
}

func TestFiles_haveAtMost400Lines(t *testing.T) {
	const limit = 400
	for _, f := range goFiles(t) {
		if lines := strings.Count(f.text, "\n"); lines > limit && !f.test && !f.generated() {
			t.Errorf("%s has %d lines, limit %d: a noun in it wants a file of its own", f.path, lines, limit)
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
