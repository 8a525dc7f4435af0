package program

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
)

// A loop is forEach.
type loop struct {
	at        string
	items     *expr.Template
	as, index string
	atOnce    int // iterations at once; 0: one after the other
	do        block
	binds     []string // names in steps that become lists behind the loop
}

func (c *compiler) loop(m map[string]any, at string, v *view) statement {
	s := &loop{at: at + ".forEach", items: c.expression(m["forEach"], at+".forEach", v), as: "item"}
	in := v.inside()
	if source, ok := m["as"]; ok {
		s.as, _ = source.(string)
	}
	c.local(in, s.as, at+".as")
	if source, ok := m["index"]; ok {
		s.index, _ = source.(string)
		c.local(in, s.index, at+".index")
	}
	if source, ok := m["parallel"]; ok {
		s.atOnce, _ = c.integer(source, at+".parallel", 1, maxParallel)
		in.parallel++
	} else {
		in.sequential++
		in.vars = knownBefore(m["do"], in.vars)
	}
	s.do = c.block(m["do"], at+".do", in)
	s.binds = slices.Sorted(maps.Keys(in.bound))
	v.take(in, s.atOnce == 0)
	return s
}

// knownBefore adds the variables that a sequential loop sets anywhere: from the
// second round on they are there at its beginning.
func knownBefore(source any, known map[string]bool) map[string]bool {
	known = maps.Clone(known)
	var walk func(any)
	walk = func(source any) {
		switch x := source.(type) {
		case []any:
			for _, one := range x {
				walk(one)
			}
		case map[string]any:
			if set, ok := x["set"].(map[string]any); ok {
				for name := range set {
					known[name] = true
				}
			}
			for _, key := range []string{"then", "else", "cases", "do", "try", "catch"} {
				walk(x[key])
			}
		}
	}
	walk(source)
	return known
}

func (s *loop) run(i *interpretation, f *frame) flow {
	v, err := s.items.Eval(i.ctx, f.vars, i.limits.Bytes)
	if err != nil {
		return i.evaluated(s.at, err)
	}
	items, ok := v.Items()
	if !ok {
		return i.evaluated(s.at, fmt.Errorf("gives %s, want a list", v.Kind()))
	}
	if len(items) > i.limits.Moves {
		return stop("The list of %s has %d items, more than the %d statements that a function may execute.", s.at, len(items), i.limits.Moves)
	}
	if s.atOnce > 0 {
		return s.parallel(i, f, items)
	}
	rounds := make([]*frame, len(items))
	for n, item := range items {
		if i.moves++; i.moves > i.limits.Moves {
			return tooLong(i.limits)
		}
		rounds[n] = s.round(f.forkSteps(), n, item)
		if out := s.do.run(i, rounds[n]); out.state != passed {
			return out
		}
	}
	s.collect(f, rounds)
	return flow{}
}

func (s *loop) round(in *frame, n int, item expr.Value) *frame {
	in = in.with(s.as, item)
	if s.index != "" {
		in = in.with(s.index, expr.Int(n))
	}
	return in
}

// parallel runs so many iterations that atOnce of them wait, to the last one
// also where one has failed: a step that was planned must be found when Inngest
// calls for it. Then the first iteration that returned or failed decides, first
// by its number: by time it would be another one in each run.
func (s *loop) parallel(i *interpretation, f *frame, items []expr.Value) flow {
	var decided *flow
	open := 0
	rounds := make([]*frame, 0, len(items))
	for n, item := range items {
		if open == s.atOnce {
			break
		}
		if i.moves++; i.moves > i.limits.Moves {
			return tooLong(i.limits)
		}
		in := f.fork()
		in.path = append(slices.Clone(f.path), n)
		in = s.round(in, n, item)
		rounds = append(rounds, in)
		switch out := s.do.run(i, in); out.state {
		case stopped:
			return out
		case waiting:
			open++
		case returned, failed:
			if decided == nil {
				decided = &out
			}
		}
	}
	switch {
	case open > 0:
		return flow{state: waiting}
	case decided != nil:
		return *decided
	}
	s.collect(f, rounds)
	return flow{}
}

// collect makes lists of what the iterations' steps have given.
func (s *loop) collect(f *frame, rounds []*frame) {
	for _, name := range s.binds {
		all := make([]expr.Value, len(rounds))
		for n, in := range rounds {
			all[n] = expr.Null()
			if v, ok := in.steps.Get(name); ok {
				all[n] = v
			}
		}
		f.steps.Set(name, expr.List(all))
	}
}

// Branches is parallel.
type branches struct{ blocks []block }

func (c *compiler) branches(m map[string]any, at string, v *view) statement {
	at += ".parallel"
	list, ok := m["parallel"].([]any)
	if !ok || len(list) == 0 {
		c.add(at, m["parallel"], "a list: each of its entries is a step or a list of steps")
		return nil
	}
	s := &branches{}
	before := v.inside()
	for n, source := range list {
		at := at + "[" + strconv.Itoa(n) + "]"
		in := before.inside()
		if _, isGroup := source.(map[string]any); isGroup {
			if one := c.single(source, at, in); one != nil {
				s.blocks = append(s.blocks, block{one})
			}
		} else {
			s.blocks = append(s.blocks, c.block(source, at, in))
		}
		v.take(in, false)
	}
	return s
}

// single compiles a statement that stands where a list might.
func (c *compiler) single(source any, at string, v *view) statement {
	c.statements++
	v.depth++
	defer func() { v.depth-- }()
	if v.depth > maxDepth {
		c.add(at, said("one level too deep"), "at most %d lists of steps within each other", maxDepth)
		return nil
	}
	return c.statement(source, at, v)
}

// run goes on when all branches have ended. The first that returns or fails
// decides, first in the order of the text.
func (s *branches) run(i *interpretation, f *frame) flow {
	var decided *flow
	open := false
	frames := make([]*frame, len(s.blocks))
	for n, b := range s.blocks {
		frames[n] = f.fork()
		switch out := b.run(i, frames[n]); out.state {
		case stopped:
			return out
		case waiting:
			open = true
		case returned, failed:
			if decided == nil {
				decided = &out
			}
		}
	}
	switch {
	case open:
		return flow{state: waiting}
	case decided != nil:
		return *decided
	}
	for _, in := range frames {
		f.steps.Take(in.steps)
	}
	return flow{}
}
