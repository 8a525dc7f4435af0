package outbound

import (
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A headField is one line of a request's head.
type headField struct{ name, value string }

// called tells whether the field has a name, in any letter case.
func (f *headField) called(name string) bool {
	return len(f.name) == len(name) && strings.EqualFold(f.name, name)
}

// fields are the lines of a request's head but Host, in their order. A map of
// what passes is made of them only for a request that is passed: events, of
// which there are many, need few of them.
type fields struct {
	list   []headField
	listed string // the values of Connection
}

// passes tells whether a field that is asked for by its name may pass: nobody
// asks for those that never do.
func (f *fields) passes(one *headField) bool { return f.listed == "" || passes(one.name, f.listed) }

// get returns the first value of a field that may pass.
func (f *fields) get(name string) string {
	for i := range f.list {
		if one := &f.list[i]; one.called(name) && f.passes(one) {
			return one.value
		}
	}
	return ""
}

// joined returns all values of a field that may pass as one list.
func (f *fields) joined(name string) string {
	text, found := "", false
	for i := range f.list {
		one := &f.list[i]
		switch {
		case !one.called(name) || !f.passes(one):
		case found:
			text += "," + one.value
		default:
			text, found = one.value, true
		}
	}
	return text
}

// header returns what passes to Inngest, in a map of the caller's own.
func (q *request) header() http.Header {
	h := make(http.Header, len(q.fields.list)+2)
	for _, one := range q.fields.list {
		if passes(one.name, q.fields.listed) {
			h.Add(one.name, one.value)
		}
	}
	forInngest(h)
	if q.route.name != "register" {
		h.Del(inngest.HeaderServerKind) // the server's own stamp
	}
	return h
}

// usualFields is how many a request of an SDK has at most.
const usualFields = 16

// readFields copies the head and notes what the listener needs of it.
func (q *request) readFields(h *fasthttp.RequestHeader) *refusal {
	// All names and values are parts of one text: it has room for them, so it
	// does not move while it grows.
	var text strings.Builder
	text.Grow(len(h.RawHeaders()))
	copied := func(b []byte) string {
		from := text.Len()
		text.Write(b)
		return text.String()[from:]
	}
	q.fields.list = make([]headField, 0, usualFields)
	hosts, authorizations, lengths, connections, upgrade := 0, 0, 0, 0, ""
	for k, v := range h.AllInOrder() {
		one := headField{copied(k), copied(v)}
		if !validField(one.name, one.value) {
			return malformed("A header field has a character that must not be there.")
		}
		switch {
		case one.called("Host"):
			hosts++
			q.host = one.value
			continue
		case one.called("Authorization"):
			authorizations++
			q.authorization = one.value
		case one.called("Content-Length"), one.called("Transfer-Encoding"):
			lengths++
		case one.called("Connection"):
			if connections++; connections > 1 {
				q.fields.listed += ","
			}
			q.fields.listed += one.value
		case one.called("Upgrade"):
			upgrade = one.value
		case one.called("Origin"):
			q.origin = q.origin || one.value != ""
		case one.called("Idempotency-Key"), one.called("X-Idempotency-Key"):
			q.replayable = true
		}
		q.fields.list = append(q.fields.list, one)
	}
	switch {
	case lengths > 1:
		return malformed("The request says twice how long its body is.")
	case hosts > 1 || authorizations > 1:
		return malformed("The request has Host or Authorization twice.")
	}
	q.upgrade = strings.EqualFold(upgrade, "websocket") && hasToken(q.fields.listed, "upgrade")
	return nil
}
