package expr

import (
	"context"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/stdlib"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// A Server checks expressions that Inngest's server evaluates: triggers' if,
// keys, cancelOn, waitForEvent. It is safe for concurrent use.
type Server struct{ cel *cel.Env }

// NewServer returns a Server whose expressions may use these variables: event
// and, where a second event is matched, async.
func NewServer(variables ...string) (*Server, error) {
	options := []cel.EnvOption{cel.Macros(parser.AllMacros...), cel.VariableDecls(stdlib.Types()...)}
	for _, name := range variables {
		options = append(options, cel.Variable(name, cel.MapType(cel.StringType, cel.DynType)))
	}
	fns := stdlib.Functions()
	for _, f := range serverFunctions() {
		fn, err := decls.NewFunction(f.name, decls.Overload(f.name, f.args, f.result))
		if err != nil {
			return nil, fmt.Errorf("expr: %w", err)
		}
		fns = append(fns, fn)
	}
	for _, fn := range fns {
		if result := loose(fn.Name()); result != nil {
			var err error
			fn, err = decls.NewFunction(fn.Name(), decls.Overload(fn.Name(), []*types.Type{types.DynType, types.DynType}, result))
			if err != nil {
				return nil, fmt.Errorf("expr: %w", err)
			}
		}
		options = append(options, declare(fn))
	}
	env, err := cel.NewCustomEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("expr: %w", err)
	}
	return &Server{env}, nil
}

// loose returns the result's type of an operator that the server lets take
// operands of any two types.
func loose(name string) *types.Type {
	switch name {
	case operators.Add:
		return types.DynType
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals,
		operators.Greater, operators.GreaterEquals:
		return types.BoolType
	}
	return nil
}

type serverFunction struct {
	name   string
	args   []*types.Type
	result *types.Type
}

// serverFunctions are those that the server adds to CEL.
func serverFunctions() []serverFunction {
	text := []*types.Type{types.StringType}
	return []serverFunction{
		{"lowercase", text, types.StringType},
		{"uppercase", text, types.StringType},
		{"b64decode", text, types.StringType},
		{"json_parse", text, types.DynType},
		{"date", []*types.Type{types.DynType}, types.TimestampType},
		{"now", nil, types.TimestampType},
		{"now_plus", text, types.TimestampType},
		{"now_minus", text, types.TimestampType},
	}
}

// A Kind is what an expression must give.
type Kind string

// The kinds that the server asks for.
const (
	Any       Kind = "any"
	Condition Kind = "condition" // true or false
	Number    Kind = "number"
	Match     Kind = "match" // a condition without functions: cancelOn
)

// Check tells what is wrong with an expression. The error is a *SyntaxError.
func (s *Server) Check(text string, kind Kind) error {
	compiled, issues := s.cel.Compile(text)
	if err := syntaxError(text, issues); err != nil {
		return err
	}
	if kind == Match {
		if err := comparesOnly(text, compiled); err != nil {
			return err
		}
		kind = Condition
	}
	out := compiled.OutputType()
	fits := kind == Any || kind == "" || out.IsExactType(types.DynType) ||
		kind == Condition && out.IsExactType(types.BoolType) ||
		kind == Number && (out.IsExactType(types.IntType) || out.IsExactType(types.UintType) || out.IsExactType(types.DoubleType))
	if !fits {
		want := map[Kind]string{Condition: "true or false", Number: "a number"}[kind]
		return &SyntaxError{Text: text, Line: 1, Column: 1, Message: fmt.Sprintf("want %s, the expression gives %s", want, out)}
	}
	return nil
}

// A ServerExpr is an expression for Inngest's server with values of the run in
// it: async.data.id == ${steps.order.id}.
type ServerExpr struct {
	parts []node
	exprs []*Expr
}

// ServerExpr compiles an expression for the server, a condition, and the
// expressions in its ${…}. The error is a *SyntaxError.
func (e *Env) ServerExpr(text string, s *Server) (*ServerExpr, error) {
	c := templateCompiler{env: e}
	parts, ok := c.pieces(text, "")
	if !ok {
		return nil, c.errors[0].Err
	}
	var check strings.Builder
	for _, p := range parts {
		if literal, ok := p.(constant); ok {
			text, _ := literal.value.Text()
			check.WriteString(text)
		} else {
			check.WriteString("event._") // any type
		}
	}
	if err := s.Check(check.String(), Condition); err != nil {
		if len(c.exprs) > 0 {
			// The place is one in the text that was checked.
			err = errorAt(text, 0, err.(*SyntaxError).Message)
		}
		return nil, err
	}
	return &ServerExpr{parts, c.exprs}, nil
}

// Exprs returns the expressions in ${…}.
func (x *ServerExpr) Exprs() []*Expr { return x.exprs }

// Text returns the expression with the values in it. Each is written as JSON,
// which is a literal of CEL too: no value can be more than one.
func (x *ServerExpr) Text(ctx context.Context, vars *Vars, most int) (string, error) {
	var out strings.Builder
	for _, p := range x.parts {
		v, err := p.eval(&evaluation{ctx, vars, most})
		if err != nil {
			return "", err
		}
		if literal, ok := p.(constant); ok {
			text, _ := literal.value.Text()
			out.WriteString(text)
			continue
		}
		text, err := v.JSON(most)
		if err != nil {
			return "", err
		}
		out.Write(text)
	}
	return out.String(), nil
}

// CheckServer tells what is wrong with one expression over these variables. The
// error is a *SyntaxError. Who checks many keeps a [Server].
func CheckServer(text string, variables ...string) error {
	s, err := NewServer(variables...)
	if err != nil {
		return &SyntaxError{Text: text, Line: 1, Column: 1, Message: err.Error()}
	}
	return s.Check(text, Any)
}
