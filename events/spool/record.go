package spool

import (
	"fmt"
	"hash/crc32"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
)

// A Record is one POST to Inngest.
type Record struct {
	ID          string // given by Append
	Environment string
	KeyID       string // names the event key, never the key itself
	Branch      string
	Seed        string
	Count       int    // events in Body, > 0
	Body        []byte // as it is POSTed
	Traceparent string
	Tracestate  string
	Accepted    time.Time
}

// Headers of a stored record. The sum covers the fields and the body.
const (
	headerID       = "Spool-Id"
	headerFields   = "Spool-Fields" // the others, as a query string: any text fits
	headerCoding   = "Spool-Coding"
	headerSize     = "Spool-Size" // of Body
	headerSum      = "Spool-Sum"
	headerParts    = "Spool-Parts"
	headerReason   = "Spool-Reason"  // of a dead letter, escaped
	headerDamaged  = "Spool-Damaged" // of a dead letter that was never decoded
	headerReceived = "Spool-Dead"    // when a dead letter became one

	codingS2 = "s2"

	// Below this, compression wins nothing.
	minCompressBytes = 256
)

// fields returns everything of r but its body as text.
func (r *Record) fields() string {
	return url.Values{
		"env":    {r.Environment},
		"key":    {r.KeyID},
		"branch": {r.Branch},
		"seed":   {r.Seed},
		"count":  {strconv.Itoa(r.Count)},
		"trace":  {r.Traceparent},
		"state":  {r.Tracestate},
		"at":     {r.Accepted.UTC().Format(time.RFC3339Nano)},
	}.Encode()
}

func (r *Record) setFields(text string) error {
	v, err := url.ParseQuery(text)
	if err != nil {
		return fmt.Errorf("%w: fields: %w", ErrDamaged, err)
	}
	count, err := strconv.Atoi(v.Get("count"))
	if err != nil || count < 1 {
		return fmt.Errorf("%w: count of events %q", ErrDamaged, v.Get("count"))
	}
	at, err := time.Parse(time.RFC3339Nano, v.Get("at"))
	if err != nil {
		return fmt.Errorf("%w: time of acceptance: %w", ErrDamaged, err)
	}
	r.Environment, r.KeyID, r.Branch, r.Seed = v.Get("env"), v.Get("key"), v.Get("branch"), v.Get("seed")
	r.Traceparent, r.Tracestate = v.Get("trace"), v.Get("state")
	r.Count, r.Accepted = count, at
	return nil
}

// encode returns the headers of r and its body as it is stored, which may be in
// room.
func (r *Record) encode(room []byte) (nats.Header, []byte) {
	fields, stored := r.fields(), r.Body
	h := nats.Header{
		headerID:     {r.ID},
		headerFields: {fields},
		headerSize:   {strconv.Itoa(len(r.Body))},
		headerSum:    {sum(fields, r.Body)},
	}
	if len(r.Body) >= minCompressBytes {
		if packed := s2.Encode(room[:cap(room)], r.Body); len(packed) < len(r.Body) {
			stored = packed
			h.Set(headerCoding, codingS2)
		}
	}
	return h, stored
}

// decode is encode backwards. Its errors are ErrDamaged.
func decode(h nats.Header, stored []byte) (Record, error) {
	r := Record{ID: h.Get(headerID)}
	if err := r.setFields(h.Get(headerFields)); err != nil {
		return r, err
	}
	size, err := strconv.Atoi(h.Get(headerSize))
	if err != nil {
		return r, fmt.Errorf("%w: size: %w", ErrDamaged, err)
	}
	body := stored
	if h.Get(headerCoding) == codingS2 {
		if n, err := s2.DecodedLen(stored); err != nil || n != size {
			return r, fmt.Errorf("%w: %d bytes compressed say %d, the record says %d", ErrDamaged, len(stored), n, size)
		}
		if body, err = s2.Decode(nil, stored); err != nil {
			return r, fmt.Errorf("%w: body: %w", ErrDamaged, err)
		}
	}
	if len(body) != size {
		return r, fmt.Errorf("%w: body has %d bytes, the record says %d", ErrDamaged, len(body), size)
	}
	if got, want := sum(h.Get(headerFields), body), h.Get(headerSum); got != want {
		return r, fmt.Errorf("%w: sum is %s, the record says %s", ErrDamaged, got, want)
	}
	r.Body = body
	return r, nil
}

func sum(fields string, body []byte) string {
	table := crc32.MakeTable(crc32.Castagnoli)
	return fmt.Sprintf("%08x", crc32.Update(crc32.Checksum([]byte(fields), table), table, body))
}
