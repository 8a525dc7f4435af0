package program

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// branch compiles a block that may not be executed and adds what it binds.
func (c *compiler) branch(source any, at string, v *view) block {
	in := v.inside()
	b := c.block(source, at, in)
	v.take(in, true)
	return b
}

// A condition is if, then, else.
type condition struct {
	at        string
	test      *expr.Template
	then, els block
}

func (c *compiler) condition(m map[string]any, at string, v *view) statement {
	s := &condition{at: at + ".if", test: c.expression(m["if"], at+".if", v)}
	if _, ok := m["then"]; !ok {
		c.add(at+".then", nil, "a list of steps")
		return s
	}
	before := v.inside()
	s.then = c.branch(m["then"], at+".then", v)
	s.els = c.elseOf(m, at, v, before)
	return s
}

// elseOf compiles the other way: what the first one has bound is not there.
func (c *compiler) elseOf(m map[string]any, at string, v, before *view) block {
	source, ok := m["else"]
	if !ok {
		return nil
	}
	in := before.inside()
	b := c.block(source, at+".else", in)
	v.take(in, true)
	return b
}

func (s *condition) run(i *interpretation, f *frame) flow {
	v, err := s.test.Eval(i.ctx, f.vars, i.limits.Bytes)
	if err != nil {
		return i.evaluated(s.at, err)
	}
	yes, ok := v.Bool()
	if !ok {
		return i.evaluated(s.at, fmt.Errorf("gives %s, want true or false", v.Kind()))
	}
	if yes {
		return s.then.run(i, f)
	}
	return s.els.run(i, f)
}

// A choice is switch: the first case with an equal value.
type choice struct {
	at    string
	on    *expr.Template
	cases []oneCase
	els   block
}

type oneCase struct {
	at   string
	is   []*expr.Template
	then block
}

func (c *compiler) choice(m map[string]any, at string, v *view) statement {
	s := &choice{at: at + ".switch", on: c.expression(m["switch"], at+".switch", v)}
	before := v.inside()
	list, ok := m["cases"].([]any)
	if !ok || len(list) == 0 {
		c.add(at+".cases", m["cases"], "a list of groups with is and then")
	}
	for n, source := range list {
		at := at + ".cases[" + strconv.Itoa(n) + "]"
		one, ok := c.group(source, at, "is", "then")
		if !ok {
			continue
		}
		in := before.inside()
		k := oneCase{at: at + ".is", then: c.block(one["then"], at+".then", in)}
		v.take(in, true)
		values, isList := one["is"].([]any)
		if _, ok := one["is"]; !ok {
			c.add(at+".is", nil, "a value, or a list of them")
		} else if !isList {
			values = []any{one["is"]}
		}
		for _, value := range values {
			k.is = append(k.is, c.template(value, at+".is", before, decides))
		}
		s.cases = append(s.cases, k)
	}
	s.els = c.elseOf(m, at, v, before)
	return s
}

func (s *choice) run(i *interpretation, f *frame) flow {
	on, err := s.on.Eval(i.ctx, f.vars, i.limits.Bytes)
	if err != nil {
		return i.evaluated(s.at, err)
	}
	for _, k := range s.cases {
		for _, is := range k.is {
			v, err := is.Eval(i.ctx, f.vars, i.limits.Bytes)
			if err != nil {
				return i.evaluated(k.at, err)
			}
			if v.Equal(on) {
				return k.then.run(i, f)
			}
		}
	}
	return s.els.run(i, f)
}

// An attempt is try and catch.
type attempt struct {
	name         string // of the error
	try, rescued block
}

func (c *compiler) attempt(m map[string]any, at string, v *view) statement {
	s := &attempt{name: "error"}
	if source, ok := m["error"]; ok {
		s.name, _ = source.(string)
	}
	s.try = c.branch(m["try"], at+".try", v)
	if _, ok := m["catch"]; !ok {
		c.add(at+".catch", nil, "a list of steps")
		return s
	}
	in := v.inside()
	if s.name != "error" || !slices.Contains(v.locals, s.name) { // an error within a catch hides that one
		c.local(in, s.name, at+".error")
	}
	s.rescued = c.block(m["catch"], at+".catch", in)
	v.take(in, true)
	return s
}

