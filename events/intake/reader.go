package intake

import "net/http"

// A Reader reads the bodies of event requests. It holds no state, so any number
// of goroutines may use it.
type Reader struct {
	limits Limits
}

// New makes a reader. It refuses limits that are missing or wider than the
// server's.
func New(limits Limits) (*Reader, error) {
	if err := limits.check(); err != nil {
		return nil, err
	}
	return &Reader{limits: limits}, nil
}

// Read reads a body without content coding. Either every event in it is one that
// the server takes, or the error is an *Error and there are no events. No events
// and no error is what an empty body and an empty array give: the server answers
// 200 with one empty id.
func (r *Reader) Read(contentType string, body []byte) ([]Event, error) {
	return r.ReadRequest(contentType, noHeader, body)
}

func noHeader(string) string { return "" }

// ReadRequest is Read for a request with headers: a CloudEvent in binary mode
// has its attributes there. header returns the value of a header, empty if it is
// not there, for a name in lower case.
func (r *Reader) ReadRequest(contentType string, header func(name string) string, body []byte) ([]Event, error) {
	if len(body) > r.limits.BodyBytes {
		return nil, wholeError(http.StatusRequestEntityTooLarge, RuleBodySize, "body has %d bytes, limit %d", len(body), r.limits.BodyBytes)
	}
	medium := mediumOf(contentType)
	events, err := []Event(nil), (*Error)(nil)
	switch {
	case medium == mediumCloudEvent, medium == mediumCloudEvents, medium == mediumCloudOther:
		events, err = r.cloudEvents(medium, contentType, body)
	case header("ce-specversion") != "":
		events, err = r.binaryCloudEvent(contentType, header, body)
	default:
		b := batch{reader: r, scanner: scanner{text: body}}
		if err = b.read(medium); err == nil {
			events = b.events
		}
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}

// A batch is a body while it is being read.
type batch struct {
	reader *Reader
	scanner
	events []Event
	room   []byte // decoded texts
}

func (b *batch) read(medium medium) *Error {
	for first := true; b.space(); first = false {
		switch c := b.text[b.at]; {
		case c == '{':
			b.element()
		case c == '[' && (first || medium == mediumLines):
			b.array(medium == mediumLines)
			if medium != mediumLines && b.err == nil {
				return nil // the server ignores what follows an array
			}
		case first && medium == mediumForm:
			return errForm()
		case medium == mediumLines:
			b.fail("looking for an event object")
		case first:
			return wholeError(http.StatusBadRequest, RuleBodyType, "Request body must contain an event object or an array of event objects")
		default:
			b.fail("after top-level value")
		}
		if b.err != nil {
			b.err.Index = len(b.events)
			return b.err
		}
	}
	return nil
}

// errForm has the server's words, which are about the first field that it meets:
// it makes an array of strings of every one.
func errForm() *Error {
	return wholeError(http.StatusBadRequest, RuleForm, "json: cannot unmarshal array into Go struct field raw.name of type string; a form is no event, send JSON")
}

// array reads an array. The server wants a comma between two elements and is
// content with anything instead of the closing bracket, also with the end of the
// body, as long as no element is cut: so is this, unless strict.
func (b *batch) array(strict bool) {
	b.at++
	for n := 0; ; n++ {
		c := b.peek()
		switch {
		case c == ']', c == '}' && !strict:
			b.at++
			return
		case b.at == len(b.text) && !strict:
			return
		case n > 0 && c != ',':
			b.failAt(b.at, faultElement)
			return
		case n > 0:
			b.at++
			c = b.peek()
		}
		if c != '{' {
			if b.skip(0) {
				b.err = eventError("", RuleType, "an event must be an object, not %s", kindOf(c))
			}
			return
		}
		if b.element(); b.err != nil {
			return
		}
	}
}

// element reads one event.
func (b *batch) element() {
	if most := b.reader.limits.Events; len(b.events) == most {
		b.err = eventError("", RuleEventCount, "Cannot have more than %d events in a batch", most)
		return
	}
	from := b.at
	e, ok := b.reader.event(&b.scanner, &b.room)
	if !ok {
		return
	}
	if b.events == nil {
		n := b.expect(b.at - from)
		b.events = make([]Event, 0, n)
		if texts := len(b.room); texts > 0 { // as many again for each of the others
			b.room = make([]byte, 0, min((n-1)*texts, len(b.text)-b.at))
		}
	}
	b.events = append(b.events, e)
}

// expect guesses how many events a body holds from the size of the first one.
func (b *batch) expect(size int) int {
	return min(1+(len(b.text)-b.at)/(size+1), b.reader.limits.Events)
}
