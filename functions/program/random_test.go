package program_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	"pgregory.net/rapid"
)

// Random programs and what they mean. Each node knows its source, and how it is
// executed at once, without a memo, by plain Go: two ways to the same result.

// node is a random statement.
type node interface {
	source() any
	exec(m *machine, e *env) ending
	binds() []string // names in steps
}

// An ending is how a statement went.
type ending struct {
	kind  int // 0: go on; 1: returned; 2: failed
	value int // returned
	name  string
}

// env holds values by name.
type env struct {
	steps  map[string]any // int: {"n": int}; maybe: an event or null; []any: a loop's
	vars   map[string]int
	locals map[string]int
	path   string // of iterations: the machine's own step ids
}

type maybe bool

func (e *env) fork() *env {
	return &env{maps.Clone(e.steps), maps.Clone(e.vars), maps.Clone(e.locals), e.path}
}

func (e *env) with(name string, v, n int) *env {
	in := *e
	in.locals = maps.Clone(e.locals)
	in.locals[name] = v
	in.path += "/" + strconv.Itoa(n)
	return &in
}

// A machine makes the calls of a program at once.
type machine struct{ calls map[string]int }

// backendSays is what the random programs' backend answers for good: a number
// or, sometimes, an error.
func backendSays(target, body string) (n int, fails bool) {
	h := fnv.New32a()
	fmt.Fprint(h, target, body)
	return int(h.Sum32()>>4) % 5, h.Sum32()%7 == 0
}

// serverSays is whether a wait gets an event.
func serverSays(id string) maybe {
	h := fnv.New32a()
	fmt.Fprint(h, id)
	return h.Sum32()%3 != 0
}

// An expr is a random expression that gives a number.
type expression struct {
	text string
	eval func(e *env) (int, bool)
}

func (x expression) template() string { return "${" + x.text + "}" }

// known is what may be used at a place.
type known struct {
	numbers, waits, lists, vars, locals []string
}

func (k known) clone() known {
	return known{slices.Clone(k.numbers), slices.Clone(k.waits), slices.Clone(k.lists), slices.Clone(k.vars), slices.Clone(k.locals)}
}

type generator struct {
	t     *rapid.T
	ids   int
	loops int
	left  int // statements that may still be made
}

func (g *generator) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

func (g *generator) expression(k *known, depth int) expression {
	type maker func() expression
	makers := []maker{func() expression {
		n := rapid.IntRange(0, 4).Draw(g.t, "n")
		return expression{strconv.Itoa(n), func(*env) (int, bool) { return n, true }}
	}}
	if len(k.numbers) > 0 {
		makers = append(makers, func() expression {
			name := g.pick("step", k.numbers)
			return expression{"steps." + name + ".n", func(e *env) (int, bool) { n, ok := e.steps[name].(int); return n, ok }}
		})
	}
	if len(k.waits) > 0 {
		makers = append(makers, func() expression {
			name := g.pick("wait", k.waits)
			return expression{"(steps." + name + " == null ? 1 : 3)", func(e *env) (int, bool) {
				got, ok := e.steps[name].(maybe)
				if got {
					return 3, ok
				}
				return 1, ok
			}}
		})
	}
	if len(k.lists) > 0 {
		makers = append(makers, func() expression {
			name := g.pick("list", k.lists)
			return expression{"steps." + name + ".filter(x, x != null).size()", func(e *env) (int, bool) {
				all, ok := e.steps[name].([]any)
				n := 0
				for _, one := range all {
					if one != nil && one != maybe(false) {
						n++
					}
				}
				return n, ok
			}}
		})
	}
	if len(k.vars) > 0 {
		makers = append(makers, func() expression {
			name := g.pick("var", k.vars)
			return expression{"vars." + name, func(e *env) (int, bool) { n, ok := e.vars[name]; return n, ok }}
		})
	}
	if len(k.locals) > 0 {
		makers = append(makers, func() expression {
			name := g.pick("local", k.locals)
			return expression{name, func(e *env) (int, bool) { n, ok := e.locals[name]; return n, ok }}
		})
	}
	if depth > 0 {
		makers = append(makers, func() expression {
			a, b := g.expression(k, depth-1), g.expression(k, depth-1)
			return expression{"(" + a.text + " + " + b.text + ") % 11", func(e *env) (int, bool) {
				x, ok := a.eval(e)
				y, also := b.eval(e)
				return (x + y) % 11, ok && also
			}}
		})
	}
	return rapid.SampledFrom(makers).Draw(g.t, "expression")()
}

