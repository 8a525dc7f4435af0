package outbound

import (
	"net/url"
	"strings"
)

// A credential says what a route does with the token of a request.
type credential uint8

const (
	credNone     credential = iota // passed without Authorization
	credKey                        // a known token is exchanged for the real signing key
	credKeyOrJWT                   // the same, but a token that Inngest itself gave out passes as it is
	credOwn                        // only tokens that Inngest gave out, in the query or as bearer: they pass as they are
	credEvent                      // the event key is the last segment of the path
)

// A wait says how long Inngest may take to answer.
type wait uint8

const (
	waitAnswer wait = iota // as long as an ordinary answer takes
	waitOutput             // the server holds the request for up to five minutes
	waitStream             // the answer is a stream, or comes after an upload of any length
)

// A route is one kind of request. Its name is the value of the metric label.
type route struct {
	name    string
	method  string // empty: any
	pattern string // {} is any one segment, a final ... any rest
	cred    credential
	wait    wait
	stream  bool // the body is a stream by nature: never buffered, never sent twice
	upgrade bool // a WebSocket upgrade is passed
	events  bool // goes to the event API, and its errors have that API's shape

	segments []string
	rest     bool
}

// routeTable is the whole of what real keys are used for: the paths that
// SDKs ask for (pkg/api, pkg/coreapi, pkg/api/apiv1, pkg/execution/realtime
// and pkg/connect of inngest/inngest 1.43). The first route that fits counts.
func routeTable() []route {
	routes := []route{
		{name: "event", method: "POST", pattern: "/e/{}", cred: credEvent, events: true}, // answered by package events
		{name: "event_keyless", method: "POST", pattern: "/e", events: true},
		{name: "event_keyless", method: "POST", pattern: "/e/", events: true},
		{name: "register", method: "POST", pattern: "/fn/register"}, // answered by package gateway/apps
		{name: "invoke", method: "POST", pattern: "/invoke/{}", cred: credKey},

		{name: "run", method: "GET", pattern: "/v0/runs/{}/batch", cred: credKey},
		{name: "run", method: "GET", pattern: "/v0/runs/{}/actions", cred: credKey},
		{name: "connect_start", method: "POST", pattern: "/v0/connect/start", cred: credKey},
		{name: "connect_flush", method: "POST", pattern: "/v0/connect/flush", cred: credKey},
		{name: "connect_gateway", method: "GET", pattern: ticketPath + "{}", upgrade: true},
		{name: "telemetry", method: "POST", pattern: "/v0/telemetry", cred: credKey},
		{name: "gql", method: "POST", pattern: "/v0/gql", cred: credKey},

		{name: "signal", method: "POST", pattern: "/v1/signals", cred: credKey},
		{name: "api", method: "GET", pattern: "/v1/events/...", cred: credKey},
		{name: "api", method: "POST", pattern: "/v1/runs/{}/metadata", cred: credKey},
		{name: "api", method: "GET", pattern: "/v1/runs/...", cred: credKey},
		{name: "api", method: "GET", pattern: "/v1/jobs/...", cred: credKey},
		{name: "api", method: "GET", pattern: "/v1/apps/...", cred: credKey},
		{name: "api", method: "GET", pattern: "/v1/cancellations", cred: credKey},
		{name: "api", method: "POST", pattern: "/v1/cancellations", cred: credKey},
		{name: "api", method: "DELETE", pattern: "/v1/cancellations/{}", cred: credKey},
		{name: "trace", method: "POST", pattern: "/v1/traces/userland", cred: credKey},

		{name: "realtime", method: "POST", pattern: "/v1/realtime/token", cred: credKey},
		{name: "realtime", method: "POST", pattern: "/v1/realtime/publish", cred: credKeyOrJWT},
		{name: "tee", method: "POST", pattern: "/v1/realtime/publish/tee", cred: credKeyOrJWT, wait: waitStream, stream: true},
		{name: "realtime_connect", method: "GET", pattern: "/v1/realtime/connect", cred: credOwn, wait: waitStream, upgrade: true},
		{name: "sse", method: "GET", pattern: "/v1/realtime/sse", cred: credOwn, wait: waitStream},
		{name: "sse", method: "GET", pattern: "/realtime/sse", cred: credOwn, wait: waitStream},

		// But for what listsKeys names.
		{name: "v2", pattern: "/v2/...", cred: credKey},
		{name: "v2", pattern: "/api/v2/...", cred: credKey},
	}
	// Durable endpoints have the checkpoint API under a second name.
	for _, prefix := range []string{"/v1/checkpoint", "/v1/http/runs"} {
		routes = append(routes,
			route{name: "checkpoint", method: "POST", pattern: prefix, cred: credKey},
			route{name: "checkpoint", method: "POST", pattern: prefix + "/{}/steps", cred: credKey},
			route{name: "checkpoint", method: "POST", pattern: prefix + "/{}/async", cred: credKey},
			route{name: "output", method: "GET", pattern: prefix + "/{}/output", cred: credOwn, wait: waitOutput},
		)
	}
	// What is left, without any credential.
	routes = append(routes,
		route{name: "other", pattern: "/..."},
	)
	for i := range routes {
		r := &routes[i]
		r.segments = strings.Split(strings.TrimPrefix(r.pattern, "/"), "/")
		if last := len(r.segments) - 1; r.segments[last] == "..." {
			r.segments, r.rest = r.segments[:last], true
		}
	}
	return routes
}

