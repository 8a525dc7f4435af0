package program

import (
	"maps"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// A view is what is known at one place of the program while it is compiled.
type view struct {
	env        *expr.Env
	locals     []string        // loop variables and errors
	steps      map[string]bool // names that steps has here, on some way that leads here
	vars       map[string]bool
	bound      map[string]bool // of steps: those that the innermost block of its own binds
	sequential int             // loops around this place
	parallel   int
	depth      int
}

func (c *compiler) outermost() *view {
	return &view{env: c.env, steps: map[string]bool{}, vars: map[string]bool{}, bound: map[string]bool{}}
}

// inside returns a view for a block that may not be executed, or not with this
// one's names.
func (v *view) inside() *view {
	in := *v
	in.steps, in.vars, in.bound = maps.Clone(v.steps), maps.Clone(v.vars), map[string]bool{}
	in.locals = slices.Clone(v.locals)
	return &in
}

// take adds what a block has bound; its variables only if they outlive it.
func (v *view) take(in *view, withVars bool) {
	for name := range in.bound {
		v.bind(name)
	}
	if withVars {
		maps.Copy(v.vars, in.vars)
	}
}

func (v *view) bind(name string) { v.steps[name], v.bound[name] = true, true }

// local adds a loop variable or an error's name to a view.
func (c *compiler) local(v *view, name, at string) {
	if !c.identifier(name, at) {
		return
	}
	if slices.Contains(v.locals, name) || slices.Contains(globals(), name) {
		c.add(at, name, "a name that is not in use here already")
		return
	}
	env, err := v.env.With(name)
	if err != nil {
		c.add(at, name, "another name: %v", err)
		return
	}
	v.env, v.locals = env, append(v.locals, name)
}

func (c *compiler) identifier(name, at string) bool {
	ok := name != "" && !slices.Contains(reserved(), name)
	for i, r := range name {
		ok = ok && (r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || i > 0 && '0' <= r && r <= '9')
	}
	if !ok {
		c.add(at, name, "a name of letters, digits and _ that CEL does not use itself")
	}
	return ok
}

// reserved are CEL's own words.
func reserved() []string {
	return []string{
		"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
		"namespace", "null", "package", "return", "true", "var", "void", "while",
		"bool", "bytes", "double", "duration", "dyn", "int", "list", "map", "null_type", "size", "string", "timestamp",
		"type", "uint", "math", "lists", "strings", "base64",
	}
}

// Where an expression stands.
type place int

const (
	decides place = iota // which way the run takes: must give the same each time
	tells                // what a step is made of: evaluated until the step is done
)

// check looks at the names that an expression uses.
func (c *compiler) check(x *expr.Expr, at string, v *view, where place) {
	c.members(x, at, "steps", v.steps, `the name of a step that ran before`)
	c.members(x, at, "vars", v.vars, `the name of a variable that was set before`)
	known := map[string]bool{"runId": true, "functionId": true, "maxAttempts": true, "attempt": true}
	c.members(x, at, "ctx", known, "runId, functionId, attempt or maxAttempts")
	if uses, _ := x.Members("ctx"); where == decides {
		for _, m := range uses {
			if m.Name == "attempt" {
				c.add(at, x.String(), "an expression without ctx.attempt: it is another one in each call, and a run must take the same way in all of them; it may stand in what a step sends")
			}
		}
	}
}

func (c *compiler) members(x *expr.Expr, at, of string, known map[string]bool, want string) {
	used, whole := x.Members(of)
	if whole {
		c.add(at, x.String(), `%s followed by %s, as in %s.x or %s["x"]`, of, want, of, of)
	}
	for _, m := range used {
		if known[m.Name] {
			continue
		}
		if close := spelling.Nearest(m.Name, slices.Sorted(maps.Keys(known))); close != "" {
			c.add(at, of+"."+m.Name, "%s, perhaps %s.%s", want, of, close)
			continue
		}
		c.add(at, of+"."+m.Name, "%s", want)
	}
}
