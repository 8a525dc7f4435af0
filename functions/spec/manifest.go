package spec

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// ManifestPath is where a backend publishes its functions.
const ManifestPath = "/.well-known/inngest-functions"

// mostFunctions bounds a manifest.
const mostFunctions = 1000

// ReadManifest reads what a backend publishes: JSON, {"functions": [...]} with
// each function as in a file, or the list alone. base is the URL of the backend.
//
// A manifest is believed less than the operator's file: its functions are in
// the Reader's app, they call no other host than the one that published them,
// and no text in it is a reference to a secret of the gateway's. URLs may begin
// with "/": they are the publisher's.
func (r Reader) ReadManifest(text []byte, base string) ([]Function, Problems) {
	const at = "functions"
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, Problems{{at, shown(base), "the URL of a backend"}}
	}
	source, err := decodeJSON(text)
	if err != nil {
		return nil, Problems{{at, "no JSON: " + err.Error(), `JSON: {"functions": [...]}`}}
	}
	if m, ok := source.(map[string]any); ok {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if key != at {
				return nil, Problems{{"manifest", "an object with the member " + shown(key), `the member "functions" alone`}}
			}
		}
		source = m[at]
	}
	if list, ok := source.([]any); ok && len(list) > mostFunctions {
		return nil, Problems{{at, fmt.Sprintf("%d functions", len(list)), fmt.Sprintf("at most %d", mostFunctions)}}
	}
	r.Secret = nil
	all, problems := r.read(&reading{Reader: r, base: u}, source, at)
	for i := range all {
		all[i].Published = base
	}
	return all, problems
}

// resolve reads a URL. In a manifest one that begins with "/" is the publisher's.
func (r *reading) resolve(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || r.base == nil || u.IsAbs() || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		return u, err
	}
	return r.base.ResolveReference(u), nil
}

// reachable notes a backend that a manifest must not name.
func (r *reading) reachable(to, at, text string) {
	if r.base != nil && to != origin(r.base) {
		r.add(at, shown(text), "a URL of "+origin(r.base)+", which published it: a manifest cannot send the gateway elsewhere")
	}
}

// local makes the URLs of a manifest's steps that begin with "/" absolute. It
// follows the keys that hold further steps, and leaves what they send alone.
func (r *reading) local(source any) any {
	if r.base == nil {
		return source
	}
	switch v := source.(type) {
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = r.local(one)
		}
		return list
	case map[string]any:
		m := maps.Clone(v)
		for _, key := range []string{"then", "else", "cases", "do", "parallel", "try", "catch"} {
			if inner, ok := m[key]; ok {
				m[key] = r.local(inner)
			}
		}
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			text, ok := m[method].(string)
			if ok && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
				m[method] = origin(r.base) + text
			}
		}
		return m
	}
	return source
}
