package load

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Events as an app sends them: each of about 250 bytes, another number in each.
const (
	eventHead = "POST /e/<<key>> HTTP/1.1\r\n" +
		"Host: <<host>>\r\n" +
		"User-Agent: inngest-bench:v1.0.0\r\n" +
		"Content-Type: application/json\r\n" +
		"<<seed>>" +
		"Content-Length: <<length>>\r\n" +
		"\r\n"

	eventText = `{"name":"` + EventName + `","data":{"orderId":"<<number>>","customer":"c-4711",` +
		`"items":[{"sku":"a-1","n":2},{"sku":"b-7","n":1}],"total":1999.5,"note":"leave it at the door","paid":true},` +
		`"user":{"email":"someone@example.com"},"ts":1795540000000,"v":"2026-1"}`
)

// EventName is the name of each event.
const EventName = "bench/order.created"

const (
	seedMillis = 13 // digits
	seedWidth  = seedMillis + 1 + 16

	answerFront = len(`{"ids":["`)
	answerID    = len(`01M85TYKH4RS9K601Y787WZF65`)
	answerSep   = len(`","`)
	answerEnd   = len(`"],"status":200}` + "\n")
)

// EventForm says what the requests of a sender of events look like.
type EventForm struct {
	Host  string
	Key   string // event key
	Array int    // events in a request, > 0; 1: an object, not an array
	Seeds bool   // each request brings a seed, as those of the JavaScript SDK do
	Flood bool   // more than a gateway has room for: what it refuses for that is sent again later
}

func (f EventForm) fresh() bool { return false }

// Size returns the bytes of a request's body.
func (f EventForm) Size() (int, error) {
	m, err := f.request()
	if err != nil {
		return 0, err
	}
	_, body := m.parts()
	return len(body), nil
}

func (f EventForm) request() (message, error) {
	if f.Array < 1 || f.Key == "" {
		return nil, fmt.Errorf("a request of %d events with key %q", f.Array, f.Key)
	}
	one := replace(eventText, map[string]string{"number": mark('n', runWidth)})
	text := []byte(one)
	if f.Array > 1 {
		text = append([]byte("["), one...)
		for range f.Array - 1 {
			text = append(append(text, ','), one...)
		}
		text = append(text, ']')
	}
	seed := ""
	if f.Seeds {
		seed = inngest.HeaderEventIDSeed + ": " + mark('s', seedWidth) + "\r\n"
	}
	r := &eventRequest{flood: f.Flood, body: text, wanted: int64(answerFront + f.Array*(answerID+answerSep) - answerSep + answerEnd)}
	r.head = []byte(replace(eventHead, map[string]string{
		"key": f.Key, "host": f.Host, "seed": seed, "length": strconv.Itoa(len(text)),
	}))
	r.numbers = find(r.body, mark('n', runWidth))
	if f.Seeds {
		r.seed = find(r.head, mark('s', seedWidth))[0]
	}
	return r, nil
}

// An eventRequest is one request with events, of other numbers each time.
type eventRequest struct {
	head    []byte
	body    []byte
	numbers [][]byte // parts of body
	seed    []byte   // a part of head; nil: none
	wanted  int64    // bytes of the answer with the ids of all events
	number  uint64
	flood   bool
}

// errNoRoom says that a gateway refused events because it has no room for them.
var errNoRoom = errors.New("no room")

// begin lets each caller and each slice of time have numbers of its own.
func (r *eventRequest) begin(caller int, now time.Time) {
	r.number = uint64(now.UnixMilli())<<20 + uint64(caller)<<48
}

func (r *eventRequest) next(now time.Time) {
	for _, place := range r.numbers {
		r.number++
		digits(place, r.number)
	}
	if r.seed == nil {
		return
	}
	strconv.AppendInt(r.seed[:0], now.UnixMilli(), 10)
	r.seed[seedMillis] = ','
	var entropy [10]byte
	binary.BigEndian.PutUint64(entropy[:], r.number)
	base64.StdEncoding.Encode(r.seed[seedMillis+1:], entropy[:])
}

func (r *eventRequest) parts() (head, body []byte) { return r.head, r.body }

// check wants ids, as many as there are events: nothing else is of that length.
func (r *eventRequest) check(a *Answer) error {
	if r.flood && a.Status == 503 && (string(a.Refusal) == string(inngest.CodeMemoryExhausted) || string(a.Refusal) == string(inngest.CodeSpoolFull)) {
		return errNoRoom
	}
	if a.Status != 200 || a.Size != r.wanted {
		return fmt.Errorf("status %d with %d bytes, want ids in %d; x-gateway-error %q", a.Status, a.Size, r.wanted, a.Refusal)
	}
	return nil
}
