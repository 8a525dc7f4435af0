package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A shape is what a value looks like, as far as the types of programming
// languages can say it.
type shape struct {
	kind   shapeKind
	of     []*shape // of a union its alternatives, of a tuple its first items
	elem   *shape   // of an array its items, of a map its values, of a tuple its other items or nil
	least  int      // items of a tuple that are always there
	value  any      // of a literal: a string, a json.Number, a bool
	named  *decl    // of a named shape
	format string   // of a string, as the schema calls it
}

type shapeKind uint8

const (
	shapeAny shapeKind = iota
	shapeNever
	shapeNull
	shapeBool
	shapeInteger
	shapeNumber
	shapeString
	shapeLiteral
	shapeArray
	shapeTuple
	shapeMap
	shapeNamed
	shapeUnion
)

// A decl is a shape with a name: an object with members, or an alias.
type decl struct {
	name   string
	doc    string
	object bool
	fields []field // of an object, sorted by key
	rest   *shape  // of an object: what further members are; nil if the schema says nothing
	alias  *shape  // of anything else
	used   bool    // something else refers to it
}

// A field is a member of an object.
type field struct {
	key      string
	required bool
	shape    *shape
	doc      string
}

// id is the same text for equal shapes.
func (s *shape) id() string {
	switch s.kind {
	case shapeLiteral:
		return literalText(s.value)
	case shapeNamed:
		return fmt.Sprintf("%p", s.named)
	case shapeString:
		return "string " + s.format
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d(", s.kind, s.least)
	for _, inner := range s.of {
		b.WriteString(inner.id() + ",")
	}
	if s.elem != nil {
		b.WriteString("..." + s.elem.id())
	}
	return b.String() + ")"
}

// union makes one shape of several. Null comes last; a literal beside the shape
// that includes it is left out.
func union(shapes ...*shape) *shape {
	var all []*shape
	for _, s := range shapes {
		if s.kind == shapeUnion {
			all = append(all, s.of...)
		} else {
			all = append(all, s)
		}
	}
	has := map[shapeKind]bool{}
	for _, s := range all {
		has[s.kind] = true
	}
	if has[shapeAny] {
		return &shape{kind: shapeAny}
	}
	seen := map[string]bool{}
	var kept, null []*shape
	for _, s := range all {
		switch {
		case s.kind == shapeNever, s.kind == shapeLiteral && has[literalKind(s.value)], s.kind == shapeInteger && has[shapeNumber], seen[s.id()]:
			continue
		case s.kind == shapeString && has[shapeString] && slices.ContainsFunc(kept, func(k *shape) bool { return k.kind == shapeString }):
			for _, k := range kept {
				if k.kind == shapeString {
					k.format = "" // of two formats neither is sure
				}
			}
			continue
		}
		seen[s.id()] = true
		if s.kind == shapeNull {
			null = append(null, s)
		} else if s.kind == shapeString {
			copied := *s
			kept = append(kept, &copied)
		} else {
			kept = append(kept, s)
		}
	}
	kept = append(kept, null...)
	switch len(kept) {
	case 0:
		return &shape{kind: shapeNever}
	case 1:
		return kept[0]
	}
	return &shape{kind: shapeUnion, of: kept}
}

// literalKind is the kind of shape that includes a literal.
func literalKind(value any) shapeKind {
	switch value.(type) {
	case string:
		return shapeString
	case bool:
		return shapeBool
	}
	return shapeNumber
}

// literalText is a literal as JSON.
func literalText(value any) string {
	text, err := json.Marshal(value)
	if err != nil { // it came from JSON
		return "null"
	}
	return string(text)
}

// nullable splits a shape into what it is beside null and whether it may be null.
func (s *shape) nullable() (*shape, bool) {
	if s.kind != shapeUnion || s.of[len(s.of)-1].kind != shapeNull {
		return s, s.kind == shapeNull
	}
	return union(s.of[:len(s.of)-1]...), true
}

// literals returns the values of a union of literals of one kind.
func (s *shape) literals(kind shapeKind) []any {
	all := []*shape{s}
	if s.kind == shapeUnion {
		all = s.of
	}
	var values []any
	for _, l := range all {
		if l.kind != shapeLiteral || literalKind(l.value) != kind {
			return nil
		}
		values = append(values, l.value)
	}
	return values
}
