package program_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
)

func sources(nodes []node) []any {
	out := make([]any, len(nodes))
	for i, n := range nodes {
		out[i] = n.source()
	}
	return out
}

func execAll(nodes []node, m *machine, e *env) ending {
	for _, n := range nodes {
		if out := n.exec(m, e); out.kind != 0 {
			return out
		}
	}
	return ending{}
}

func allBinds(blocks ...[]node) []string {
	var out []string
	for _, b := range blocks {
		for _, n := range b {
			out = append(out, n.binds()...)
		}
	}
	return out
}

func wrong() ending { return ending{kind: 2, name: "ExpressionError"} }

type callNode struct {
	id, suffix string
	body       expression
}

func (n *callNode) source() any {
	id := n.id
	out := map[string]any{"post": "http://b/" + n.id, "body": map[string]any{"v": n.body.template()}}
	if n.suffix != "" {
		id += "-${" + n.suffix + "}"
		out["as"] = n.id
	}
	out["id"] = id
	return out
}

func (n *callNode) exec(m *machine, e *env) ending {
	v, ok := n.body.eval(e)
	if !ok {
		return wrong()
	}
	target, body := "/"+n.id, fmt.Sprintf(`{"v":%d}`, v)
	m.calls[target+body]++
	number, fails := backendSays(target, body)
	if fails {
		return ending{kind: 2, name: "Odd"}
	}
	e.steps[n.id] = number
	return ending{}
}

func (n *callNode) binds() []string { return []string{n.id} }

type waitNode struct{ id string }

func (n *waitNode) source() any {
	return map[string]any{"id": n.id, "waitForEvent": map[string]any{"event": "e", "timeout": "1h"}}
}

func (n *waitNode) exec(_ *machine, e *env) ending {
	e.steps[n.id] = serverSays(n.id)
	return ending{}
}

func (n *waitNode) binds() []string { return []string{n.id} }

type setNode struct {
	name  string
	value expression
}

func (n *setNode) source() any {
	return map[string]any{"set": map[string]any{n.name: n.value.template()}}
}

func (n *setNode) exec(_ *machine, e *env) ending {
	v, ok := n.value.eval(e)
	if !ok {
		return wrong()
	}
	e.vars[n.name] = v
	return ending{}
}

func (n *setNode) binds() []string { return nil }

type ifNode struct {
	test      expression
	then, els []node
}

func (n *ifNode) source() any {
	return map[string]any{"if": n.test.text + " > 2", "then": sources(n.then), "else": sources(n.els)}
}

func (n *ifNode) exec(m *machine, e *env) ending {
	v, ok := n.test.eval(e)
	switch {
	case !ok:
		return wrong()
	case v > 2:
		return execAll(n.then, m, e)
	}
	return execAll(n.els, m, e)
}

func (n *ifNode) binds() []string { return allBinds(n.then, n.els) }

type switchNode struct {
	on        expression
	is        int
	then, els []node
}

func (n *switchNode) source() any {
	return map[string]any{
		"switch": n.on.template(), "else": sources(n.els),
		"cases": []any{map[string]any{"is": []any{n.is, "x"}, "then": sources(n.then)}},
	}
}

func (n *switchNode) exec(m *machine, e *env) ending {
	v, ok := n.on.eval(e)
	switch {
	case !ok:
		return wrong()
	case v == n.is:
		return execAll(n.then, m, e)
	}
	return execAll(n.els, m, e)
}

func (n *switchNode) binds() []string { return allBinds(n.then, n.els) }

type loopNode struct {
	as     string
	items  []int
	atOnce int
	do     []node
}

func (n *loopNode) source() any {
	items := make([]any, len(n.items))
	for i, v := range n.items {
		items[i] = v
	}
	out := map[string]any{"forEach": items, "as": n.as, "do": sources(n.do)}
	if n.atOnce > 0 {
		out["parallel"] = n.atOnce
	}
	return out
}

func (n *loopNode) exec(m *machine, e *env) ending {
	var decided ending
	rounds := make([]*env, len(n.items))
	for i, v := range n.items {
		in := e.with(n.as, v, i)
		in.steps = maps.Clone(e.steps)
		for _, name := range n.binds() {
			delete(in.steps, name)
		}
		if n.atOnce > 0 {
			in.vars = maps.Clone(e.vars)
		}
		rounds[i] = in
		out := execAll(n.do, m, in)
		if out.kind != 0 && n.atOnce == 0 {
			return out
		}
		if decided.kind == 0 {
			decided = out
		}
	}
	if decided.kind != 0 {
		return decided
	}
	for _, name := range n.binds() {
		all := []any{}
		for _, in := range rounds {
			all = append(all, in.steps[name])
		}
		e.steps[name] = all
	}
	return ending{}
}

func (n *loopNode) binds() []string { return allBinds(n.do) }

type parallelNode struct{ branches [][]node }

func (n *parallelNode) source() any {
	var all []any
	for _, b := range n.branches {
		all = append(all, sources(b))
	}
	return map[string]any{"parallel": all}
}

func (n *parallelNode) exec(m *machine, e *env) ending {
	var decided ending
	var frames []*env
	for _, b := range n.branches {
		in := e.fork()
		frames = append(frames, in)
		if out := execAll(b, m, in); decided.kind == 0 {
			decided = out
		}
	}
	if decided.kind != 0 {
		return decided
	}
	for i, in := range frames {
		for _, name := range allBinds(n.branches[i]) {
			if v, ok := in.steps[name]; ok {
				e.steps[name] = v
			}
		}
	}
	return ending{}
}

func (n *parallelNode) binds() []string { return allBinds(n.branches...) }

type tryNode struct{ try, catch []node }

func (n *tryNode) source() any {
	return map[string]any{"try": sources(n.try), "catch": sources(n.catch)}
}

func (n *tryNode) exec(m *machine, e *env) ending {
	if out := execAll(n.try, m, e); out.kind != 2 {
		return out
	}
	return execAll(n.catch, m, e)
}

func (n *tryNode) binds() []string { return allBinds(n.try, n.catch) }

type failNode struct{ name string }

func (n *failNode) source() any {
	return map[string]any{"fail": map[string]any{"name": n.name, "message": "m"}}
}

func (n *failNode) exec(*machine, *env) ending { return ending{kind: 2, name: n.name} }
func (n *failNode) binds() []string            { return nil }

type returnNode struct{ value expression }

func (n *returnNode) source() any { return map[string]any{"return": n.value.template()} }

func (n *returnNode) exec(_ *machine, e *env) ending {
	v, ok := n.value.eval(e)
	if !ok {
		return wrong()
	}
	return ending{kind: 1, value: v}
}

func (n *returnNode) binds() []string { return nil }

// toldEnding writes an ending as toldShort writes an outcome.
func toldEnding(e ending) string {
	switch e.kind {
	case 1:
		return strconv.Itoa(e.value)
	case 2:
		return "fails with " + e.name
	}
	return "null"
}

func pretty(v any) string {
	text, _ := json.MarshalIndent(v, "", " ")
	return string(text)
}
