package program

import (
	"fmt"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
)

// Bounds of a program's text.
const (
	maxStatements = 1000         // in the text; loops are bound when they run
	maxDepth      = 32           // blocks within blocks
	maxCost       = 500_000      // of one evaluation of an expression
	maxTotalCost  = 20 * maxCost // of all that one interpretation evaluates
	maxParallel   = 1000         // iterations at once
	maxIDLength   = 255
)

// A Program is a compiled list of steps. It never changes and is safe for
// concurrent use.
type Program struct {
	scope   Scope
	body    block
	origins []string
	sends   bool
}

// Compile compiles a list of steps: what a YAML decoder makes of it, []any of
// map[string]any. It reaches nothing and tells all problems at once. If there is
// one, the program is nil.
func Compile(source any, s Scope) (*Program, Problems) {
	l, err := NewLanguage()
	if err != nil {
		return nil, Problems{{Path: s.Path, Got: "not compiled", Want: err.Error()}}
	}
	return l.Compile(source, s)
}

// A Language compiles any number of programs. Making one takes longer than
// compiling most programs.
type Language struct {
	env    *expr.Env // without loop variables
	server *expr.Server
}

// NewLanguage returns the language of programs.
func NewLanguage() (*Language, error) {
	env, err := expr.New(expr.Options{Variables: globals(), MaxCost: maxCost})
	if err != nil {
		return nil, err
	}
	server, err := expr.NewServer("event", "async")
	if err != nil {
		return nil, err
	}
	return &Language{env, server}, nil
}

// Compile is as the function of that name.
func (l *Language) Compile(source any, s Scope) (*Program, Problems) {
	c := &compiler{Scope: s, env: l.env, server: l.server, ids: map[string]string{}}
	body := c.block(source, s.Path, c.outermost())
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return &Program{scope: s, body: body, origins: c.origins, sends: c.sends}, nil
}

// Origins returns scheme://host of every backend that the program calls, each
// once, in the order of their first use. What Inngest's server calls (fetch, ai)
// is not among them.
func (p *Program) Origins() []string { return slices.Clone(p.origins) }

// Sends tells whether some way through the program sends events, which needs an
// event key.
func (p *Program) Sends() bool { return p.sends }

// A compiler collects what concerns the whole program.
type compiler struct {
	Scope
	problems   Problems
	env        *expr.Env // without loop variables
	server     *expr.Server
	ids        map[string]string // literal id → path
	origins    []string
	sends      bool
	statements int
}

// globals are the names that every expression may use.
func globals() []string { return []string{"ctx", "event", "events", "steps", "vars"} }

func (c *compiler) add(at string, got any, want string, args ...any) {
	text, ok := got.(said)
	if !ok {
		text = said(shown(got))
	}
	c.problems = append(c.problems, Problem{Path: at, Got: string(text), Want: fmt.Sprintf(want, args...)})
}

// said is what is there instead, in words; other values are shown.
type said string

func (c *compiler) usesBackend(origin string) {
	if !slices.Contains(c.origins, origin) {
		c.origins = append(c.origins, origin)
	}
}
