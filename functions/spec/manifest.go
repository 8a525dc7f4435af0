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
				return nil, Problems{{key, "not a setting", `the member "functions" alone`}}
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

// methods are the keys of a step whose value is a URL of a backend.
func methods() []string { return []string{"get", "post", "put", "patch", "delete"} }

// local makes the URLs of a manifest's steps that begin with "/" absolute. It
// leaves alone what is no list of steps: bodies, events, results.
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
		m := make(map[string]any, len(v))
		for key, one := range v {
			text, isText := one.(string)
			switch {
			case isText && slices.Contains(methods(), key) && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//"):
				m[key] = origin(r.base) + text
			case slices.Contains(values(), key):
				m[key] = one
			default:
				m[key] = r.local(one)
			}
		}
		return m
	}
	return source
}

// values are keys of a step below which there are no steps.
func values() []string {
	return []string{"body", "headers", "query", "data", "set", "return", "fail", "sendEvent", "waitForEvent", "waitForSignal", "invoke", "fetch", "ai", "if"}
}
