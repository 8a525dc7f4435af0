package inbound

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// checkRedirect makes sure that a redirect leads nowhere but back here: the
// server follows them with body, signature and all headers, to any host.
func (x *exchange) checkRedirect(a *call.Answer) *refusal {
	switch a.Status {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	var location []byte
	count := 0
	for _, f := range a.Fields {
		if equalFold(f.Name, "location") {
			location = f.Value
			count++
		}
	}
	if count == 0 {
		return nil // followed by nobody
	}
	if count == 1 {
		if to, ok := x.route.leadBack(string(location)); ok {
			if to != string(location) {
				a.Set("Location", to)
			}
			return nil
		}
	}
	return x.badAnswer(inngest.CodeUpstreamRedirect, a,
		"redirects the call to another host; Inngest would send the signed call there")
}

// leadBack returns where a redirect to location may lead: a relative one
// passes, one to an endpoint of the app becomes the public URL of it.
func (r *route) leadBack(location string) (string, bool) {
	// Some parsers take a backslash for a slash.
	if strings.ContainsAny(location, "\\ \t") {
		return "", false
	}
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" || u.User != nil {
		return "", false
	}
	if u.Scheme == "" && u.Host == "" {
		return location, !strings.HasPrefix(location, "//")
	}
	origin, ok := originOf(u.Scheme + "://" + u.Host)
	if u.Scheme == "" { // //host/path: the scheme is that of any endpoint
		ok = slices.ContainsFunc(r.origins, func(o string) bool {
			scheme, _, _ := strings.Cut(o, "://")
			origin, _ = originOf(scheme + "://" + u.Host)
			return o == origin
		})
	}
	if !ok || !slices.Contains(r.origins, origin) || strings.HasPrefix(u.Path, "//") {
		return "", false
	}
	if u.Path == r.UpstreamPath {
		u.Path, u.RawPath = r.Path, ""
	}
	// Without a public URL a relative reference does the same: it is resolved
	// against the URL that the server called.
	u.Scheme, u.Host = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return r.public + u.String(), true
}

// originOf returns scheme and host of a URL in one spelling, the port always
// written.
func originOf(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		default:
			return "", false
		}
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port), true
}