// A router finds the route of a path.
type router struct {
	routes      []route
	strayEvents route // of a POST to what is nearly a path of the event API
}

func newRouter() router {
	return router{routeTable(), route{name: "event_stray", events: true}}
}

// find returns the route of a path that [decodePath] took. The last route of
// the table takes everything.
func (t *router) find(method string, segments []string) *route {
	last := &t.routes[len(t.routes)-1]
	switch {
	case listsKeys(segments):
		return last
	case nearEvents(segments) && method == "POST":
		return &t.strayEvents
	}
	for i := range t.routes {
		r := &t.routes[i]
		if (r.method == "" || r.method == method) && r.takes(segments) {
			return r
		}
	}
	return last
}

// listsKeys tells whether a path is one of those under which API v2 shows an
// account's signing and event keys. A local key must not be worth the real
// one, so these are no different from unknown paths. The comparison is wider
// than the server's, since proxies in front of it may read more into a path:
// encoded slashes count as slashes, empty segments, parameters, white space
// and letter case do not count.
func listsKeys(segments []string) bool {
	var names []string
	for _, segment := range segments {
		if len(names) == 0 && segment == "e" {
			return false // what nearly all requests begin with
		}
		whole, _ := decodedWhole(segment) // decodePath has refused what has no end
		for _, part := range strings.Split(whole, "/") {
			if name := strings.ToLower(strings.TrimSpace(withoutParameters(part))); name != "" {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 && names[0] == "api" {
		names = names[1:]
	}
	return len(names) > 1 && names[0] == "v2" && names[1] == "keys"
}

// nearEvents tells whether a path is one of the event API misspelled: other
// letter case, or something behind the key. It may hold an event key.
func nearEvents(segments []string) bool {
	return strings.EqualFold(segments[0], "e") && (segments[0] != "e" || len(segments) > 2)
}

func (r *route) takes(segments []string) bool {
	if len(segments) < len(r.segments) || (!r.rest && len(segments) != len(r.segments)) {
		return false
	}
	for i, want := range r.segments {
		if want == "{}" {
			if segments[i] == "" {
				return false
			}
		} else if segments[i] != want {
			return false
		}
	}
	return true
}

// withoutParameters cuts off what some servers take for parameters of a
// segment: /..;x/ is /../ to them.
func withoutParameters(segment string) string {
	name, _, _ := strings.Cut(segment, ";")
	return name
}

// decodedWhole decodes a text until that changes nothing: readers in a row may
// each decode once more. Nobody needs more than a few rounds.
func decodedWhole(text string) (whole string, ok bool) {
	for range 4 {
		decoded, err := url.PathUnescape(text)
		if err != nil || decoded == text {
			return text, true
		}
		text = decoded
	}
	return text, false
}

// plain tells whether a segment reads the same to everybody: most do.
func plain(segment string) bool {
	for i := range len(segment) {
		switch c := segment[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return segment != ""
}

// decodePath splits a path at its slashes and decodes each segment once, as a
// server would. It refuses what another reader could take for another path:
// dot segments, also encoded ones, those with parameters and those behind an
// encoded slash, empty segments except one at the end, backslashes and control
// characters.
func decodePath(path string) (segments []string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	segments = strings.Split(path[1:], "/")
	for i, s := range segments {
		if plain(s) {
			continue
		}
		decoded, err := url.PathUnescape(s)
		if err != nil || (decoded == "" && i < len(segments)-1) {
			return nil, false
		}
		whole, ok := decodedWhole(decoded)
		if !ok {
			return nil, false
		}
		for _, part := range strings.Split(whole, "/") {
			if name := withoutParameters(part); name == "." || name == ".." {
				return nil, false
			}
		}
		if strings.ContainsFunc(whole, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return nil, false
		}
		segments[i] = decoded
	}
	return segments, true
}