func (s *attempt) run(i *interpretation, f *frame) flow {
	out := s.try.run(i, f)
	if out.state != failed {
		return out
	}
	return s.rescued.run(i, f.with(s.name, errorValue(out.failure)))
}

func errorValue(f *run.Failure) expr.Value {
	return expr.Object(map[string]expr.Value{
		"name": expr.String(f.Name), "message": expr.String(f.Message), "stack": expr.String(f.Stack), "data": expr.Raw(f.Data),
	})
}

// An assignment is set.
type assignment struct {
	at     string
	names  []string
	values []*expr.Template
}

func (c *compiler) set(m map[string]any, at string, v *view) statement {
	at += ".set"
	source, ok := m["set"].(map[string]any)
	if !ok || len(source) == 0 {
		c.add(at, m["set"], "a group of names and values")
		return nil
	}
	s := &assignment{at: at, names: slices.Sorted(maps.Keys(source))}
	for _, name := range s.names {
		c.identifier(name, at+"."+name)
		s.values = append(s.values, c.template(source[name], at+"."+name, v, decides))
	}
	for _, name := range s.names {
		v.vars[name] = true
	}
	return s
}

func (s *assignment) run(i *interpretation, f *frame) flow {
	values := make([]expr.Value, len(s.values))
	for n, t := range s.values {
		at := s.at + "." + s.names[n]
		var err error
		if values[n], err = t.Eval(i.ctx, f.vars, i.limits.Bytes); err != nil {
			return i.evaluated(at, err)
		}
		// A variable that doubles in each round of a loop ends here.
		if _, err := values[n].JSON(i.limits.Bytes); err != nil {
			return i.evaluated(at, err)
		}
	}
	for n, name := range s.names {
		f.set.Set(name, values[n])
	}
	return flow{}
}

// A result is return.
type result struct {
	at    string
	value *expr.Template
}

func (c *compiler) result(m map[string]any, at string, v *view) statement {
	return &result{at + ".return", c.template(m["return"], at+".return", v, decides)}
}

func (s *result) run(i *interpretation, f *frame) flow {
	value, err := s.value.JSON(i.ctx, f.vars, i.limits.Bytes)
	if err != nil {
		return i.evaluated(s.at, err)
	}
	return flow{state: returned, value: value}
}

// A failing is fail.
type failing struct {
	at            string
	name, message *expr.Template
	data          *expr.Template
}

func (c *compiler) fail(m map[string]any, at string, v *view) statement {
	at += ".fail"
	s := &failing{at: at}
	if text, ok := m["fail"].(string); ok {
		s.message = c.text(text, at, v, decides)
		return s
	}
	source, ok := c.group(m["fail"], at, "name", "message", "data")
	if !ok {
		return s
	}
	s.message = c.text(source["message"], at+".message", v, decides)
	if name, ok := source["name"]; ok {
		s.name = c.text(name, at+".name", v, decides)
	}
	if data, ok := source["data"]; ok {
		s.data = c.template(data, at+".data", v, decides)
	}
	return s
}

func (s *failing) run(i *interpretation, f *frame) flow {
	out := &run.Failure{Name: "Error", NoRetry: true}
	var err error
	if out.Message, err = s.message.Text(i.ctx, f.vars, i.limits.Bytes); err != nil {
		return i.evaluated(s.at+".message", err)
	}
	if s.name != nil {
		if out.Name, err = s.name.Text(i.ctx, f.vars, i.limits.Bytes); err != nil {
			return i.evaluated(s.at+".name", err)
		}
	}
	if s.data != nil {
		var data json.RawMessage
		if data, err = s.data.JSON(i.ctx, f.vars, i.limits.Bytes); err != nil {
			return i.evaluated(s.at+".data", err)
		}
		out.Data = data
	}
	out.Stack = stackOf(out, s.at)
	return fail(out)
}
