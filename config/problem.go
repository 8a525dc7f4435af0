package config

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing wrong with a configuration.
type Problem struct {
	Path   string // apps[1].upstream.endpoints[0], as the user wrote it
	Got    string // the value in quotes, a secret as ***, or in words what is there instead
	Want   string // what would be accepted, in words
	Source string // the file, the environment variable or the flag that said it; empty if none did
	Line   int    // in the file, from 1; 0 outside files
}

// String writes the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Source != "" {
		b.WriteString(p.Source)
		if p.Line > 0 {
			b.WriteString(":" + strconv.Itoa(p.Line))
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + " is ")
	}
	b.WriteString(p.Got + ", want " + p.Want)
	return b.String()
}

// Problems is everything wrong with a configuration, never empty as an error.
type Problems []Problem

// Error writes one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// What stands in Problem.Got where no value can.
const (
	gotNothing = "not set"
	gotUnknown = "not a setting"
	gotGroup   = "a group of settings"
	gotList    = "a list"
	gotValue   = "a single value"
)

// An origin is where a value was written.
type origin struct {
	source string
	line   int
}

// problems collects what is wrong. Of two problems with the same value the
// first is kept: what could not be read is not checked as well.
type problems struct {
	origins map[string]origin // by path
	told    map[string]bool   // paths of values with a problem: true; of what they stand in: false
	list    Problems
}

// add notes a problem with what stands at a path.
func (p *problems) add(path, got, want string) {
	if p.tell(path) {
		p.addAt(p.origin(path), path, got, want)
	}
}

// tell notes that a value has a problem; false if it, something in it, or what
// it stands in has one already.
func (p *problems) tell(path string) bool {
	if _, told := p.told[path]; told {
		return false
	}
	for at := parent(path); at != ""; at = parent(at) {
		if p.told[at] {
			return false
		}
	}
	if p.told == nil {
		p.told = map[string]bool{}
	}
	for at := parent(path); at != ""; at = parent(at) {
		p.told[at] = false
	}
	p.told[path] = true
	return true
}

// addAt notes a problem with how something was written, not with its value.
func (p *problems) addAt(at origin, path, got, want string) {
	p.list = append(p.list, Problem{Path: path, Got: got, Want: want, Source: at.source, Line: at.line})
}

// origin returns where a path was written, or else the group it is missing in.
func (p *problems) origin(path string) origin {
	for path != "" {
		if at, ok := p.origins[path]; ok {
			return at
		}
		path = parent(path)
	}
	return origin{}
}

// originBelow returns where the first setting below a path was written.
func (p *problems) originBelow(path string) origin {
	for _, known := range slices.Sorted(maps.Keys(p.origins)) {
		if rest, ok := strings.CutPrefix(known, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return p.origins[known]
		}
	}
	return origin{}
}

// err returns the problems in the order of the file, or nil if there are none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return p.list
}

// parent returns the path of the group or list that a path stands in.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// quoted shows a value, shortened, and never a signing key or a password in a
// URL, or a URL's query: those stand in the wrong place often enough.
func quoted(text string) string {
	if strings.Contains(text, "signkey-") {
		return mask
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			text = scheme + "://" + mask + rest[i:]
		}
		if before, _, ok := strings.Cut(text, "?"); ok {
			text = before + "?" + mask // tokens travel there
		}
	}
	const most = 100
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}
