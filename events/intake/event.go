package intake

import (
	"encoding/json"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An Event is one event of a request. Its bytes are parts of the request's body
// wherever they can be, so they live and die with it.
type Event struct {
	Raw  []byte // the JSON object as it came; of a CloudEvent, the object it is mapped to
	Name []byte // decoded
	ID   []byte // the sender's own id, decoded; nil if there is none
	V    []byte // the version, decoded; nil if there is none
	Data []byte // the JSON object; nil if it is absent or null
	TS   int64  // Unix milliseconds; 0 if it is absent, which means now
}

// A draft is an event while it is being read.
type draft struct {
	Event
	dataParts int    // objects named data; the server lays a later one over an earlier one
	sessions  *Error // what the last meta breaks, nil if nothing
}

// event reads the event whose opening brace is the current byte. A failure is in
// s.err.
func (r *Reader) event(s *scanner, room *[]byte) (Event, bool) {
	from := s.at
	var d draft
	if !r.members(s, &d, room) {
		return Event{}, false
	}
	d.Raw = s.text[from:s.at:s.at]
	if s.err = r.judge(&d); s.err != nil {
		return Event{}, false
	}
	if d.dataParts > 1 {
		d.Data = mergedData(d.Raw)
	}
	return d.Event, true
}

// members reads all members of an event.
func (r *Reader) members(s *scanner, d *draft, room *[]byte) bool {
	for name, more := s.open(); more; name, more = s.next() {
		if !r.member(s, d, eventMember(name), room) {
			return false
		}
	}
	return s.err == nil
}

// member reads the value of one member. As in encoding/json a later member of
// the same name wins, but a null changes nothing except for objects.
func (r *Reader) member(s *scanner, d *draft, known member, room *[]byte) bool {
	c := s.peek()
	switch known {
	case memberName:
		return s.textValue("name", c, &d.Name, room)
	case memberID:
		return s.textValue("id", c, &d.ID, room)
	case memberV:
		return s.textValue("v", c, &d.V, room)
	case memberTS:
		return s.timestamp(c, &d.TS)
	case memberData:
		from := s.at
		if !s.object("data", c) {
			return false
		}
		if c == 'n' {
			d.Data, d.dataParts = nil, 0
		} else {
			d.Data = s.text[from:s.at:s.at]
			d.dataParts++
		}
		return true
	case memberUser:
		return s.object("user", c)
	case memberMeta:
		return r.meta(s, c, &d.sessions)
	}
	return s.skip(1)
}

// textValue reads a string into text, and passes over a null.
func (s *scanner) textValue(field string, c byte, text *[]byte, room *[]byte) bool {
	from := s.at
	switch c {
	case '"':
		if !s.string() {
			return false
		}
		*text, *room = unquote(s.text[from+1:s.at-1], *room)
		return true
	case 'n':
		return s.scalar()
	}
	return s.wrongType(field, "a string", c)
}

// timestamp reads an integer into ts, and passes over a null. 1.0 and 1e12 are
// no integers to the server.
func (s *scanner) timestamp(c byte, ts *int64) bool {
	if c == 'n' {
		return s.scalar()
	}
	if c != '-' && (c < '0' || c > '9') {
		return s.wrongType("ts", "an integer, Unix milliseconds", c)
	}
	from := s.at
	if !s.scalar() {
		return false
	}
	n, ok := parseInt(s.text[from:s.at])
	if !ok {
		s.err = eventError("ts", RuleType, "ts must be an integer, Unix milliseconds, not %s", shorten(s.text[from:s.at]))
		return false
	}
	*ts = n
	return true
}

// parseInt reads a number of valid JSON as strconv.ParseInt does.
func parseInt(text []byte) (int64, bool) {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	if len(text) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case negative || n >= 1<<63:
		return 0, false
	}
	return int64(n), true
}

// object passes over an object or null that the server decodes into a map.
func (s *scanner) object(field string, c byte) bool {
	switch c {
	case '{':
		s.narrow = true
		ok := s.skip(1)
		s.narrow = false
		if !ok && s.err.Rule == RuleNumber {
			s.err.Field = field
		}
		return ok
	case 'n':
		return s.scalar()
	}
	return s.wrongType(field, "an object", c)
}

// wrongType notes that a value, which begins with c, is not what its member must
// be. A value that is no JSON is a syntax error first.
func (s *scanner) wrongType(field, want string, c byte) bool {
	if !s.skip(1) {
		return false
	}
	s.err = eventError(field, RuleType, "%s must be %s, not %s", field, want, kindOf(c))
	return false
}

// kindOf names the type of a value by its first byte.
func kindOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// judge checks what can be said of an event only when all of it was read, in the
// server's order and words.
func (r *Reader) judge(d *draft) *Error {
	switch {
	case len(d.Raw) > r.limits.EventBytes:
		return eventError("", RuleEventSize, "Event is over the max size: Max %d bytes / Size %d bytes", r.limits.EventBytes, len(d.Raw))
	case reserved(d.Name):
		return eventError("name", RuleNameReserved, "event name is reserved for internal use: %s", shorten(d.Name))
	case len(d.Name) == 0:
		return eventError("name", RuleNameEmpty, "event name is empty")
	case len(d.Name) > r.limits.NameLen:
		return eventError("name", RuleNameLength, "event name has %d bytes, limit %d", len(d.Name), r.limits.NameLen)
	}
	if err := judgeTime(d.TS); err != nil {
		return err
	}
	return d.sessions
}

// judgeTime checks a timestamp as the server does, which multiplies to
// nanoseconds without a look at the overflow: a few of the numbers beyond the
// year 2262 come out between 1980 and 2100 and are taken.
func judgeTime(ts int64) *Error {
	const nanos = 1_000_000
	switch at := ts * nanos; {
	case ts == 0:
		return nil
	case at < inngest.MinEventTS*nanos:
		return eventError("ts", RuleTimestamp, "timestamp is before Jan 1, 1980")
	case at > inngest.MaxEventTS*nanos:
		return eventError("ts", RuleTimestamp, "timestamp is after Jan 1, 2100")
	}
	return nil
}

// mergedData makes one object of an event's several members named data, as the
// server does when it decodes all of them into one map. Neither step can fail:
// the members were read before, and they are objects.
func mergedData(event []byte) []byte {
	var of struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	_ = json.Unmarshal(event, &of)
	data, _ := json.Marshal(of.Data)
	return data
}
