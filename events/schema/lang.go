package schema

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Lang is what types are printed in.
type Lang string

// The languages. LangJSON is one JSON Schema for whole events that holds all
// others.
const (
	LangTypeScript Lang = "ts"
	LangGo         Lang = "go"
	LangPython     Lang = "python"
	LangJSON       Lang = "json"
)

// Langs returns all languages.
func Langs() []Lang { return []Lang{LangTypeScript, LangGo, LangPython, LangJSON} }

// Types prints a type for the data of each event and for all that they refer to,
// the same text for the same schemas.
func (s *Set) Types(w io.Writer, lang Lang) error {
	var text string
	var err error
	switch lang {
	case LangTypeScript:
		text = typeScript(s.declare())
	case LangGo:
		text, err = golang(s.declare())
	case LangPython:
		text = python(s.declare())
	case LangJSON:
		text, err = s.bundle()
	default:
		return fmt.Errorf("types in %q: want one of %v", lang, Langs())
	}
	if err != nil {
		return fmt.Errorf("types in %s: %w", lang, err)
	}
	_, err = io.WriteString(w, text)
	return err
}

// declarations are all types that are printed.
type declarations struct {
	events []eventDecl // in the order of their names
	all    []*decl
	names  names
}

// An eventDecl is the type for the data of an event.
type eventDecl struct {
	*decl
	event, version string
}

func (s *Set) declare() declarations {
	b := newBuilder(s)
	var events []eventDecl
	for _, of := range s.sorted() {
		events = append(events, eventDecl{b.event(of), of.Name, of.Version})
	}
	return declarations{events, b.order, b.names}
}

// sorted returns the schemas by event and version.
func (s *Set) sorted() []*schema {
	return slices.SortedFunc(slices.Values(s.schemas), func(a, b *schema) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Version, b.Version)
	})
}

// comment writes text as lines that begin with lead. No line can end the comment:
// what begins a line is ours, and what ends a block is spaced out.
func comment(b *strings.Builder, lead, text string) {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && (r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085') {
			return ' '
		}
		return r
	}, strings.TrimSpace(text))
	if text == "" {
		return
	}
	for _, line := range strings.Split(text, "\n") {
		b.WriteString(strings.TrimRight(lead+strings.ReplaceAll(line, "*/", "* /"), " ") + "\n")
	}
}

// about joins what is to be said about a field.
func about(f field, more ...string) string {
	all := []string{f.doc}
	inner, _ := f.shape.nullable()
	if inner.kind == shapeString && inner.format != "" {
		all = append(all, "Format: "+inner.format)
	}
	all = append(all, more...)
	return strings.TrimSpace(strings.Join(all, "\n"))
}
