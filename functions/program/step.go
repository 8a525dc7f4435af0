package program

import (
	"encoding/json"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// stepKeys lists the keys that every step may have.
func stepKeys() []string { return []string{"id", "as"} }

// step compiles what all steps have in common. It binds the step's name, so it
// comes after all that the step itself refers to.
func (c *compiler) step(m map[string]any, at string, v *view, a action) statement {
	s := &step{at: at, loops: v.sequential > 0, action: a}
	as, named := m["as"]
	if named {
		s.as, _ = as.(string)
		c.identifier(s.as, at+".as")
	}
	id, ok := m["id"].(string)
	switch {
	case !ok || id == "":
		c.add(at+".id", m["id"], "a text: the step's id, by which Inngest keeps its result")
		return s
	case len(id) > maxIDLength:
		c.add(at+".id", id, "an id of at most %d bytes", maxIDLength)
	case ambiguous(id):
		c.add(at+".id", id, "an id that does not end in a colon and digits: repeated steps have such ids")
	}
	if s.id = c.text(id, at+".id", v, decides); s.id == nil {
		return s
	}
	if !s.id.Constant() {
		if v.sequential+v.parallel == 0 {
			c.add(at+".id", id, "a literal id: only in forEach an id may hold ${…}")
		}
	} else if first, twice := c.ids[id]; twice {
		c.add(at+".id", id, "an id that no other step has: it is that of %s", first)
	} else {
		c.ids[id] = at
		if !named {
			s.as = id
		}
	}
	if s.as != "" {
		v.bind(s.as)
	}
	return s
}

// plain is what an action does whose result expressions see as it is.
type plain struct{}

func (plain) value(data json.RawMessage) (expr.Value, *run.Failure) { return expr.Raw(data), nil }

// A field is a name with a template: of a header, or of a query.
type field struct {
	name  string
	value *expr.Template
}

// An evaluator evaluates the parts of a step until one fails.
type evaluator struct {
	i    *interpretation
	vars *expr.Vars
	err  error
}

// check notes an error, if it is the first.
func (e *evaluator) check(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *evaluator) text(t *expr.Template) string {
	if t == nil || e.err != nil {
		return ""
	}
	var text string
	text, e.err = t.Text(e.i.ctx, e.vars, e.i.limits.Bytes)
	return text
}

func (e *evaluator) json(t *expr.Template) json.RawMessage {
	if t == nil || e.err != nil {
		return nil
	}
	var data json.RawMessage
	data, e.err = t.JSON(e.i.ctx, e.vars, e.i.limits.Bytes)
	return data
}

func (e *evaluator) value(t *expr.Template) expr.Value {
	if t == nil || e.err != nil {
		return expr.Null()
	}
	var v expr.Value
	v, e.err = t.Eval(e.i.ctx, e.vars, e.i.limits.Bytes)
	return v
}

func (e *evaluator) target(u *expr.URL) string {
	if e.err != nil {
		return ""
	}
	var target string
	target, e.err = u.Target(e.i.ctx, e.vars, maxTarget)
	return target
}

// maxTarget is what servers take of a URL.
const maxTarget = 8 << 10

// isSecret tells whether a text refers to a secret.
func isSecret(text string) bool {
	return strings.HasPrefix(text, "env:") || strings.HasPrefix(text, "file:")
}

// confidential compiles a text that may refer to a secret as a whole. What the
// reference gives is literal, whatever it holds.
func (c *compiler) confidential(source any, at string, v *view) *expr.Template {
	text, ok := source.(string)
	if !ok || c.Secret == nil || !isSecret(text) {
		return c.text(source, at, v, tells)
	}
	value, want := c.Secret(text)
	if want != "" {
		c.add(at, text, "%s", want)
		return nil
	}
	literal, wrong := v.env.Template(strings.ReplaceAll(value, "${", "$${"))
	if len(wrong) > 0 {
		c.add(at, said("a secret"), "a text")
		return nil
	}
	return literal
}
