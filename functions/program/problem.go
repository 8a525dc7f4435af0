package program

import (
	"fmt"
	"strings"
)

// A Scope says where a program stands.
type Scope struct {
	Path string // of the list of steps, first in the path of each problem: functions[1].steps
	App  string // id of the app that the function belongs to, for an invoke that names none

	// Secret resolves what stands as "env:NAME" or "file:PATH" for the whole
	// value of a header or of an ai key. Want says what is wrong, if not empty.
	// Nil: such a value is sent as it is. A program that comes from elsewhere
	// than the operator's file must not be given one: it could send secrets.
	Secret func(reference string) (value, want string)
}

// A Problem is one thing wrong with a program.
type Problem struct {
	Path string // functions[1].steps[2].then[0].post
	Got  string // what stands there
	Want string // what would be accepted, in words
}

// String returns the problem as one line.
func (p Problem) String() string { return p.Path + " is " + p.Got + ", want " + p.Want }

// Problems is everything wrong with a program.
type Problems []Problem

// Error returns the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// shown returns a value of the source as a problem shows it.
func shown(v any) string {
	switch x := v.(type) {
	case nil:
		return "not set"
	case string:
		return fmt.Sprintf("%q", shorten(x))
	case []any:
		return "a list"
	case map[string]any:
		return "a group"
	case map[any]any:
		return "a group with names that are no texts"
	}
	return shorten(fmt.Sprint(v))
}

func shorten(text string) string {
	const most = 100
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most]) + "…"
}
