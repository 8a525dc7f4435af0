package expr

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// comparesOnly refuses what the server refuses of cancelOn: functions and macros.
// In waitForEvent it finds these odd too, but says so to its own log alone.
func comparesOnly(text string, compiled *cel.Ast) error {
	checked := compiled.NativeRep()
	var uses string
	var at int64
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		what := otherThanComparing(e)
		isMacro := e.Kind() == ast.ComprehensionKind // whose parts are not as they were written
		if what != "" && (uses == "" || isMacro || e.ID() < at) {
			uses, at = what, e.ID()
		}
	}))
	if uses == "" {
		return nil
	}
	place := checked.SourceInfo().GetStartLocation(at)
	return &SyntaxError{
		Text: text, Line: max(1, place.Line()), Column: place.Column() + 1,
		Message: "uses " + uses + ", and the server takes comparisons, in, &&, ||, ! and ?: here and no functions",
	}
}

// otherThanComparing says what an expression is that is none of these; empty if
// it is one.
func otherThanComparing(e ast.Expr) string {
	switch e.Kind() {
	case ast.ComprehensionKind:
		return "a macro as exists or all"
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return "has"
		}
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		if slices.Contains(comparing(), name) {
			return ""
		}
		if sign, ok := operators.FindReverse(name); ok && sign != "" {
			return sign
		}
		return name
	}
	return ""
}

// comparing are the functions that the server takes there.
func comparing() []string {
	return []string{
		operators.Conditional, operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Equals,
		operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Index, operators.In, "int", "uint", "double",
	}
}
