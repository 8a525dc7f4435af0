package rules

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// settable are the package variables that something outside the program sets.
var settable = []string{
	"cmd/gateway version", // by the linker: -X main.version
}

// constructors make values that nothing changes later.
var constructors = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer", "[]byte", "template.Must",
	"time.Date", "time.Unix", "json.RawMessage",
}

func TestGlobals_noPackageHasAnInit(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s:%d: no init: make it in a constructor", f.path, f.line(fn.Pos()))
			}
		}
	}
}

// State that a whole process shares makes two gateways in one process, which the
// tests run, share it as well. Tables, errors, patterns and pools of buffers are
// not state.
func TestGlobals_nothingChangesAPackageVariable(t *testing.T) {
	byDir := map[string][]*file{}
	for _, f := range goFiles(t) {
		if !f.test && !outside(f.dir) {
			byDir[f.dir] = append(byDir[f.dir], f)
		}
	}
	for dir, files := range byDir {
		vars := map[string]bool{}
		for _, f := range files {
			for _, decl := range f.ast.Decls {
				gen, ok := decl.(*ast.GenDecl)
				if !ok || gen.Tok != token.VAR {
					continue
				}
				for _, spec := range gen.Specs {
					spec := spec.(*ast.ValueSpec)
					for i, name := range spec.Names {
						if name.Name == "_" || slices.Contains(settable, dir+" "+name.Name) {
							continue
						}
						vars[name.Name] = true
						if !fixed(gen, spec, i) {
							t.Errorf("%s:%d: package variable %s looks like state: keep it in a struct, or make it a table, an error or a pattern", f.path, f.line(name.Pos()), name.Name)
						}
					}
				}
			}
		}
		for _, f := range files {
			for _, decl := range f.ast.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				locals := declared(fn)
				for _, name := range assigned(fn) {
					if vars[name.Name] && !locals[name.Name] {
						t.Errorf("%s:%d: package variable %s is changed", f.path, f.line(name.Pos()), name.Name)
					}
				}
			}
		}
	}
}

// fixed tells whether the i-th variable of spec is given a value that is meant
// to stay: a literal, an embedded file, the result of a known constructor.
func fixed(gen *ast.GenDecl, spec *ast.ValueSpec, i int) bool {
	for _, doc := range []*ast.CommentGroup{gen.Doc, spec.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	if i >= len(spec.Values) {
		return pool(spec.Type)
	}
	call, ok := spec.Values[i].(*ast.CallExpr)
	return !ok || slices.Contains(constructors, name(call.Fun))
}

// pool tells whether a type is a sync.Pool or an array of them: what it holds is
// spare and has no meaning.
func pool(e ast.Expr) bool {
	if array, ok := e.(*ast.ArrayType); ok {
		return pool(array.Elt)
	}
	return name(e) == "sync.Pool"
}

// name returns the source of an identifier, a selector or a slice type.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return name(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + name(e.Elt)
	}
	return ""
}

// assigned returns what fn assigns to; for an element or a field, its owner.
func assigned(fn *ast.FuncDecl) []*ast.Ident {
	var idents []*ast.Ident
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, lhs := range n.Lhs {
					idents = append(idents, owner(lhs)...)
				}
			}
		case *ast.IncDecStmt:
			idents = append(idents, owner(n.X)...)
		}
		return true
	})
	return idents
}

func owner(e ast.Expr) []*ast.Ident {
	switch e := e.(type) {
	case *ast.IndexExpr:
		return owner(e.X)
	case *ast.SelectorExpr:
		return owner(e.X)
	case *ast.StarExpr:
		return owner(e.X)
	case *ast.ParenExpr:
		return owner(e.X)
	case *ast.Ident:
		return []*ast.Ident{e}
	}
	return nil
}

// declared returns the names that fn itself declares: receiver, parameters,
// results and variables.
func declared(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	add := func(idents ...*ast.Ident) {
		for _, ident := range idents {
			names[ident.Name] = true
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			add(n.Names...)
		case *ast.ValueSpec:
			add(n.Names...)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, lhs := range n.Lhs {
					add(owner(lhs)...)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(owner(n.Key)...)
				add(owner(n.Value)...)
			}
		}
		return true
	})
	return names
}
