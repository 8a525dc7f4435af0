// Package rules holds the rules of structure as tests: what may import what,
// what a package must say about itself, what the binary may link. What the code
// does is for the tests beside it.
package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/inngest-gateway/inngest-gateway"

// A file is one Go file of the main module or of a test module.
type file struct {
	path string // from the root of the repository, with slashes
	dir  string // "." for the root
	test bool
	own  bool // of the main module
	text string
	ast  *ast.File
	fset *token.FileSet
}

func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// imports returns the import paths of the file.
func (f *file) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

func (f *file) generated() bool { return ast.IsGenerated(f.ast) }

const root = "../.."

// goFiles parses every Go file of the repository but tools and testdata.
func goFiles(t *testing.T) []*file {
	t.Helper()
	fset := token.NewFileSet()
	var files []*file
	walk(t, func(path string, d fs.DirEntry) {
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(path, "tools/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, &file{
			path: path,
			dir:  filepath.ToSlash(filepath.Dir(path)),
			test: strings.HasSuffix(path, "_test.go"),
			own:  !inModuleOfItsOwn(path),
			text: string(text),
			ast:  parsed,
			fset: fset,
		})
	})
	if len(files) == 0 {
		t.Fatalf("no Go files under %s", root)
	}
	return files
}

// walk calls visit with each file of the repository that a person wrote, by its
// path from the root.
func walk(t *testing.T, visit func(path string, d fs.DirEntry)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			name := d.Name()
			if rel != "." && (slices.Contains([]string{"bin", "dist", "node_modules", "testdata"}, name) || (strings.HasPrefix(name, ".") && name != ".ci")) {
				return filepath.SkipDir
			}
			return nil
		}
		visit(rel, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inModuleOfItsOwn tells whether path lies in a module other than the main one.
func inModuleOfItsOwn(path string) bool {
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