// block makes a list of statements and adds what they bind.
func (g *generator) block(k *known, depth int) []node {
	var out []node
	for range rapid.IntRange(1, 3).Draw(g.t, "length") {
		g.left--
		out = append(out, g.statement(k, depth))
	}
	return out
}

func (g *generator) statement(k *known, depth int) node {
	kinds := []string{"call", "call", "call", "wait", "nap", "set"}
	if depth > 0 && g.left > 0 {
		kinds = append(kinds, "if", "switch", "for", "for", "parallel", "try", "end")
	}
	switch g.pick("kind", kinds) {
	case "call":
		g.ids++
		s := &callNode{id: "c" + strconv.Itoa(g.ids), body: g.expression(k, 1)}
		if len(k.locals) > 0 && rapid.Bool().Draw(g.t, "templated") {
			s.suffix = k.locals[len(k.locals)-1]
		}
		k.numbers = append(k.numbers, s.id)
		return s
	case "wait", "nap":
		g.ids++
		s := &waitNode{id: "w" + strconv.Itoa(g.ids)}
		k.waits = append(k.waits, s.id)
		return s
	case "set":
		s := &setNode{name: g.pick("name", []string{"a", "b", "c"}), value: g.expression(k, 1)}
		k.vars = append(k.vars, s.name)
		return s
	case "if":
		s := &ifNode{test: g.expression(k, 1)}
		other := k.clone()
		s.then = g.block(k, depth-1)
		s.els = g.block(&other, depth-1)
		k.join(other)
		return s
	case "switch":
		s := &switchNode{on: g.expression(k, 1), is: rapid.IntRange(0, 4).Draw(g.t, "is")}
		other := k.clone()
		s.then = g.block(k, depth-1)
		s.els = g.block(&other, depth-1)
		k.join(other)
		return s
	case "for":
		return g.loop(k, depth)
	case "parallel":
		s := &parallelNode{}
		before := k.clone()
		for range rapid.IntRange(1, 3).Draw(g.t, "branches") {
			in := before.clone()
			s.branches = append(s.branches, g.block(&in, depth-1))
			in.vars = nil
			k.join(in)
		}
		return s
	case "try":
		s := &tryNode{}
		s.try = g.block(k, depth-1)
		s.catch = g.block(k, depth-1)
		return s
	}
	if rapid.Bool().Draw(g.t, "fail") {
		return &failNode{name: "F" + strconv.Itoa(rapid.IntRange(0, 3).Draw(g.t, "n"))}
	}
	return &returnNode{value: g.expression(k, 1)}
}

func (g *generator) loop(k *known, depth int) node {
	g.loops++
	s := &loopNode{as: "i" + strconv.Itoa(g.loops), atOnce: rapid.IntRange(0, 3).Draw(g.t, "parallel")}
	for range rapid.IntRange(0, 3).Draw(g.t, "items") {
		s.items = append(s.items, rapid.IntRange(0, 3).Draw(g.t, "item"))
	}
	in := k.clone()
	in.locals = append(in.locals, s.as)
	s.do = g.block(&in, depth-1)
	if s.atOnce == 0 {
		k.vars = in.vars
	}
	for _, b := range s.do {
		k.lists = append(k.lists, b.binds()...)
	}
	return s
}

// join adds what another way may have bound.
func (k *known) join(other known) {
	k.numbers, k.waits = union(k.numbers, other.numbers), union(k.waits, other.waits)
	k.lists, k.vars = union(k.lists, other.lists), union(k.vars, other.vars)
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}
