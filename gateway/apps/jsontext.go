package apps

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Registrations and stream wrappers are edited as text: what is not replaced
// stays byte for byte, so no number passes through a float64 and no member is
// lost because we do not know it.

// A span is a part of a text.
type span struct{ from, to int }

// A member is one member of an object: name and value as they stand in the
// text. Names compare without regard to case, as encoding/json in the server
// does it (the Python SDK writes appname).
type member struct {
	name  string
	from  int // where the name begins
	value span
}

func (m member) is(name string) bool { return strings.EqualFold(m.name, name) }

// whole returns the span of a valid JSON text without the white space around
// it, false if the text is none.
func whole(text []byte) (span, bool) {
	if !json.Valid(text) {
		return span{}, false
	}
	from := skipSpace(text, 0)
	return span{from, skipValue(text, from)}, true
}

// members returns the members of the object at that place of a valid text,
// false if the value there is no object.
func members(text []byte, at span) ([]member, bool) {
	if text[at.from] != '{' {
		return nil, false
	}
	var all []member
	for i := skipSpace(text, at.from+1); text[i] != '}'; {
		m := member{from: i}
		i = skipValue(text, i)
		m.name = unquote(text[m.from:i])
		i = skipSpace(text, skipSpace(text, i)+1) // the colon
		m.value.from = i
		i = skipValue(text, i)
		m.value.to = i
		all = append(all, m)
		if i = skipSpace(text, i); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return all, true
}

// elements returns the elements of the array at that place of a valid text,
// none if the value there is no array.
func elements(text []byte, at span) []span {
	if text[at.from] != '[' {
		return nil
	}
	var all []span
	for i := skipSpace(text, at.from+1); text[i] != ']'; {
		to := skipValue(text, i)
		all = append(all, span{i, to})
		if i = skipSpace(text, to); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return all
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skipValue returns where the value that begins at i ends.
func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		return skipNested(text, i)
	}
	for i < len(text) && !isSpace(text[i]) && text[i] != ',' && text[i] != '}' && text[i] != ']' {
		i++
	}
	return i
}

func skipString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipNested(text []byte, i int) int {
	for depth := 0; ; i++ {
		switch text[i] {
		case '"':
			i = skipString(text, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
}

// unquote returns the text of a JSON string, empty if the value is none.
func unquote(value []byte) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// quote returns s as a JSON string, with & < > as they are.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("apps: a string cannot be written as JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// An edit replaces a part of a text.
type edit struct {
	span
	with []byte
}

// parts returns the edited text in pieces, without a copy of what stays. The
// edits are in the order of the text and do not overlap.
func parts(text []byte, edits []edit) [][]byte {
	pieces := make([][]byte, 0, 2*len(edits)+1)
	at := 0
	for _, e := range edits {
		pieces = append(pieces, text[at:e.from], e.with)
		at = e.to
	}
	return append(pieces, text[at:])
}
