package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Mode says what happens to an event that violates a schema. This package only
// carries it.
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce" // the event is refused
	ModeWarn    Mode = "warn"    // it is counted and taken
)

// A Source is a JSON Schema and the events that it is for.
type Source struct {
	Name    string // of the event; empty for one that others refer to
	Version string // the event's v; empty for all versions without a source of their own
	From    string // where the text came from: a file's path, or where it stands in the configuration
	Text    []byte // JSON
	Mode    Mode   // needed with a name
}

// Problems are all that is wrong with the sources.
type Problems []Problem

// A Problem is one thing wrong with a source.
type Problem struct {
	Source int    // its index
	From   string // its From
	At     string // where in the schema, as a JSON pointer; empty if it is about all of it
	Says   string
}

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// String returns the problem and where it is.
func (p Problem) String() string {
	if p.At == "" {
		return fmt.Sprintf("%s: %s", p.From, p.Says)
	}
	return fmt.Sprintf("%s at %s: %s", p.From, p.At, p.Says)
}

// A document is a source that could be read.
type document struct {
	source int
	Source
	url string // absolute, what its references resolve against
	doc any
}

// read parses a source.
func read(i int, s Source) (*document, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.Text))
	if err != nil {
		return nil, fmt.Errorf("is no JSON: %w", atLine(s.Text, err))
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, errors.New("is no schema: want an object, true or false")
	}
	return &document{source: i, Source: s, url: address(s.From), doc: doc}, nil
}

// atLine adds the line to a syntax error.
func atLine(text []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset > int64(len(text)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:syntax.Offset], []byte("\n")), err)
}

// address makes a URL of where a source came from, so that relative references
// work as between files. Its scheme is nobody's, so that nothing can be loaded.
func address(from string) string {
	return (&url.URL{Scheme: "source", Host: "", Path: path.Clean("/" + from)}).String()
}

// A resource is a document, or a part of one that has an $id of its own: what a
// URL leads to.
type resource struct {
	*document
	value any
	whole bool // it is all of the document
}

// resources returns what other documents may refer to, by URL.
func (d *document) resources() map[string]resource {
	all := map[string]resource{d.url: {d, d.doc, true}}
	first := true
	d.walk(func(base string, schema map[string]any) {
		if _, known := all[base]; !known {
			all[base] = resource{d, schema, first}
		}
		first = false
	})
	return all
}

// idKeyword is what the document's draft calls an $id.
func (d *document) idKeyword() string {
	if root, ok := d.doc.(map[string]any); ok {
		if draft, ok := root["$schema"].(string); ok && strings.Contains(draft, "draft-04") {
			return "id"
		}
	}
	return "$id"
}

// walk visits every object of the document that may be a schema, with the URL
// that its references resolve against.
func (d *document) walk(visit func(base string, schema map[string]any)) {
	walk(d.doc, d.url, d.idKeyword(), visit)
}

// opaque are the keywords whose values are no schemas, whatever they look like.
func opaque(keyword string) bool {
	switch keyword {
	case "const", "enum", "default", "examples":
		return true
	}
	return false
}

func walk(value any, base, idKeyword string, visit func(base string, schema map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		if id, ok := value[idKeyword].(string); ok {
			base = resolve(base, id)
		}
		visit(base, value)
		for keyword, inner := range value {
			if !opaque(keyword) {
				walk(inner, base, idKeyword, visit)
			}
		}
	case []any:
		for _, inner := range value {
			walk(inner, base, idKeyword, visit)
		}
	}
}

// resolve returns the URL that a reference leads to, without its fragment. What
// is no URL leads to where it stands; the compiler has its own words for it.
func resolve(base, ref string) string {
	ref, _, _ = strings.Cut(ref, "#")
	from, err := url.Parse(base)
	if err != nil {
		return base
	}
	to, err := url.Parse(ref)
	if err != nil || ref == "" {
		return base
	}
	return from.ResolveReference(to).String()
}

// unescape reads a token of a JSON pointer in a URL's fragment.
func unescape(token string) string {
	if plain, err := url.PathUnescape(token); err == nil {
		token = plain
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
}
