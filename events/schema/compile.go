package schema

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Compile makes a set of sources. An error is of type Problems and holds all
// that is wrong with any of them.
func Compile(sources []Source) (*Set, error) {
	c := compiler{resources: map[string]resource{}, events: map[key]string{}}
	for i, s := range sources {
		c.add(i, s)
	}
	set := &Set{byEvent: map[key]*schema{}, resources: c.resources}
	for _, d := range c.documents {
		compiled := c.compile(d)
		if compiled == nil || d.Name == "" {
			continue
		}
		s := &schema{document: d, compiled: compiled}
		set.schemas = append(set.schemas, s)
		set.byEvent[key{d.Name, d.Version}] = s
	}
	if len(c.problems) > 0 {
		slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Source - b.Source })
		return nil, c.problems
	}
	return set, nil
}

// A compiler compiles each document by itself, so that one that is broken does
// not hide what is wrong with the next.
type compiler struct {
	resources map[string]resource // by URL
	documents []*document
	events    map[key]string // where the source of an event came from
	problems  Problems
}

func (c *compiler) problem(i int, s Source, at, says string) {
	c.problems = append(c.problems, Problem{Source: i, From: s.From, At: at, Says: says})
}

// add reads a source.
func (c *compiler) add(i int, s Source) {
	switch {
	case s.Name == "" && s.Version != "":
		c.problem(i, s, "", fmt.Sprintf("has version %q but no event", s.Version))
	case s.Name != "" && s.Mode != ModeEnforce && s.Mode != ModeWarn:
		c.problem(i, s, "", fmt.Sprintf("mode is %q, want %s or %s", s.Mode, ModeEnforce, ModeWarn))
	}
	if k := (key{s.Name, s.Version}); s.Name != "" {
		if other, ok := c.events[k]; ok {
			c.problem(i, s, "", fmt.Sprintf("event %s has a schema already, from %s", k, other))
			return
		}
		c.events[k] = s.From
	}
	d, err := read(i, s)
	if err != nil {
		c.problem(i, s, "", err.Error())
		return
	}
	if same, ok := c.resources[d.url]; ok && same.whole && same.From == s.From && bytes.Equal(same.Text, s.Text) {
		c.documents = append(c.documents, d) // one file for several events
		return
	}
	resources := d.resources()
	for _, url := range slices.Sorted(maps.Keys(resources)) {
		if other, ok := c.resources[url]; ok {
			c.problem(i, s, "", fmt.Sprintf("has the address %s, which %s has already", shown(url), other.From))
			return
		}
	}
	maps.Copy(c.resources, resources)
	c.documents = append(c.documents, d)
}

// compile compiles one document; nil after noting what is wrong with it.
func (c *compiler) compile(d *document) *jsonschema.Schema {
	if c.strayRefs(d) {
		return nil
	}
	lib := jsonschema.NewCompiler()
	lib.DefaultDraft(jsonschema.Draft2020)
	lib.UseLoader(given(c.resources))
	compiled, err := lib.Compile(d.url)
	if err == nil {
		if circular(compiled) {
			c.problem(d.source, d.Source, "", "is made of references that go round in a circle")
			return nil
		}
		return compiled
	}
	var invalid *jsonschema.SchemaValidationError
	if !errors.As(err, &invalid) {
		c.problem(d.source, d.Source, "", shown(err.Error()))
		return nil
	}
	if in, _, _ := strings.Cut(invalid.URL, "#"); in != d.url {
		return nil // said of the other document
	}
	var violated *jsonschema.ValidationError
	if !errors.As(invalid.Err, &violated) {
		c.problem(d.source, d.Source, "", shown(invalid.Err.Error()))
		return nil
	}
	for _, v := range violations(violated, "schema", d.doc) {
		c.problem(d.source, d.Source, pointer(v.tokens), v.Want)
	}
	return nil
}

// circular tells whether a schema cannot be applied because it refers to itself
// for the same value, as {"$ref": "#"} does.
func circular(s *jsonschema.Schema) bool {
	var violated *jsonschema.ValidationError
	if !errors.As(s.Validate(map[string]any{}), &violated) {
		return false
	}
	all := []*jsonschema.ValidationError{violated}
	for len(all) > 0 {
		if _, ok := all[0].ErrorKind.(*kind.RefCycle); ok {
			return true
		}
		all = append(all[1:], all[0].Causes...)
	}
	return false
}

// strayRefs notes every reference of a document to one that is not there. The
// compiler would stop at the first.
func (c *compiler) strayRefs(d *document) (stray bool) {
	var missing []string
	d.walk(func(base string, schema map[string]any) {
		for _, keyword := range [...]string{"$ref", "$dynamicRef", "$recursiveRef"} {
			ref, ok := schema[keyword].(string)
			if !ok {
				continue
			}
			if to := resolve(base, ref); c.resources[to].document == nil && !metaSchema(to) {
				missing = append(missing, fmt.Sprintf("%s %q leads to %s, which is not among the schemas", keyword, ref, shown(to)))
			}
		}
	})
	slices.Sort(missing)
	for _, says := range slices.Compact(missing) {
		c.problem(d.source, d.Source, "", says)
	}
	return len(missing) > 0
}

// metaSchema tells whether a URL is one of the schemas of schemas, which the
// compiler brings along.
func metaSchema(url string) bool {
	return strings.HasPrefix(url, "http://json-schema.org/") || strings.HasPrefix(url, "https://json-schema.org/")
}

// shown makes the compiler's texts fit for people, who know where a source came
// from by its path.
func shown(text string) string { return strings.ReplaceAll(text, "source://", "") }

// given is the only loader: what is not among the sources is not there.
type given map[string]resource

// Load returns what has that URL.
func (g given) Load(url string) (any, error) {
	if r, ok := g[url]; ok {
		return r.value, nil
	}
	return nil, errors.New("it is not among the schemas, and nothing is loaded from elsewhere")
}
