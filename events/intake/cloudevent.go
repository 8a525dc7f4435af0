package intake

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// whiteSpace is JSON's.
const whiteSpace = " \t\r\n"

// A cloudEvent is a CloudEvent while it is being mapped. Its members are JSON
// values as they came, nil if absent or null, which means the same there.
type cloudEvent struct {
	version, kind, source, id, time []byte
	data, data64                    []byte
}

// attribute returns the place for a member of that name, nil for one that is not
// mapped. Attributes of CloudEvents count letter case, so no folding here.
func (c *cloudEvent) attribute(name string) *[]byte {
	switch name {
	case "specversion":
		return &c.version
	case "type":
		return &c.kind
	case "source":
		return &c.source
	case "id":
		return &c.id
	case "time":
		return &c.time
	case "data":
		return &c.data
	case "data_base64":
		return &c.data64
	}
	return nil
}

// cloudEvents reads one CloudEvent in structured mode, or an array of them. The
// server knows no CloudEvents, so nothing that is wrong is let through here.
func (r *Reader) cloudEvents(medium medium, contentType string, body []byte) ([]Event, *Error) {
	if medium == mediumCloudOther {
		return nil, wholeError(http.StatusUnsupportedMediaType, RuleCloudEvent, "CloudEvents are taken as application/cloudevents+json or application/cloudevents-batch+json, not as %s", shorten([]byte(contentType)))
	}
	s := scanner{text: body}
	want, kind := byte('{'), "an object"
	if medium == mediumCloudEvents {
		want, kind = '[', "an array"
	}
	if s.peek() != want {
		return nil, wholeError(http.StatusBadRequest, RuleBodyType, "body of type %s must be %s", shorten([]byte(contentType)), kind)
	}
	var events []Event
	fail := func(err *Error) ([]Event, *Error) {
		err.Index = len(events)
		return nil, err
	}
	for c := s.first(); c != ']'; c = s.peek() {
		if len(events) > 0 {
			if c != ',' {
				s.failAt(s.at, faultElement)
				return fail(s.err)
			}
			s.at++
			c = s.peek()
		}
		if c != '{' {
			if !s.skip(0) {
				return fail(s.err)
			}
			return fail(eventError("", RuleType, "a CloudEvent must be an object, not %s", kindOf(c)))
		}
		if len(events) == r.limits.Events {
			return fail(eventError("", RuleEventCount, "Cannot have more than %d events in a batch", r.limits.Events))
		}
		e, err := r.structured(&s)
		if err != nil {
			return fail(err)
		}
		events = append(events, e)
		if want == '{' {
			break
		}
	}
	if want == '[' {
		s.at++ // its end
	}
	if s.space() {
		s.fail("after top-level value")
		return fail(s.err)
	}
	return events, nil
}

// first passes over the bracket of an array and returns the byte after it; an
// object stays where it is.
func (s *scanner) first() byte {
	if s.peek() == '[' {
		s.at++
	}
	return s.peek()
}

// structured reads the CloudEvent whose opening brace is the current byte.
func (r *Reader) structured(s *scanner) (Event, *Error) {
	var c cloudEvent
	for name, more := s.open(); more; name, more = s.next() {
		null := s.peek() == 'n'
		from := s.at
		if !s.skip(1) {
			return Event{}, s.err
		}
		if at := c.attribute(string(name)); at != nil {
			if *at = s.text[from:s.at]; null {
				*at = nil
			}
		}
	}
	if s.err != nil {
		return Event{}, s.err
	}
	return r.mapped(&c)
}

// binaryCloudEvent reads a CloudEvent in binary mode: attributes in headers, the
// body is the data.
func (r *Reader) binaryCloudEvent(contentType string, header func(name string) string, body []byte) ([]Event, *Error) {
	var c cloudEvent
	for _, name := range [...]string{"specversion", "type", "source", "id", "time"} {
		value := header("ce-" + name)
		if value == "" {
			continue
		}
		// Characters beyond ASCII are percent-encoded in headers.
		plain, err := url.PathUnescape(value)
		if err != nil {
			return nil, firstError(eventError("ce-"+name, RuleCloudEvent, "header ce-%s is not percent-encoded as CloudEvents are: %s", name, err))
		}
		*c.attribute(name) = appendString(nil, plain)
	}
	if body = bytes.Trim(body, whiteSpace); len(body) > 0 {
		if !carriesJSON(contentType) {
			err := eventError("data", RuleCloudEvent, "data of a CloudEvent must be JSON, not %s", shorten([]byte(contentType)))
			err.Status = http.StatusUnsupportedMediaType
			return nil, firstError(err)
		}
		s := scanner{text: body}
		if !s.skip(1) {
			return nil, firstError(s.err)
		}
		if s.space() {
			s.fail("after top-level value")
			return nil, firstError(s.err)
		}
		if string(body) != "null" {
			c.data = body
		}
	}
	e, err := r.mapped(&c)
	if err != nil {
		return nil, firstError(err)
	}
	return []Event{e}, nil
}

