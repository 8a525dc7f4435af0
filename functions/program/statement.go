package program

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// A block is a list of statements that are executed one after the other.
type block []statement

// A statement is one entry of a list of steps: a step, or something that decides
// which steps run.
type statement interface {
	run(i *interpretation, f *frame) flow
}

// A form is one kind of statement.
type form struct {
	keys    []string // beside the one that names the kind
	compile func(c *compiler, source map[string]any, at string, v *view) statement
}

// forms returns the kinds of statements by the key that makes them.
func forms() map[string]form {
	all := map[string]form{
		"sleep":         {stepKeys(), (*compiler).sleep},
		"sleepUntil":    {stepKeys(), (*compiler).sleepUntil},
		"waitForEvent":  {stepKeys(), (*compiler).waitForEvent},
		"waitForSignal": {stepKeys(), (*compiler).waitForSignal},
		"sendEvent":     {stepKeys(), (*compiler).sendEvent},
		"invoke":        {stepKeys(), (*compiler).invoke},
		"fetch":         {stepKeys(), (*compiler).fetch},
		"ai":            {stepKeys(), (*compiler).ai},
		"if":            {[]string{"then", "else"}, (*compiler).condition},
		"switch":        {[]string{"cases", "else"}, (*compiler).choice},
		"forEach":       {[]string{"as", "index", "parallel", "do"}, (*compiler).loop},
		"parallel":      {nil, (*compiler).branches},
		"try":           {[]string{"catch", "error"}, (*compiler).attempt},
		"set":           {nil, (*compiler).set},
		"return":        {nil, (*compiler).result},
		"fail":          {nil, (*compiler).fail},
	}
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		keys := []string{"query", "headers", "body", "timeout", "expect", "output", "retries"}
		all[method] = form{append(keys, stepKeys()...), (*compiler).httpStep}
	}
	return all
}

// block compiles a list of statements.
func (c *compiler) block(source any, at string, v *view) block {
	list, ok := source.([]any)
	if !ok {
		c.add(at, source, "a list of steps")
		return nil
	}
	if len(list) == 0 {
		c.add(at, said("an empty list"), "at least one step")
	}
	v.depth++
	defer func() { v.depth-- }()
	if v.depth > maxDepth {
		c.add(at, said("one list too deep"), "at most %d lists of steps within each other", maxDepth)
		return nil
	}
	var out block
	for i, one := range list {
		if c.statements++; c.statements == maxStatements+1 {
			c.add(at+"["+strconv.Itoa(i)+"]", said("one too many"), "at most %d entries in all lists of steps", maxStatements)
		}
		if s := c.statement(one, at+"["+strconv.Itoa(i)+"]", v); s != nil {
			out = append(out, s)
		}
	}
	return out
}

func (c *compiler) statement(source any, at string, v *view) statement {
	m, ok := source.(map[string]any)
	if !ok {
		c.add(at, source, "a step: a group of keys")
		return nil
	}
	kinds := forms()
	kind := kindOf(m, kinds)
	if kind == "" {
		c.noKind(m, at, kinds)
		return nil
	}
	known := append([]string{kind}, kinds[kind].keys...)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(known, key) {
			continue
		}
		if _, other := kinds[key]; other {
			c.add(at+"."+key, said("a second kind of step beside "+kind), "one kind of step in each entry")
			continue
		}
		if key == "id" || key == "as" {
			c.add(at+"."+key, m[key], "no %s: %s is no step that Inngest keeps", key, kind)
			continue
		}
		c.unknown(at+"."+key, key, known)
	}
	return kinds[kind].compile(c, m, at, v)
}

// kindOf returns the key that names the kind. "parallel" is also a key of
// forEach.
func kindOf(m map[string]any, kinds map[string]form) string {
	if _, ok := m["forEach"]; ok {
		return "forEach"
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if _, ok := kinds[key]; ok {
			return key
		}
	}
	return ""
}

func (c *compiler) noKind(m map[string]any, at string, kinds map[string]form) {
	names := slices.Sorted(maps.Keys(kinds))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if close := spelling.Nearest(key, names); close != "" && key != "id" && key != "as" {
			c.add(at+"."+key, said("an unknown key"), "a kind of step, perhaps %s", close)
			return
		}
	}
	c.add(at, said("a group without a kind of step"), "one of %s", strings.Join(names, ", "))
}
