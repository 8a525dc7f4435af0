package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Set holds compiled schemas. It never changes, so any number of goroutines
// may use it.
type Set struct {
	byEvent   map[key]*schema
	schemas   []*schema // those of events, in the order of the sources
	resources map[string]resource
}

type key struct{ name, version string }

func (k key) String() string {
	if k.version == "" {
		return k.name
	}
	return fmt.Sprintf("%s, version %q", k.name, k.version)
}

type schema struct {
	*document
	compiled *jsonschema.Schema
}

// mostViolations is how many violations of one event are told. One wrong element
// of a long array is seldom alone.
const mostViolations = 20

// A Failure says that an event violates its schema.
type Failure struct {
	Event      string // the event's name
	Version    string // of the schema, empty if it is for all versions
	From       string // where the schema came from
	Mode       Mode
	Violations []Violation // at least one, sorted by path
	More       int         // how many others there are
}

// Error says all that Violations say.
func (f *Failure) Error() string {
	texts := make([]string, len(f.Violations))
	for i, v := range f.Violations {
		texts[i] = v.String()
	}
	text := fmt.Sprintf("event %s violates its schema: %s", f.Event, strings.Join(texts, "; "))
	if f.More > 0 {
		text += fmt.Sprintf("; and %d more", f.More)
	}
	return text
}

// Len returns the number of schemas for events.
func (s *Set) Len() int { return len(s.schemas) }

// Has tells whether a schema is meant for events of that name and version. It
// allocates nothing.
func (s *Set) Has(name, version []byte) bool { return s.find(name, version) != nil }

// find returns the schema for exactly that version, else that for all versions.
func (s *Set) find(name, version []byte) *schema {
	if found := s.byEvent[key{string(name), string(version)}]; found != nil || len(version) == 0 {
		return found
	}
	return s.byEvent[key{string(name), ""}]
}

// Check checks an event's data, which must be valid JSON; nil stands for an empty
// object. It returns nil if the data is as its schema wants or if there is none.
func (s *Set) Check(name, version, data []byte) *Failure {
	found := s.find(name, version)
	if found == nil {
		return nil
	}
	value, err := decode(data)
	if err == nil {
		err = found.compiled.Validate(value)
	}
	if err == nil {
		return nil
	}
	f := &Failure{Event: found.Name, Version: found.Version, From: found.From, Mode: found.Mode}
	var violated *jsonschema.ValidationError
	if !errors.As(err, &violated) {
		f.Violations = []Violation{{Path: "data", Want: "must be JSON"}}
		return f
	}
	f.Violations = violations(violated, "data", value)
	if len(f.Violations) > mostViolations {
		f.More = len(f.Violations) - mostViolations
		f.Violations = f.Violations[:mostViolations]
	}
	return f
}

// decode reads data with its numbers as they are written.
func decode(data []byte) (any, error) {
	if data = bytes.TrimSpace(data); len(data) == 0 || string(data) == "null" {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	return bounded(value), nil
}

// bounded makes every number one that exact arithmetic can bear: 1e-999999999 as
// a fraction has a billion digits. Inngest reads all numbers as 64-bit floats, so
// one that is long or has an exponent may be one here.
func bounded(value any) any {
	const longest = 40
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = bounded(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = bounded(inner)
		}
	case json.Number:
		if len(v) > longest || strings.ContainsAny(string(v), "eE") {
			f, err := strconv.ParseFloat(string(v), 64)
			if err != nil { // beyond the largest float: no event gets here with one
				return json.Number("0")
			}
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
	}
	return value
}
