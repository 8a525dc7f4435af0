package outbound

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A request is what was understood of an app's request. It shares no memory
// with the server's own: the upload may still be read, trailers included,
// while the answer is on its way.
type request struct {
	method        string
	path          string // as it came, without the query
	query         string // as it came, without "?"
	host          string
	authorization string
	header        http.Header // what passes
	length        int64       // of the body, -1 unknown
	upgrade       bool        // asks for a WebSocket
	replayable    bool        // has a field that makes net/http send a POST twice
	browser       bool        // a page in a browser may have sent it

	route    *route
	segments []string // of the path, decoded
}

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// understand reads the head of a request.
func (s *Server) understand(rc *fasthttp.RequestCtx) (*request, *refusal) {
	h := &rc.Request.Header
	q := &request{method: string(h.Method()), header: http.Header{}}
	if v := string(h.Protocol()); v != "HTTP/1.1" && v != "HTTP/1.0" {
		return nil, &refusal{status: http.StatusHTTPVersionNotSupported, code: inngest.CodeVersionNotSupported,
			detail: "Only HTTP/1.0 and HTTP/1.1 are spoken here."}
	}
	if !hasToken(methods, strings.ToLower(q.method)) || strings.ToUpper(q.method) != q.method {
		return nil, &refusal{status: http.StatusMethodNotAllowed, code: inngest.CodeMethodNotAllowed,
			detail: "The apps listener does not take this method.", allow: methods}
	}
	if r := q.readTarget(string(h.RequestURI())); r != nil {
		return nil, r
	}
	if r := q.readFields(h); r != nil {
		return nil, r
	}
	q.route = s.router.find(q.method, q.segments)
	q.browser = q.header.Get("Origin") != "" || !s.ownName(rc, q.host)
	if q.route.name != "register" {
		q.header.Del(inngest.HeaderServerKind) // the server's own stamp
	}
	switch n := h.ContentLength(); {
	case n >= 0:
		q.length = int64(n)
	case n == -1:
		q.length = -1
	}
	return q, nil
}

// ownName tells whether a request names this listener as its apps do: by an
// address, as localhost or as it was told. A page whose own name was made to
// lead here keeps that name in Host; it has no way to a unix socket.
func (s *Server) ownName(rc *fasthttp.RequestCtx, host string) bool {
	if _, unix := rc.LocalAddr().(*net.UnixAddr); unix {
		return true
	}
	u, err := url.Parse("http://" + host)
	if err != nil {
		return false
	}
	name := u.Hostname()
	if base, err := url.Parse(s.opts.AppsURL); err == nil && s.opts.AppsURL != "" && strings.EqualFold(base.Hostname(), name) {
		return true
	}
	return strings.EqualFold(name, "localhost") || net.ParseIP(name) != nil
}

func (q *request) readTarget(target string) *refusal {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return malformed("The request target has a character that must be encoded.")
		}
	}
	q.path, q.query, _ = strings.Cut(target, "?")
	var ok bool
	if q.segments, ok = decodePath(q.path); !ok {
		return malformed("The path could be read in two ways: it has dot segments, empty segments or a bad encoding. Check the base URL that the app was given.")
	}
	return nil
}

func (q *request) readFields(h *fasthttp.RequestHeader) *refusal {
	listed := joined(h, fasthttp.HeaderConnection)
	hosts, authorizations, lengths := 0, 0, 0
	for k, v := range h.AllInOrder() {
		name, value := string(k), string(v)
		if !validField(name, value) {
			return malformed("A header field has a character that must not be there.")
		}
		switch {
		case strings.EqualFold(name, "Host"):
			hosts++
			q.host = value
			continue
		case strings.EqualFold(name, "Authorization"):
			authorizations++
			q.authorization = value
		case strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Transfer-Encoding"):
			lengths++
		case strings.EqualFold(name, "Upgrade"):
			q.upgrade = strings.EqualFold(value, "websocket") && hasToken(listed, "upgrade")
		case strings.EqualFold(name, "Idempotency-Key"), strings.EqualFold(name, "X-Idempotency-Key"):
			q.replayable = true
		}
		if passes(name, listed) {
			q.header.Add(name, value)
		}
	}
	switch {
	case lengths > 1:
		return malformed("The request says twice how long its body is.")
	case hosts > 1 || authorizations > 1:
		return malformed("The request has Host or Authorization twice.")
	}
	forInngest(q.header)
	return nil
}

// joined returns all values of a field as one list.
func joined(h *fasthttp.RequestHeader, name string) string {
	var list []string
	for k, v := range h.AllInOrder() {
		if strings.EqualFold(string(k), name) {
			list = append(list, string(v))
		}
	}
	return strings.Join(list, ",")
}

// logPath is the path as logs may show it: without the query, which carries
// tokens, and without the event key or ticket in it.
func (q *request) logPath() string {
	if strings.EqualFold(q.segments[0], "e") && len(q.segments) > 1 {
		return "/e/***"
	}
	if q.route != nil && q.route.name == "connect_gateway" {
		return ticketPath + "***"
	}
	return q.path
}
