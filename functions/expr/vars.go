package expr

import (
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// A Vars holds what names stand for. It never changes: With returns a larger
// one. Nil holds nothing.
type Vars struct {
	below *Vars
	name  string
	value Value
	meter *Meter
}

// NewVars returns a Vars without names. What is evaluated with it, and with all
// that are made of it, is measured by meter, if that is not nil.
func NewVars(meter *Meter) *Vars { return &Vars{meter: meter} }

// With returns the same names and one more, which hides one of the same name.
func (v *Vars) With(name string, value Value) *Vars { return &Vars{v, name, value, v.Meter()} }

// Meter returns the meter, nil if there is none.
func (v *Vars) Meter() *Meter {
	if v == nil {
		return nil
	}
	return v.meter
}

// ResolveName implements CEL's activation.
func (v *Vars) ResolveName(name string) (any, bool) {
	for ; v != nil; v = v.below {
		if v.name == name && name != "" {
			return v.value.ref(), true
		}
	}
	return nil, false
}

// Parent implements CEL's activation: there is none.
func (v *Vars) Parent() interpreter.Activation { return nil }

// A Member is the use of one member of a name: steps.stock, steps["stock"],
// has(steps.stock).
type Member struct {
	Name string
	Test bool // has(): the member need not be there
}

// Members returns which members of a name the expression uses. Whole tells that
// it uses the name otherwise too, so that any member may matter.
func (x *Expr) Members(of string) (members []Member, whole bool) {
	root := ast.NavigateAST(x.ast)
	for _, ident := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		if ident.AsIdent() != of {
			continue
		}
		if m, ok := memberOf(ident); ok {
			members = append(members, m)
		} else {
			whole = true
		}
	}
	return members, whole
}

func memberOf(ident ast.NavigableExpr) (Member, bool) {
	parent, ok := ident.Parent()
	if !ok {
		return Member{}, false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		s := parent.AsSelect()
		return Member{Name: s.FieldName(), Test: s.IsTestOnly()}, true
	case ast.CallKind:
		c := parent.AsCall()
		if c.FunctionName() != operators.Index || len(c.Args()) != 2 || c.Args()[0].ID() != ident.ID() {
			return Member{}, false
		}
		if key := c.Args()[1]; key.Kind() == ast.LiteralKind {
			if name, ok := key.AsLiteral().(types.String); ok {
				return Member{Name: string(name)}, true
			}
		}
	}
	return Member{}, false
}
