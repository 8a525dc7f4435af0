package spool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// What a message costs in the log beside its subject, headers and body.
	messageOverhead = 34
	// Kept free in a message for the client's own lines.
	payloadReserve = 512
	// What is kept to compress into. Few records are larger.
	maxRoom = 2 << 20
)

// store is one stream. Subjects are NAME.log.LANE.COUNT for records, so that the
// server hands them out by lane and counts records and events by itself, with
// .ID for those that must be found, and NAME.part.ID.N for parts. Few subjects
// matter: the server looks at all of a lane's for each record that it hands out,
// which took 3.4 ms when 32,000 records had one each.
type store struct {
	name    string
	byID    bool // each record can be found by its id
	timeout time.Duration
	trouble *atomic.Bool // see Spool
	conn    *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	rooms   sync.Pool // *[]byte
}

func (s *store) logSubject(lane string, count int, id string, found bool) string {
	subject := s.name + ".log." + lane + "." + strconv.Itoa(count)
	if found {
		subject += "." + id
	}
	return subject
}

func (s *store) partSubject(id string, n string) string {
	return s.name + ".part." + id + "." + n
}

// idOf returns the id in the subject of a part.
func (s *store) idOf(partSubject string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(partSubject, s.name+".part."), ".")
	return id
}

// put stores r, in parts if it has to, and returns the bytes it takes.
func (s *store) put(ctx context.Context, lane string, r *Record, more map[string]string) (int64, error) {
	room, ok := s.rooms.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	if most := s2.MaxEncodedLen(len(r.Body)); most > cap(*room) && most <= maxRoom {
		*room = make([]byte, most)
	}
	defer s.rooms.Put(room) // what is published is copied
	h, body := r.encode(*room)
	for k, v := range more {
		h.Set(k, v)
	}
	return s.putMessage(ctx, lane, r.ID, r.Count, h, body)
}

// putMessage stores headers and a body, in parts if it has to.
func (s *store) putMessage(ctx context.Context, lane, id string, count int, h nats.Header, body []byte) (int64, error) {
	room := int(s.conn.MaxPayload()) - headerBytes(h) - payloadReserve
	if room <= 0 {
		return 0, fmt.Errorf("the fields of a record take more than the server's max_payload of %d bytes", s.conn.MaxPayload())
	}
	subject := s.logSubject(lane, count, id, s.byID || len(body) > room)
	if len(body) <= room {
		return s.publish(ctx, &nats.Msg{Subject: subject, Header: h, Data: body})
	}
	parts := (len(body) + room - 1) / room
	var total int64
	for n := range parts {
		part := body[n*room : min((n+1)*room, len(body))]
		size, err := s.publish(ctx, &nats.Msg{Subject: s.partSubject(id, strconv.Itoa(n)), Data: part})
		if err != nil {
			return 0, errors.Join(fmt.Errorf("part %d of %d: %w", n+1, parts, err), s.dropParts(ctx, id))
		}
		total += size
	}
	h.Set(headerParts, strconv.Itoa(parts))
	size, err := s.publish(ctx, &nats.Msg{Subject: subject, Header: h})
	if err != nil {
		if errors.Is(err, ErrFull) { // else the server may have it
			err = errors.Join(err, s.dropParts(ctx, id))
		}
		return 0, fmt.Errorf("after %d parts: %w", parts, err)
	}
	return total + size, nil
}

func (s *store) publish(ctx context.Context, m *nats.Msg) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.js.PublishMsg(ctx, m, jetstream.WithExpectStream(s.name))
	if isFull(err) {
		return 0, fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		s.trouble.Store(true)
		return 0, err
	}
	return int64(messageOverhead + len(m.Subject) + headerBytes(m.Header) + len(m.Data)), nil
}

// isFull tells whether the server says that a stream has reached its bound.
func isFull(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && strings.Contains(refused.Description, "maximum bytes exceeded")
}

// dropParts removes the parts of a record. What it cannot remove is found by the
// next Open. Its context does not end with the caller's, who may have given up
// for the very reason that the parts have to go.
func (s *store) dropParts(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.partSubject(id, "*"))); err != nil {
		return fmt.Errorf("remove parts of %s: %w", id, err)
	}
	return nil
}

// whole returns the stored body of a record: its message's, or that of its parts.
func (s *store) whole(ctx context.Context, h nats.Header, data []byte) ([]byte, error) {
	text := h.Get(headerParts)
	if text == "" {
		return data, nil
	}
	parts, err := strconv.Atoi(text)
	if err != nil || parts < 1 {
		return nil, fmt.Errorf("%w: number of parts %q", ErrDamaged, text)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var body []byte
	for n := range parts {
		part, err := s.stream.GetLastMsgForSubject(ctx, s.partSubject(h.Get(headerID), strconv.Itoa(n)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, fmt.Errorf("%w: part %d of %d is missing", ErrDamaged, n+1, parts)
		}
		if err != nil {
			return nil, fmt.Errorf("part %d of %d: %w", n+1, parts, err)
		}
		body = append(body, part.Data...)
	}
	return body, nil
}

// subjects returns how many messages there are by subject, and the state of the
// whole stream.
func (s *store) subjects(ctx context.Context, filter string) (map[string]uint64, jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(s.name+filter))
	if err != nil {
		return nil, jetstream.StreamState{}, fmt.Errorf("state of stream %s: %w", s.name, err)
	}
	return info.State.Subjects, info.State, nil
}

// bytes returns what the stream takes.
func (s *store) bytes(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("state of stream %s: %w", s.name, err)
	}
	return int64(info.State.Bytes), nil
}

// headerBytes is how much headers take on the wire.
func headerBytes(h nats.Header) int {
	if len(h) == 0 {
		return 0
	}
	n := len("NATS/1.0\r\n\r\n")
	for k, values := range h {
		for _, v := range values {
			n += len(k) + len(v) + len(": \r\n")
		}
	}
	return n
}