// firstError makes err one of the only event of a request.
func firstError(err *Error) *Error {
	err.Index = 0
	return err
}

// mapped makes an event of a CloudEvent: type is its name, time its ts; data and
// id keep their names. The other attributes are dropped, as the server drops
// members that it does not know.
func (r *Reader) mapped(c *cloudEvent) (Event, *Error) {
	if err := c.check(); err != nil {
		return Event{}, err
	}
	data, err := c.object()
	if err != nil {
		return Event{}, err
	}
	raw := make([]byte, 0, len(c.kind)+len(c.id)+len(data)+len(`{"name":,"data":,"id":,"ts":-9223372036854775808}`))
	raw = append(append(raw, `{"name":`...), c.kind...)
	if data != nil {
		raw = append(append(raw, `,"data":`...), data...)
	}
	raw = append(append(raw, `,"id":`...), c.id...)
	if c.time != nil {
		ts, err := c.millis()
		if err != nil {
			return Event{}, err
		}
		raw = strconv.AppendInt(append(raw, `,"ts":`...), ts, 10)
	}
	raw = append(raw, '}')

	s := scanner{text: raw}
	var room []byte
	e, ok := r.event(&s, &room)
	if !ok {
		return Event{}, inItsWords(s.err)
	}
	return e, nil
}

// inItsWords names the attribute of the CloudEvent that a member was made of.
func inItsWords(err *Error) *Error {
	switch err.Field {
	case "name":
		err.Field = "type"
	case "ts":
		err.Field = "time"
	}
	return err
}

// check demands what every CloudEvent has: four attributes, none empty.
func (c *cloudEvent) check() *Error {
	for _, required := range [...]struct {
		name  string
		value []byte
	}{
		{"specversion", c.version}, {"type", c.kind}, {"source", c.source}, {"id", c.id},
	} {
		switch value := required.value; {
		case value == nil:
			return eventError(required.name, RuleCloudEvent, "CloudEvent has no %s", required.name)
		case value[0] != '"':
			return eventError(required.name, RuleType, "%s must be a string, not %s", required.name, kindOf(value[0]))
		case len(value) == 2:
			return eventError(required.name, RuleCloudEvent, "%s of the CloudEvent is empty", required.name)
		}
	}
	if string(c.version) != `"1.0"` {
		return eventError("specversion", RuleCloudEvent, "specversion %s is not known, want \"1.0\"", shorten(c.version))
	}
	return nil
}

// object returns the data, which must be a JSON object; nil if there is none.
func (c *cloudEvent) object() ([]byte, *Error) {
	data, field := c.data, "data"
	if c.data64 != nil {
		field = "data_base64"
		if data != nil {
			return nil, eventError(field, RuleCloudEvent, "CloudEvent has data and data_base64, want one of them")
		}
		var err *Error
		if data, err = c.decoded(); err != nil {
			return nil, err
		}
	}
	switch {
	case data == nil:
		return nil, nil
	case data[0] != '{':
		return nil, eventError(field, RuleType, "%s of a CloudEvent must be a JSON object, not %s", field, kindOf(data[0]))
	}
	return data, nil
}

// decoded returns the JSON value in data_base64, nil if it is empty.
func (c *cloudEvent) decoded() ([]byte, *Error) {
	const field = "data_base64"
	var text string
	if json.Unmarshal(c.data64, &text) != nil {
		return nil, eventError(field, RuleType, "data_base64 must be a string, not %s", kindOf(c.data64[0]))
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, eventError(field, RuleCloudEvent, "data_base64 is no base64: %s", err)
	}
	plain = bytes.Trim(plain, whiteSpace)
	if len(plain) == 0 {
		return nil, nil
	}
	if s := (scanner{text: plain}); !s.skip(1) || s.at < len(plain) {
		return nil, eventError(field, RuleCloudEvent, "data_base64 holds no JSON; only JSON objects can be an event's data")
	}
	return plain, nil
}

// millis returns the time as Unix milliseconds.
func (c *cloudEvent) millis() (int64, *Error) {
	var text string
	if json.Unmarshal(c.time, &text) != nil {
		return 0, eventError("time", RuleType, "time must be a string, not %s", kindOf(c.time[0]))
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, eventError("time", RuleCloudEvent, "time %q is no RFC 3339 time", shorten([]byte(text)))
	}
	ts := at.UnixMilli()
	if ts == 0 { // the server would take it for an absent one
		ts = 1
	}
	return ts, nil
}
