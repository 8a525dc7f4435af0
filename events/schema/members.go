package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// object makes the shape of an object: with members of known names a declaration,
// else a map.
func (b *builder) object(list []part, hint string, d *decl) *shape {
	members, required := membersOf(list)
	if len(members) == 0 {
		others, _ := b.others(list, hint)
		return &shape{kind: shapeMap, elem: others}
	}
	if d == nil {
		k := b.keyOf(list) + "object"
		if known, ok := b.decls[k]; ok {
			return &shape{kind: shapeNamed, named: known}
		}
		d = &decl{name: b.names.take(hint)}
		if len(list) == 1 {
			d.doc = docOf(list[0].Schema)
		}
		b.decls[k] = d
		b.order = append(b.order, d)
	}
	d.object = true
	for _, name := range slices.Sorted(maps.Keys(members)) {
		f := field{key: name, required: required[name]}
		f.shape = b.shape(members[name], d.name+orElse(camel(name), "Member"))
		for _, p := range members[name] {
			f.doc = orElse(f.doc, docOf(p.Schema))
		}
		d.fields = append(d.fields, f)
	}
	if others, described := b.others(list, d.name); described {
		d.rest = others
	}
	return &shape{kind: shapeNamed, named: d}
}

// membersOf collects the members that parts name, and which of them are required.
func membersOf(list []part) (members map[string][]part, required map[string]bool) {
	members, required = map[string][]part{}, map[string]bool{}
	for _, p := range list {
		for name, s := range p.Properties {
			members[name] = append(members[name], part{Schema: s})
		}
		for _, name := range p.Required {
			required[name] = true
			if _, ok := members[name]; !ok {
				members[name] = nil
			}
		}
	}
	return members, required
}

// others is the shape of the members of an object that have no name in the
// schema, and whether it describes them. Every part must be satisfied, so the
// first that says something will do.
func (b *builder) others(list []part, hint string) (s *shape, described bool) {
	for _, p := range list {
		var all []*shape
		byPattern := func(a, b jsonschema.Regexp) int { return strings.Compare(a.String(), b.String()) }
		for _, re := range slices.SortedFunc(maps.Keys(p.PatternProperties), byPattern) {
			all = append(all, b.shape(parts(p.PatternProperties[re]), hint+"Value"))
		}
		switch more := p.AdditionalProperties.(type) {
		case *jsonschema.Schema:
			all = append(all, b.shape(parts(more), hint+"Value"))
		case bool:
			if more {
				continue
			}
		default:
			continue
		}
		s = union(all...)
		return s, s.kind != shapeNever && s.kind != shapeAny
	}
	return &shape{kind: shapeAny}, false
}

// array makes the shape of an array.
func (b *builder) array(list []part, hint string) *shape {
	var items []part
	least := 0
	for _, p := range list {
		if p.MinItems != nil {
			least = max(least, *p.MinItems)
		}
	}
	for _, p := range list {
		first, rest := p.PrefixItems, any(p.Items2020)
		if p.Items2020 == nil {
			rest = nil
		}
		switch of := p.Items.(type) {
		case *jsonschema.Schema:
			items = append(items, part{Schema: of})
		case []*jsonschema.Schema:
			first, rest = of, p.AdditionalItems
		}
		if len(first) > 0 {
			return b.tuple(first, rest, least, hint)
		}
		if p.Items2020 != nil {
			items = append(items, part{Schema: p.Items2020})
		}
	}
	return &shape{kind: shapeArray, elem: b.shape(items, hint+"Item")}
}

func (b *builder) tuple(first []*jsonschema.Schema, rest any, least int, hint string) *shape {
	t := &shape{kind: shapeTuple, least: min(least, len(first))}
	for i, s := range first {
		t.of = append(t.of, b.shape(parts(s), hint+"Item"+strconv.Itoa(i+1)))
	}
	switch more := rest.(type) {
	case nil:
		t.elem = &shape{kind: shapeAny}
	case bool:
		if more {
			t.elem = &shape{kind: shapeAny}
		}
	case *jsonschema.Schema:
		if t.elem = b.shape(parts(more), hint+"Item"); t.elem.kind == shapeNever {
			t.elem = nil
		}
	}
	return t
}
