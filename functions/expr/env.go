package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/interpreter"
)

// Options configures an Env.
type Options struct {
	Variables []string // names that expressions may use
	MaxCost   uint64   // of one evaluation, in CEL's units of about one operation, > 0
}

const (
	maxText      = 16 << 10 // characters of an expression
	maxRecursion = 64       // nesting of an expression
	checkEvery   = 256      // rounds of a macro between two looks at the context
)

// An Env is a set of names that expressions may use. It is safe for concurrent
// use.
type Env struct {
	cel     *cel.Env
	maxCost uint64
}

// New builds an Env.
func New(o Options) (*Env, error) {
	if o.MaxCost == 0 {
		return nil, errors.New("expr: MaxCost must be positive")
	}
	options, err := dialect()
	if err != nil {
		return nil, fmt.Errorf("expr: %w", err)
	}
	env, err := cel.NewCustomEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("expr: %w", err)
	}
	return (&Env{cel: env, maxCost: o.MaxCost}).With(o.Variables...)
}

// With returns an Env with further names.
func (e *Env) With(names ...string) (*Env, error) {
	options := make([]cel.EnvOption, len(names))
	for i, name := range names {
		options[i] = cel.Variable(name, cel.DynType)
	}
	env, err := e.cel.Extend(options...)
	if err != nil {
		return nil, fmt.Errorf("expr: %w", err)
	}
	return &Env{cel: env, maxCost: e.maxCost}, nil
}

// An Expr is a compiled expression. It is safe for concurrent use.
type Expr struct {
	text    string
	program cel.Program
	ast     *ast.AST
}

// Compile compiles an expression, as it stands between ${ and }. The error is
// a *SyntaxError.
func (e *Env) Compile(text string) (*Expr, error) {
	compiled, issues := e.cel.Compile(text)
	if err := syntaxError(text, issues); err != nil {
		return nil, err
	}
	program, err := e.cel.Program(compiled, cel.CostLimit(e.maxCost), cel.CostTracking(costs{}), cel.InterruptCheckFrequency(checkEvery),
		cel.CustomDecorator(sortMapLiterals))
	if err != nil {
		return nil, &SyntaxError{Text: text, Line: 1, Column: 1, Message: err.Error()}
	}
	return &Expr{text: strings.TrimSpace(text), program: program, ast: compiled.NativeRep()}, nil
}

// String returns the expression's text.
func (x *Expr) String() string { return x.text }

// Eval evaluates the expression. The error is an *EvalError, or that of ctx.
func (x *Expr) Eval(ctx context.Context, vars *Vars) (Value, error) {
	meter := vars.Meter()
	if meter.empty() {
		return Value{}, &EvalError{Text: x.text, Message: "all expressions together cost more than they may", Limit: true}
	}
	out, details, err := x.program.ContextEval(ctx, vars)
	meter.take(details.ActualCost())
	if err == nil {
		return Value{out}, nil
	}
	if ctx.Err() != nil {
		return Value{}, ctx.Err()
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return Value{}, &EvalError{Text: x.text, Message: "costs more than one evaluation may", Limit: true}
	}
	return Value{}, &EvalError{Text: x.text, Message: err.Error()}
}

// An EvalError says why an expression or a template has no value.
type EvalError struct {
	Text    string // of the expression
	Message string
	Limit   bool // a bound was passed: cost or size
}

// Error returns the text, shortened, and the message.
func (e *EvalError) Error() string { return shorten(e.Text, 80) + ": " + e.Message }

// A SyntaxError says what is wrong with an expression or a template.
type SyntaxError struct {
	Text    string // the whole text
	Line    int    // in Text, from 1
	Column  int    // in the line, in characters from 1
	Message string
}

// Error returns place and message.
func (e *SyntaxError) Error() string {
	if e.Line > 1 {
		return fmt.Sprintf("line %d, character %d: %s", e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("character %d: %s", e.Column, e.Message)
}

// syntaxError returns the first issue, nil if there is none. The others mostly
// follow from it.
func syntaxError(text string, issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	first := &SyntaxError{Text: text, Line: 1, Column: 1, Message: issues.Err().Error()}
	if all := issues.Errors(); len(all) > 0 {
		first.Line, first.Column = max(all[0].Location.Line(), 1), max(all[0].Location.Column()+1, 1)
		first.Message = readable(all[0].Message)
	}
	return first
}

// readable shortens what the parser says: the tokens that might have stood there
// are no help.
func readable(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	message, _, _ = strings.Cut(message, " expecting ")
	message = strings.ReplaceAll(message, "'<EOF>'", "end of the expression")
	message = strings.ReplaceAll(message, "<EOF>", "")
	for _, start := range []string{"mismatched input ", "extraneous input ", "no viable alternative at input "} {
		if rest, ok := strings.CutPrefix(message, start); ok {
			return "unexpected " + rest
		}
	}
	return strings.TrimSuffix(message, " (in container '')")
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
