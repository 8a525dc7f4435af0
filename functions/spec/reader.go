package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
)

// A Problem is one thing wrong with a function.
type Problem struct {
	Path string // functions[1].triggers[0].cron, as it was written
	Got  string // the value, in quotes if it is a text, or in words what is there instead
	Want string // what would be accepted, in words
}

// String writes the problem in one line.
func (p Problem) String() string { return p.Path + " is " + p.Got + ", want " + p.Want }

// Problems is everything that is wrong, in the order in which it was found.
type Problems []Problem

// Error writes one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

const gotNothing = "not set"

// A reading walks what a decoder gave and notes what does not fit.
type reading struct {
	Reader
	base     *url.URL // of a manifest: where it was published; nil: a file of the operator's
	problems Problems
	told     map[string]bool // paths with a problem
	servers  map[string]*expr.Server
	language *program.Language
}

// add notes a problem, unless the value has one already: what could not be read
// is not checked as well.
func (r *reading) add(path, got, want string) {
	for at := path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if r.told[at] {
			return
		}
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[path] = true
	r.note(path, got, want)
}

// note adds a problem with how settings stand together, which does not keep
// each of them from having its own.
func (r *reading) note(path, got, want string) {
	r.problems = append(r.problems, Problem{path, got, want})
}

// A setting reads the value of one key into where it belongs.
type setting func(v any, at string)

// group reads a mapping by a table of its keys, false if it is none. A key
// without a value counts as not written.
func (r *reading) group(v any, at string, keys map[string]setting) bool {
	m, ok := v.(map[string]any)
	if !ok {
		r.add(at, kindOf(v), "a group of settings: "+listed(slices.Sorted(maps.Keys(keys))))
		return false
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		read, known := keys[key]
		switch {
		case !known:
			r.add(at+"."+key, "not a setting", r.meant(key, slices.Sorted(maps.Keys(keys))))
		case m[key] != nil:
			read(m[key], at+"."+key)
		}
	}
	return true
}

// meant names the keys that an unknown one may have been meant to be.
func (r *reading) meant(key string, known []string) string {
	if near := nearest(key, known); near != "" {
		return near
	}
	return "one of " + listed(known)
}

// list reads each element of a sequence, false if it is none.
func (r *reading) list(v any, at string, each setting) bool {
	l, ok := v.([]any)
	if !ok {
		r.add(at, kindOf(v), "a list")
		return false
	}
	for i, one := range l {
		each(one, fmt.Sprintf("%s[%d]", at, i))
	}
	return true
}

// text reads a text. A number or a truth value is one too: an id of digits
// only is easily written without quotes.
func (r *reading) text(into *string) setting {
	return func(v any, at string) {
		switch v := v.(type) {
		case string:
			*into = v
		case int, int64, uint64, bool:
			*into = fmt.Sprint(v)
		default:
			r.add(at, kindOf(v), "a text")
		}
	}
}

func (r *reading) number(into *int) setting {
	return func(v any, at string) {
		if n, ok := whole(v); ok {
			*into = n
			return
		}
		r.add(at, shown(v), "a whole number")
	}
}

// whole reads what decoders make of whole numbers.
func whole(v any) (int, bool) {
	const most = 1 << 31 // of anything that is counted
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		n = int64(min(v, most))
	case float64:
		if n = int64(v); float64(n) != v {
			return 0, false
		}
	default:
		return 0, false
	}
	return int(n), n <= most && n >= -most
}

// kindOf says what a value is that is of the wrong kind.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return gotNothing
	case map[string]any:
		return "a group of settings"
	case []any:
		return "a list"
	case string:
		return "a text"
	case bool:
		return "true or false"
	}
	return "a number"
}

// shown writes a value for people: shortened, without what looks like a key.
func shown(v any) string {
	text, isText := v.(string)
	if !isText {
		switch v.(type) {
		case nil, map[string]any, []any:
			return kindOf(v)
		}
		return fmt.Sprint(v)
	}
	if strings.Contains(text, "signkey-") {
		return "***"
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
			text = scheme + "://***" + rest[strings.LastIndexByte(host, '@'):]
		}
	}
	const most = 100
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}

// listed writes "a, b or c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// decodeJSON reads JSON as YAML is read: whole numbers are integers.
func decodeJSON(text []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the JSON value at byte %d", d.InputOffset())
	}
	return plain(v), nil
}

// plain replaces the numbers of a JSON decoder.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, one := range v {
			v[key] = plain(one)
		}
	case []any:
		for i, one := range v {
			v[i] = plain(one)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range: infinite, which no setting takes
		return f
	}
	return v
}
