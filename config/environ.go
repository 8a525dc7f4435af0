package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// Prefixes and names of variables that are read. VariableOf gives the name of
// every other one.
const (
	prefix       = "GATEWAY_"
	levels       = "__" // between the levels of a path
	fileVariable = "GATEWAY_CONFIG"
	urlVariable  = "GATEWAY_APP_URL"
)

// An environment is a process's environment, as os.Environ gives it.
type environment []string

// lookup returns the value of a variable; of two with one name the last counts.
func (e environment) lookup(name string) (string, bool) {
	for i := len(e) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e[i], name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// get returns the value of a variable, empty if it is not set: compose files and
// charts write empty variables where nothing is meant.
func (e environment) get(name string) string {
	value, _ := e.lookup(name)
	return strings.TrimSpace(value)
}

// A standardVariable is one that SDKs read too.
type standardVariable struct {
	name  string
	paths []string // what it sets
	fills bool     // counts only where no source says anything else
}

// standardVariables lists them, but for INNGEST_DEV; those that say more
// exactly what they set come last.
func standardVariables() []standardVariable {
	return []standardVariable{
		{name: "INNGEST_SIGNING_KEY", paths: []string{"inngest.signing_key"}},
		{name: "INNGEST_SIGNING_KEY_FALLBACK", paths: []string{"inngest.signing_key_fallback"}},
		{name: "INNGEST_EVENT_KEY", paths: []string{"inngest.event_key"}},
		{name: "INNGEST_ENV", paths: []string{"inngest.env"}},
		{name: "INNGEST_BASE_URL", paths: []string{"inngest.api_url", "inngest.event_url"}},
		{name: "INNGEST_API_BASE_URL", paths: []string{"inngest.api_url"}},
		{name: "INNGEST_EVENT_API_BASE_URL", paths: []string{"inngest.event_url"}},
		{name: "INNGEST_SERVE_ORIGIN", paths: []string{"public_url"}, fills: true},
		{name: "INNGEST_SERVE_PATH", paths: []string{"apps[0].path"}, fills: true},
	}
}

const (
	devVariable = "INNGEST_DEV"
	devServer   = "http://localhost:8288" // where SDKs look for it
)

// standard reads the variables that SDKs read too. What is in fill counts only
// where no source says anything else.
func (e environment) standard(p *problems) (over, fill layer) {
	over, fill = newLayer(), newLayer()
	set := func(l layer, name, value string, paths ...string) {
		for _, path := range paths {
			l.set(keysOf(path), value, origin{source: name}, p)
		}
	}
	dev := e.get(devVariable)
	switch strings.ToLower(dev) {
	case "":
	case "0", "false":
		set(over, devVariable, "false", "insecure_skip_verify")
	case "1", "true":
		set(over, devVariable, "true", "insecure_skip_verify")
		set(fill, devVariable, devServer, "inngest.api_url", "inngest.event_url")
	default:
		if _, ok := parseBase(dev); !ok {
			p.addAt(origin{source: devVariable}, "insecure_skip_verify", quoted(dev), "1, 0, or the URL of a development server")
			break
		}
		set(over, devVariable, "true", "insecure_skip_verify")
		set(over, devVariable, dev, "inngest.api_url", "inngest.event_url")
	}
	for _, v := range standardVariables() {
		into := over
		if v.fills {
			into = fill
		}
		if value := e.get(v.name); value != "" {
			set(into, v.name, value, v.paths...)
		}
	}
	return over, fill
}

// variables reads the variables of all settings. Those whose name is not known
// are left to others, a Kubernetes Service called gateway among them, unless
// they have two underscores, which only we write.
func (e environment) variables(p *problems) layer {
	l := newLayer()
	var names []string
	for _, entry := range e {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // a list as a whole before its elements
	for _, name := range slices.Compact(names) {
		value, at := e.get(name), origin{source: name}
		if value == "" || name == fileVariable || name == urlVariable {
			continue
		}
		keys := strings.Split(strings.ToLower(name[len(prefix):]), levels)
		switch to := setting(keys); {
		case to.found == len(keys) && to.isSetting():
			l.set(keys, value, at, p)
		case to.found == len(keys):
			p.addAt(at, to.path, gotValue, "variables of its settings, "+name+levels+"…")
		case len(keys) > 1:
			p.addAt(at, "", "no setting's variable", suggestion(keys, to))
		}
	}
	return l
}

// suggestion names the variables that an unknown one may have been meant to be.
func suggestion(keys []string, to place) string {
	known := slices.Clone(keys[:to.found])
	switch {
	case isGroup(to.typ):
		siblings := names(to.typ)
		if near := spelling.Nearest(keys[to.found], siblings); near != "" {
			siblings = []string{near}
		}
		for i, name := range siblings {
			siblings[i] = variable(append(slices.Clone(known), name))
		}
		return listed(siblings)
	case isList(to.typ):
		return variable(append(known, "0")) + " or another index"
	}
	return variable(known)
}

// VariableOf returns the name of the variable of a setting, by its path.
func VariableOf(path string) string { return variable(keysOf(path)) }

// variable returns the name of the variable of a setting.
func variable(keys []string) string {
	return prefix + strings.ToUpper(strings.Join(keys, levels))
}

const wantAppURL = "the URL of the app, such as http://127.0.0.1:3000/api/inngest, or unix:///path of its socket"

// appURL reads the URL of the only app, as a sidecar has it. Its path is also
// the path at the gateway where nothing else is said.
func appURL(text string, at origin, p *problems) (over, fill layer) {
	over, fill = newLayer(), newLayer()
	if text == "" {
		return over, fill
	}
	endpoint, path := text, ""
	if u, err := url.Parse(text); err == nil && u.Scheme != "unix" {
		path = strings.TrimRight(u.EscapedPath(), "/")
		endpoint = strings.TrimRight(strings.TrimSuffix(text, u.EscapedPath()), "/")
	}
	if _, ok := parseEndpoint(endpoint); !ok {
		p.addAt(at, "", quoted(text), wantAppURL)
		return over, fill
	}
	put(over.tree, keysOf("apps[0].upstream.endpoints"), []any{endpoint}, at, p)
	over.origins["apps[0].upstream.endpoints[0]"] = at
	if path != "" {
		fill.set(keysOf("apps[0].upstream.path"), path, at, p)
		fill.set(keysOf("apps[0].path"), path, at, p)
	}
	return over, fill
}
