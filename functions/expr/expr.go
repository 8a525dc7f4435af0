package expr

import (
	"context"
	"errors"
)

// Options configures an Env.
type Options struct {
	Variables []string // names that expressions may use
	MaxCost   uint64   // of one evaluation, in CEL's units of about one operation, > 0
}

// An Env is a set of names that expressions may use. It is safe for concurrent
// use.
type Env struct{}

// New builds an Env.
func New(o Options) (*Env, error) { return &Env{}, errors.ErrUnsupported }

// With returns an Env with further names.
func (e *Env) With(names ...string) (*Env, error) { return e, errors.ErrUnsupported }

// An Expr is a compiled expression.
type Expr struct{}

// Compile compiles an expression, as it stands between ${ and }. The error is
// a *SyntaxError.
func (e *Env) Compile(text string) (*Expr, error) { return nil, errors.ErrUnsupported }

// Eval evaluates the expression.
func (x *Expr) Eval(ctx context.Context, vars *Vars) (Value, error) {
	return Value{}, errors.ErrUnsupported
}

// A Vars holds what names stand for.
type Vars struct{}

// A Value is what an expression gives.
type Value struct{}

// A SyntaxError says what is wrong with an expression or a template.
type SyntaxError struct {
	Text    string // the whole text
	Line    int    // in Text, from 1
	Column  int    // in the line, in characters from 1
	Message string
}

// Error returns place and message.
func (e *SyntaxError) Error() string { return e.Message }

// CheckServer tells what is wrong with an expression that Inngest's server
// evaluates, over the variables named: event, async. The error is a
// *SyntaxError.
func CheckServer(text string, variables ...string) error { return errors.ErrUnsupported }
