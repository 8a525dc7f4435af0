package expr

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Template is a structure whose strings may hold expressions. It is safe for
// concurrent use.
type Template struct {
	root  node
	exprs []*Expr
}

// A TemplateError is one thing wrong with a template.
type TemplateError struct {
	Path string // from the template's root: .items[2].name; empty for the root
	Err  *SyntaxError
}

// Template compiles what a YAML or JSON decoder gives. All errors are returned
// at once; with one, the template is nil.
func (e *Env) Template(source any) (*Template, []TemplateError) {
	c := templateCompiler{env: e}
	root := c.node(source, "", 0)
	if len(c.errors) > 0 {
		return nil, c.errors
	}
	return &Template{root, c.exprs}, nil
}

// Exprs returns the expressions in the template, in the order of their places.
func (t *Template) Exprs() []*Expr { return t.exprs }

// Single tells whether the template is one expression and nothing else.
func (t *Template) Single() bool {
	_, ok := t.root.(single)
	return ok
}

// Constant tells whether the template holds no expression.
func (t *Template) Constant() bool { return len(t.exprs) == 0 }

// Eval returns the value of the template. A text of more than most bytes is an
// error.
func (t *Template) Eval(ctx context.Context, vars *Vars, most int) (Value, error) {
	return t.root.eval(&evaluation{ctx, vars, most})
}

// JSON returns the value of the template as JSON of at most most bytes.
func (t *Template) JSON(ctx context.Context, vars *Vars, most int) (json.RawMessage, error) {
	v, err := t.Eval(ctx, vars, most)
	if err != nil {
		return nil, err
	}
	return v.JSON(most)
}

// Text returns the value of the template, written as text as in a string of
// several parts.
func (t *Template) Text(ctx context.Context, vars *Vars, most int) (string, error) {
	v, err := t.Eval(ctx, vars, most)
	if err != nil {
		return "", err
	}
	return v.Plain(most)
}

type evaluation struct {
	ctx  context.Context
	vars *Vars
	most int
}

type node interface {
	eval(*evaluation) (Value, error)
}

type (
	constant struct{ value Value }
	single   struct{ expr *Expr }
	joined   struct{ parts []node } // of a string
	list     struct{ items []node }
	members  struct {
		names  []string
		values []node
	}
)

func (n constant) eval(*evaluation) (Value, error) { return n.value, nil }

func (n single) eval(e *evaluation) (Value, error) { return n.expr.Eval(e.ctx, e.vars) }

func (n joined) eval(e *evaluation) (Value, error) {
	var out strings.Builder
	for _, part := range n.parts {
		v, err := part.eval(e)
		if err != nil {
			return Value{}, err
		}
		text, err := v.Plain(e.most)
		if err != nil {
			return Value{}, err
		}
		if out.Len()+len(text) > e.most {
			return Value{}, &EvalError{Text: text, Message: fmt.Sprintf("the text becomes longer than %d bytes", e.most), Limit: true}
		}
		out.WriteString(text)
	}
	return String(out.String()), nil
}

func (n list) eval(e *evaluation) (Value, error) {
	items := make([]Value, len(n.items))
	for i, item := range n.items {
		var err error
		if items[i], err = item.eval(e); err != nil {
			return Value{}, err
		}
	}
	return List(items), nil
}

func (n members) eval(e *evaluation) (Value, error) {
	all := make(map[string]Value, len(n.names))
	for i, name := range n.names {
		v, err := n.values[i].eval(e)
		if err != nil {
			return Value{}, err
		}
		all[name] = v
	}
	return Object(all), nil
}

type templateCompiler struct {
	env    *Env
	exprs  []*Expr
	errors []TemplateError
}

const maxTemplateDepth = 64

func (c *templateCompiler) node(source any, at string, depth int) node {
	if depth > maxTemplateDepth {
		c.fail(at, errorAt("", 0, fmt.Sprintf("at most %d levels", maxTemplateDepth)))
		return nil
	}
	switch x := source.(type) {
	case string:
		return c.text(x, at)
	case []any:
		items := make([]node, len(x))
		for i := range x {
			items[i] = c.node(x[i], at+"["+strconv.Itoa(i)+"]", depth+1)
		}
		return list{items}
	case map[string]any:
		n := members{names: slices.Sorted(maps.Keys(x))}
		for _, name := range n.names {
			if strings.Contains(name, "${") {
				c.fail(at+"."+name, errorAt(name, 0, "a name without ${…}: names of members are literal"))
			}
			n.values = append(n.values, c.node(x[name], at+"."+name, depth+1))
		}
		return n
	case time.Time: // YAML has times
		return constant{String(x.UTC().Format(time.RFC3339Nano))}
	case nil, bool, int, int32, int64, uint, uint32, uint64, float32, float64:
		v := Value{adapter{}.NativeToValue(x)}
		if _, err := v.JSON(1 << 10); err != nil {
			c.fail(at, errorAt(fmt.Sprint(x), 0, err.Error()))
		}
		return constant{v}
	}
	c.fail(at, errorAt(fmt.Sprint(source), 0, fmt.Sprintf("a value that JSON has, not %T", source)))
	return nil
}

func (c *templateCompiler) text(text, at string) node {
	parts, ok := c.pieces(text, at)
	switch {
	case !ok:
		return nil
	case len(parts) == 0:
		return constant{String("")}
	case len(parts) == 1:
		return parts[0]
	}
	return joined{parts}
}

func (c *templateCompiler) pieces(text, at string) ([]node, bool) {
	pieces, syntax := scan(text)
	if syntax != nil {
		c.fail(at, syntax)
		return nil, false
	}
	parts := make([]node, len(pieces))
	sound := true
	for i, p := range pieces {
		if !p.isExpr {
			parts[i] = constant{String(p.text)}
			continue
		}
		x, err := c.env.Compile(p.text)
		if err != nil {
			c.fail(at, within(text, p, err))
			sound = false
			continue
		}
		c.exprs = append(c.exprs, x)
		parts[i] = single{x}
	}
	return parts, sound
}

func (c *templateCompiler) fail(at string, err *SyntaxError) {
	c.errors = append(c.errors, TemplateError{at, err})
}
