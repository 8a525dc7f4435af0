package inbound

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
)

// callee answers calls: an upstream, a host of functions, a waiting room.
type callee interface {
	Do(context.Context, *call.Call) (*call.Answer, error)
}

// pair is the signing of an app on both sides.
type pair interface {
	Verifies() bool                        // false: requests are believed without a signature
	CheckHeader(signature []byte) error    // what can be told before the body is there
	OpenRequest(signature, b []byte) error // is the request's signature good?
	SealRequest(*call.Call) error          // signs the call for the app
	SealChanged(*call.Call) error          // the same for a call whose body the gateway has changed
	NeedsWhole() bool                      // OpenAnswer and SealAnswer want the whole body, inflated
	OpenAnswer(*call.Answer) error         // is the answer's signature good, where there is one?
	SealAnswer(*call.Answer) error         // signs the answer for Inngest
}

// hydrator puts into a call what it was too large to carry. It writes nothing
// where nothing is missing.
type hydrator interface {
	Hydrate(ctx context.Context, body []byte, into *budget.Buffer) error
}

// syncer takes the sync requests on the paths of apps.
type syncer interface {
	Put(context.Context, apps.Put) (*call.Answer, error)
}

// A Route is one app on the listener that Inngest calls.
type Route struct {
	App          string        // id
	Path         string        // exact path on the listener
	UpstreamPath string        // path of the calls at the app's endpoints
	Durable      []string      // prefixes of the app's durable endpoints; their paths are the same at the app
	Origins      []string      // of the app's endpoints, scheme://host:port; redirects there are led back here
	PublicURL    string        // URL of Path as Inngest knows it; empty: not known
	OutageBudget time.Duration // what refusals spread a run's attempts over, > 0
	Compress     bool          // whether large answers are compressed
	Pair         pair
	Callee       callee
	Syncer       syncer
	Hydrator     hydrator // nil: the app reads what calls are too large for
}

// A Table finds the route of a request. It does not change; see [Server.Swap].
type Table struct {
	exact   map[string]*route
	durable []durable // longest prefix first
}

// A durable is a prefix of durable endpoints.
type durable struct {
	prefix string
	route  *route
}

// route is a Route with what is computed once.
type route struct {
	Route
	origins []string // as [originOf] writes them
	public  string   // origin of PublicURL
	metrics routeMetrics
}

// NewTable builds a table.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{exact: make(map[string]*route, len(routes))}
	for _, r := range routes {
		built, err := newRoute(r)
		if err != nil {
			return nil, fmt.Errorf("route of app %q: %w", r.App, err)
		}
		if other := t.exact[r.Path]; other != nil {
			return nil, fmt.Errorf("route of app %q: path %s is the path of app %q", r.App, r.Path, other.App)
		}
		t.exact[r.Path] = built
		for _, prefix := range r.Durable {
			t.durable = append(t.durable, durable{strings.TrimSuffix(prefix, "/"), built})
		}
	}
	slices.SortStableFunc(t.durable, func(a, b durable) int { return len(b.prefix) - len(a.prefix) })
	for i := 1; i < len(t.durable); i++ {
		if a, b := t.durable[i-1], t.durable[i]; a.prefix == b.prefix {
			return nil, fmt.Errorf("durable endpoints %s belong to two apps, %q and %q", a.prefix, a.route.App, b.route.App)
		}
	}
	return t, nil
}

func newRoute(r Route) (*route, error) {
	switch {
	case r.App == "":
		return nil, fmt.Errorf("it has no id")
	case !plainPath([]byte(r.Path)):
		return nil, fmt.Errorf("path %q is no normalised path", r.Path)
	case !plainPath([]byte(r.UpstreamPath)):
		return nil, fmt.Errorf("upstream path %q is no normalised path", r.UpstreamPath)
	case r.OutageBudget <= 0:
		return nil, fmt.Errorf("OutageBudget is %v, must be above 0", r.OutageBudget)
	case r.Pair == nil || r.Callee == nil || r.Syncer == nil:
		return nil, fmt.Errorf("Pair, Callee or Syncer is missing")
	}
	for _, prefix := range r.Durable {
		if !plainPath([]byte(prefix)) || prefix == "/" {
			return nil, fmt.Errorf("durable endpoints %q: no normalised path", prefix)
		}
	}
	built := &route{Route: r}
	for _, text := range r.Origins {
		origin, ok := originOf(text)
		if !ok {
			return nil, fmt.Errorf("origin %q is no scheme://host:port", text)
		}
		built.origins = append(built.origins, origin)
	}
	if r.PublicURL != "" {
		u, err := url.Parse(r.PublicURL)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("public URL %q has no host", r.PublicURL)
		}
		built.public = u.Scheme + "://" + u.Host
	}
	return built, nil
}

// find returns the route of a path, nil if there is none, and whether it is the
// path of a durable endpoint.
func (t *Table) find(path []byte) (r *route, isDurable bool) {
	if r := t.exact[string(path)]; r != nil {
		return r, false
	}
	for _, d := range t.durable {
		rest, ok := bytes.CutPrefix(path, []byte(d.prefix))
		if ok && (len(rest) == 0 || rest[0] == '/') && plainPath(path) {
			return d.route, true
		}
	}
	return nil, false
}

// plainPath tells whether every parser takes a path for the same one, so that
// what lies under a prefix here does so at the app: no dot segments, no empty
// ones, no encoded slashes, dots or backslashes.
func plainPath(path []byte) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	for rest := path[1:]; ; {
		segment, more, cut := bytes.Cut(rest, []byte("/"))
		if !plainSegment(segment, !cut) {
			return false
		}
		if !cut {
			return true
		}
		rest = more
	}
}

func plainSegment(segment []byte, last bool) bool {
	// Some servers cut parameters off a segment first: /..;x/ is /../ to them.
	name, _, _ := bytes.Cut(segment, []byte(";"))
	if len(name) == 0 && !(last && len(segment) == 0) || string(name) == "." || string(name) == ".." {
		return false
	}
	for i, c := range segment {
		switch {
		case c == '\\' || c == '?' || c <= ' ' || c >= 0x7f:
			return false
		case c == '%':
			decoded, ok := unhex(segment[i+1:])
			if !ok || decoded < ' ' || bytes.IndexByte([]byte(`/\.%;`), decoded) >= 0 {
				return false
			}
		}
	}
	return true
}

// unhex reads the two digits of a percent encoding.
func unhex(b []byte) (byte, bool) {
	if len(b) < 2 {
		return 0, false
	}
	var v byte
	for _, c := range b[:2] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | c
	}
	return v, true
}
