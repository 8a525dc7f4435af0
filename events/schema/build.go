package schema

import (
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A builder makes shapes of compiled schemas.
type builder struct {
	resources map[string]resource
	names     names
	decls     map[string]*decl // by the key of what they are made of
	order     []*decl
	open      map[string]bool // keys of what is being made without a name
}

// maxTypes bounds what schemas can become that combine each other in ever new
// ways. Beyond it, everything may be anything.
const maxTypes = 5000

// A part is a schema that a value must fit, among others. Once its alternatives
// were told apart they do not count any more.
type part struct {
	*jsonschema.Schema
	anyOf, oneOf bool // told apart already
}

func parts(schemas ...*jsonschema.Schema) []part {
	list := make([]part, len(schemas))
	for i, s := range schemas {
		list[i].Schema = s
	}
	return list
}

func newBuilder(set *Set) *builder {
	return &builder{resources: set.resources, names: newNames(), decls: map[string]*decl{}, open: map[string]bool{}}
}

// place is where a schema stands: the URL of its document and a pointer. Events
// are compiled one by one, so the same schema may be there more than once; and a
// document may be found by its path and by its $id.
func (b *builder) place(s *jsonschema.Schema) (url, pointer string) {
	url, pointer, _ = strings.Cut(s.Location, "#")
	if r, ok := b.resources[url]; ok && r.whole {
		url = r.url
	}
	return url, pointer
}

// keyOf tells parts apart.
func (b *builder) keyOf(list []part) string {
	var k strings.Builder
	for _, p := range list {
		url, pointer := b.place(p.Schema)
		k.WriteString(url + "#" + pointer)
		if p.anyOf {
			k.WriteString(" anyOf")
		}
		if p.oneOf {
			k.WriteString(" oneOf")
		}
		k.WriteByte('\n')
	}
	return k.String()
}

// event declares the type for an event's data.
func (b *builder) event(s *schema) *decl {
	name, list := eventType(s.Source), b.gather(parts(s.compiled))
	known := b.decls[b.keyOf(list)]
	switch {
	case known != nil && known.name == name: // another event refers to it
		known.used = true
		return known
	case known == nil && (len(list) > 1 || len(list) == 1 && list[0].Schema == s.compiled):
		return b.declare(list, name, true).named
	}
	// It says nothing, or what has a name of its own.
	d := &decl{name: b.names.take(name), doc: docOf(s.compiled)}
	b.order = append(b.order, d)
	d.alias = b.shape(parts(s.compiled), name)
	return d
}

// shape makes a shape of parts. What has a place of its own in a document gets
// its name from there, else hint is its name.
func (b *builder) shape(list []part, hint string) *shape {
	gathered := b.gather(list)
	k := b.keyOf(gathered)
	if d, ok := b.decls[k]; ok {
		d.used = true
		return &shape{kind: shapeNamed, named: d}
	}
	if b.open[k] || len(b.order) > maxTypes {
		return &shape{kind: shapeAny}
	}
	b.open[k] = true
	defer delete(b.open, k)
	if len(gathered) == 1 && !slices.ContainsFunc(list, func(p part) bool { return p.Schema == gathered[0].Schema }) {
		return b.declare(gathered, b.nameOf(gathered[0].Schema), false)
	}
	return b.build(gathered, hint, nil)
}

// declare gives parts a name. Unless keep, what is simple is not named after all.
func (b *builder) declare(list []part, name string, keep bool) *shape {
	k := b.keyOf(list)
	d := &decl{name: b.names.take(name), used: keep}
	if len(list) > 0 {
		d.doc = docOf(list[0].Schema)
	}
	b.decls[k] = d
	at := len(b.order)
	b.order = append(b.order, d)
	b.build(list, d.name, d)
	if !d.object && !d.used && d.alias.kind <= shapeString {
		delete(b.decls, k)
		delete(b.names, d.name)
		b.order = slices.Delete(b.order, at, at+1)
		return d.alias
	}
	return &shape{kind: shapeNamed, named: d}
}

// gather replaces references and allOf by what they lead to, and leaves out what
// says nothing about shapes.
func (b *builder) gather(list []part) []part {
	var all []part
	seen := map[*jsonschema.Schema]bool{}
	for _, p := range list { // first, or what was told apart would come back
		seen[p.Schema] = true
	}
	var add func(p part)
	follow := func(s *jsonschema.Schema) {
		if s != nil && !seen[s] {
			seen[s] = true
			add(part{Schema: s})
		}
	}
	add = func(p part) {
		if says(p) || p.anyOf || p.oneOf { // that it was told apart must not be forgotten
			all = append(all, p)
		}
		follow(p.Ref)
		follow(p.RecursiveRef)
		if p.DynamicRef != nil {
			follow(p.DynamicRef.Ref)
		}
		for _, inner := range p.AllOf {
			follow(inner)
		}
	}
	for _, p := range list {
		add(p)
	}
	return all
}

// says tells whether a schema itself says something about the shape of a value.
func says(p part) bool {
	return p.Bool != nil && !*p.Bool || p.Types != nil || p.Enum != nil || p.Const != nil ||
		len(p.AnyOf) > 0 && !p.anyOf || len(p.OneOf) > 0 && !p.oneOf || inferred(p) != ""
}

// inferred is the type that the keywords of a schema are about.
func inferred(p part) string {
	switch {
	case p.Properties != nil, p.Required != nil, p.PatternProperties != nil, p.AdditionalProperties != nil:
		return "object"
	case p.Items != nil, p.Items2020 != nil, p.PrefixItems != nil, p.Contains != nil:
		return "array"
	case p.MinLength != nil, p.MaxLength != nil, p.Pattern != nil:
		return "string"
	case p.Minimum != nil, p.Maximum != nil, p.ExclusiveMinimum != nil, p.ExclusiveMaximum != nil, p.MultipleOf != nil:
		return "number"
	}
	return ""
}

// build makes a shape of gathered parts, and of d if it is given.
func (b *builder) build(list []part, hint string, d *decl) *shape {
	s := b.plain(list, hint, d)
	if d != nil && !d.object {
		d.alias = straight(s, d)
	}
	return s
}

// straight takes what leads back to d itself out of the shape that d stands for:
// no language has a type that is itself or a string. What is beside it, also in
// another alias that leads back, is what d comes down to.
func straight(s *shape, d *decl) *shape {
	if !leadsTo(s, d, map[*decl]bool{}) {
		return s
	}
	var kept []*shape
	var expand func(s *shape, seen []*decl)
	expand = func(s *shape, seen []*decl) {
		switch {
		case s.kind == shapeUnion:
			for _, of := range s.of {
				expand(of, seen)
			}
		case !leadsTo(s, d, map[*decl]bool{}):
			kept = append(kept, s)
		case s.named != d && !slices.Contains(seen, s.named):
			expand(s.named.alias, append(seen, s.named))
		}
	}
	expand(s, nil)
	if len(kept) == 0 {
		return &shape{kind: shapeAny}
	}
	return union(kept...)
}

// leadsTo tells whether a shape is d, or may be, by aliases alone.
func leadsTo(s *shape, d *decl, seen map[*decl]bool) bool {
	switch {
	case s == nil:
		return false
	case s.kind == shapeUnion:
		return slices.ContainsFunc(s.of, func(of *shape) bool { return leadsTo(of, d, seen) })
	case s.kind != shapeNamed || seen[s.named]:
		return false
	}
	seen[s.named] = true
	return s.named == d || leadsTo(s.named.alias, d, seen)
}

func (b *builder) plain(list []part, hint string, d *decl) *shape {
	for _, p := range list {
		if p.Bool != nil && !*p.Bool {
			return &shape{kind: shapeNever}
		}
	}
	types := typesOf(list)
	if values, ok := valuesOf(list, types); ok {
		return literals(values)
	}
	if s := b.alternatives(list, hint); s != nil {
		return s
	}
	if types == nil {
		return &shape{kind: shapeAny}
	}
	var all []*shape
	for _, name := range types {
		switch name {
		case "object":
			if d != nil && len(types) > 1 {
				d, hint = nil, hint+"Object"
			}
			all = append(all, b.object(list, hint, d))
		case "array":
			all = append(all, b.array(list, hint))
		default:
			all = append(all, b.scalar(list, name))
		}
	}
	return union(all...)
}

// typesOf returns the types that all parts allow, or that their keywords are
// about if none names one; nil for any.
func typesOf(list []part) []string {
	var types []string
	named := false
	for _, p := range list {
		if p.Types == nil || p.Types.IsEmpty() {
			continue
		}
		these := p.Types.ToStrings()
		if !named {
			named, types = true, these
			continue
		}
		var both []string
		for _, t := range types {
			switch {
			case slices.Contains(these, t), t == "integer" && slices.Contains(these, "number"):
				both = append(both, t)
			case t == "number" && slices.Contains(these, "integer"):
				both = append(both, "integer")
			}
		}
		types = both
	}
	if named {
		return slices.Compact(append([]string{}, types...))
	}
	for _, p := range list {
		if t := inferred(p); t != "" && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// nameOf is the name of a schema that others refer to, by its place in its
// document.
func (b *builder) nameOf(s *jsonschema.Schema) string {
	url, pointer := b.place(s)
	owner, last := "", unescape(path.Base(pointer))
	if r := b.resources[url]; r.document != nil && r.Name != "" {
		owner = eventType(r.Source)
	}
	switch {
	case pointer == "" && owner != "":
		return owner
	case pointer == "":
		last = strings.TrimSuffix(path.Base(url), path.Ext(url))
	}
	if owner == "" {
		return exported(camel(last), "Type")
	}
	return owner + camel(last)
}

func docOf(s *jsonschema.Schema) string { return orElse(s.Description, s.Title) }
