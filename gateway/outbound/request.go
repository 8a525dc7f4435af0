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
	fields        fields
	length        int64 // of the body, -1 unknown
	upgrade       bool  // asks for a WebSocket
	replayable    bool  // has a field that makes net/http send a POST twice
	origin        bool  // has an Origin
	listener      *Server
	unix          bool // came by a unix socket

	route    *route
	segments []string // of the path, decoded
}

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// method returns the name of a method that the listener takes.
func method(b []byte) (name string, ok bool) {
	switch string(b) { // makes no text
	case http.MethodGet:
		return http.MethodGet, true
	case http.MethodPost:
		return http.MethodPost, true
	case http.MethodPut:
		return http.MethodPut, true
	}
	switch name := string(b); name {
	case http.MethodHead, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name, true
	}
	return "", false
}

// understand reads the head of a request.
func (s *Server) understand(rc *fasthttp.RequestCtx) (*request, *refusal) {
	h := &rc.Request.Header
	if v := h.Protocol(); string(v) != "HTTP/1.1" && string(v) != "HTTP/1.0" {
		return nil, &refusal{status: http.StatusHTTPVersionNotSupported, code: inngest.CodeVersionNotSupported,
			detail: "Only HTTP/1.0 and HTTP/1.1 are spoken here."}
	}
	name, ok := method(h.Method())
	if !ok {
		return nil, &refusal{status: http.StatusMethodNotAllowed, code: inngest.CodeMethodNotAllowed,
			detail: "The apps listener does not take this method.", allow: methods}
	}
	q := &request{listener: s, method: name}
	_, q.unix = rc.LocalAddr().(*net.UnixAddr)
	if r := q.readTarget(string(h.RequestURI())); r != nil {
		return nil, r
	}
	if r := q.readFields(h); r != nil {
		return nil, r
	}
	q.route = s.router.find(q.method, q.segments)
	switch n := h.ContentLength(); {
	case n >= 0:
		q.length = int64(n)
	case n == -1:
		q.length = -1
	}
	return q, nil
}

// browser tells whether a page in a browser may have sent the request: it has an
// Origin, or does not name this listener as its apps do, by an address, as
// localhost or as it was told. A page whose own name was made to lead here keeps
// that name in Host; it has no way to a unix socket.
func (q *request) browser() bool {
	if q.origin || q.unix {
		return q.origin
	}
	u, err := url.Parse("http://" + q.host)
	if err != nil {
		return true
	}
	name := u.Hostname()
	if base, err := url.Parse(q.listener.opts.AppsURL); err == nil && q.listener.opts.AppsURL != "" && strings.EqualFold(base.Hostname(), name) {
		return false
	}
	return !strings.EqualFold(name, "localhost") && net.ParseIP(name) == nil
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

// readAndDropped is how much of a body that nobody wants fasthttp reads after
// the answer, unless the connection ends.
const readAndDropped = 256 << 10

// more tells whether more may come of a request that was refused than is read
// and dropped.
func (q *request) more(rc *fasthttp.RequestCtx, last bool) bool {
	return q.length < 0 || q.length > readAndDropped || q.length > 0 && (last || rc.Request.Header.ConnectionClose())
}
