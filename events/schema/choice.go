package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Alternatives of several groups in one value multiply, so there is a bound on
// the groups that are told apart and on the alternatives of one.
const (
	maxGroups       = 3
	maxAlternatives = 64
)

// valuesOf returns the values that all enums and consts of the parts allow. It
// returns false if there are none.
func valuesOf(list []part, types []string) (values []any, ok bool) {
	for _, p := range list {
		var these []any
		switch {
		case p.Const != nil:
			these = []any{*p.Const}
		case p.Enum != nil:
			these = p.Enum.Values
		default:
			continue
		}
		if !ok {
			values, ok = these, true
			continue
		}
		values = slices.DeleteFunc(slices.Clone(values), func(v any) bool {
			return !slices.ContainsFunc(these, func(t any) bool { return equal(t, v) })
		})
	}
	if types != nil {
		values = slices.DeleteFunc(slices.Clone(values), func(v any) bool { return !slices.ContainsFunc(types, func(t string) bool { return isOf(v, t) }) })
	}
	return values, ok
}

// equal compares two values of a schema. Numbers may be written in several ways.
func equal(a, b any) bool {
	m, ok := a.(json.Number)
	if n, both := b.(json.Number); ok && both {
		x, err1 := m.Float64()
		y, err2 := n.Float64()
		return x == y && err1 == nil && err2 == nil
	}
	return literalText(a) == literalText(b)
}

// isOf tells whether a value is of a type.
func isOf(value any, name string) bool {
	switch value.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		return name == "number" || name == "integer"
	case []any:
		return name == "array"
	}
	return name == "object"
}

// literals makes a union of values.
func literals(values []any) *shape {
	var all []*shape
	for _, v := range values {
		switch v.(type) {
		case nil:
			all = append(all, &shape{kind: shapeNull})
		case []any:
			all = append(all, &shape{kind: shapeArray, elem: &shape{kind: shapeAny}})
		case map[string]any:
			all = append(all, &shape{kind: shapeMap, elem: &shape{kind: shapeAny}})
		default:
			all = append(all, &shape{kind: shapeLiteral, value: v})
		}
	}
	return union(all...)
}

// alternatives tells one group of anyOf or oneOf apart, the first there is: each
// alternative goes with all that the other parts say. It returns nil if there is
// no such group.
func (b *builder) alternatives(list []part, hint string) *shape {
	told := 0
	for _, p := range list {
		told += number(p.anyOf) + number(p.oneOf)
	}
	if told >= maxGroups {
		return nil
	}
	for i, p := range list {
		rest, group := slices.Clone(list), p.OneOf
		switch {
		case len(p.OneOf) > 0 && !p.oneOf:
			rest[i].oneOf = true
		case len(p.AnyOf) > 0 && !p.anyOf:
			rest[i].anyOf, group = true, p.AnyOf
		default:
			continue
		}
		if len(group) > maxAlternatives {
			return &shape{kind: shapeAny}
		}
		var all []*shape
		for n, alternative := range group {
			of := parts(alternative)
			if !b.standsAlone(of, rest) {
				of = append(slices.Clone(rest), of...)
			}
			all = append(all, b.shape(of, hint+alternativeName(alternative, n)))
		}
		return union(all...)
	}
	return nil
}

func number(told bool) int {
	if told {
		return 1
	}
	return 0
}

// standsAlone tells whether the other parts add nothing to an alternative: there
// are none, or they name a type and the alternative does so as well.
func (b *builder) standsAlone(alternative, rest []part) bool {
	for _, p := range rest {
		if inferred(p) != "" || p.Bool != nil || p.Enum != nil || p.Const != nil ||
			len(p.AnyOf) > 0 && !p.anyOf || len(p.OneOf) > 0 && !p.oneOf {
			return false
		}
	}
	return !slices.ContainsFunc(rest, says) || slices.ContainsFunc(b.gather(alternative), func(p part) bool {
		return p.Types != nil || p.Const != nil || p.Enum != nil
	})
}

// alternativeName is what tells an alternative from the others: its title, the
// value of a member that is fixed, or its number.
func alternativeName(s *jsonschema.Schema, n int) string {
	if name := camel(s.Title); name != "" {
		return name
	}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		if of := s.Properties[key]; of.Const != nil {
			if text, ok := (*of.Const).(string); ok && camel(text) != "" {
				return camel(text)
			}
		}
	}
	return "Option" + strconv.Itoa(n+1)
}

// scalar makes the shape of a value without inner values.
func (b *builder) scalar(list []part, name string) *shape {
	switch name {
	case "null":
		return &shape{kind: shapeNull}
	case "boolean":
		return &shape{kind: shapeBool}
	case "integer":
		return &shape{kind: shapeInteger}
	case "number":
		return &shape{kind: shapeNumber}
	}
	s := &shape{kind: shapeString}
	for _, p := range list {
		s.format = orElse(s.format, b.formatOf(p.Schema))
	}
	return s
}

// formatOf reads a format from the document: the compiler leaves out what its
// draft does not check.
func (b *builder) formatOf(s *jsonschema.Schema) string {
	url, pointer := b.place(s)
	value := b.resources[url].value
	for _, token := range strings.Split(pointer, "/")[1:] {
		switch v := value.(type) {
		case map[string]any:
			value = v[unescape(token)]
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i < len(v) {
				value = v[i]
			}
		}
	}
	if of, ok := value.(map[string]any); ok {
		format, _ := of["format"].(string)
		return format
	}
	return ""
}
