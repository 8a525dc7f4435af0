package spool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// headerWas holds the headers of a message that could not be decoded.
const headerWas = "Spool-Was"

// A Letter is a dead letter.
type Letter struct {
	ID      string
	Reason  string
	At      time.Time // when it became one
	Record  Record    // of a damaged one: what was stored, in Body
	Damaged bool      // cannot be decoded, cannot be replayed
}

func (s *Spool) putDead(ctx context.Context, r Record, reason string) (int64, error) {
	r.ID = ulid.Make().String()
	return s.dead.put(ctx, s.laneOf(&r), &r, s.deadHeaders(reason))
}

func (s *Spool) deadHeaders(reason string) map[string]string {
	return map[string]string{
		headerReason:   url.QueryEscape(reason),
		headerReceived: s.o.Now().UTC().Format(time.RFC3339Nano),
	}
}

// putDamaged keeps a message that is no record as it is.
func (s *Spool) putDamaged(ctx context.Context, subject string, was nats.Header, body []byte, reason string) (int64, error) {
	id := ulid.Make().String()
	h := nats.Header{headerID: {id}, headerDamaged: {url.QueryEscape(subject)}, headerWas: {url.Values(was).Encode()}}
	for k, v := range s.deadHeaders(reason) {
		h.Set(k, v)
	}
	return s.dead.putMessage(ctx, damagedLane, id, 0, h, body)
}

// setPartsAside keeps the parts of a record whose message is lost, one dead
// letter each: what is left of them is known, not what belongs between.
func (s *Spool) setPartsAside(ctx context.Context, st *store, id string) error {
	for from := uint64(1); ; {
		msg, err := st.get(ctx, from, st.partSubject(id, "*"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := s.putDamaged(ctx, msg.Subject, msg.Header, msg.Data, "part of a record whose message is missing"); err != nil {
			return err
		}
		from = msg.Sequence + 1
	}
}

// get returns the first message from a sequence on whose subject fits.
func (s *store) get(ctx context.Context, from uint64, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
}

// List returns the oldest dead letters, at most limit, without their bodies.
func (s *Spool) List(ctx context.Context, limit int) ([]Letter, error) {
	var letters []Letter
	for from := uint64(1); len(letters) < limit; {
		msg, err := s.dead.get(ctx, from, s.dead.name+".log.>")
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("spool: list dead letters: %w", err)
		}
		l := letter(msg)
		l.Record.Body = nil
		letters = append(letters, l)
		from = msg.Sequence + 1
	}
	return letters, nil
}

// letter reads everything but the body, which may be in parts.
func letter(msg *jetstream.RawStreamMsg) Letter {
	h := msg.Header
	l := Letter{ID: msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], Damaged: h.Get(headerDamaged) != ""}
	l.Record.ID = l.ID
	if reason, err := url.QueryUnescape(h.Get(headerReason)); err == nil {
		l.Reason = reason
	}
	l.At = msg.Time
	if at, err := time.Parse(time.RFC3339Nano, h.Get(headerReceived)); err == nil {
		l.At = at
	}
	if !l.Damaged && l.Record.setFields(h.Get(headerFields)) != nil {
		l.Damaged = true
	}
	return l
}

// Show returns a dead letter with its body.
func (s *Spool) Show(ctx context.Context, id string) (Letter, error) {
	_, l, err := s.find(ctx, id)
	if err != nil {
		return Letter{}, fmt.Errorf("spool: dead letter %q: %w", id, err)
	}
	return l, nil
}

func (s *Spool) find(ctx context.Context, id string) (*jetstream.RawStreamMsg, Letter, error) {
	if _, err := ulid.ParseStrict(id); err != nil {
		return nil, Letter{}, ErrNotFound
	}
	msg, err := s.dead.get(ctx, 1, s.dead.name+".log.*.*."+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, Letter{}, ErrNotFound
	}
	if err != nil {
		return nil, Letter{}, err
	}
	l := letter(msg)
	stored, err := s.dead.whole(ctx, msg.Header, msg.Data)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, Letter{}, err
	}
	l.Record.Body = stored
	if err != nil || l.Damaged {
		l.Damaged = true
		return msg, l, nil
	}
	r, err := decode(msg.Header, stored)
	if err != nil {
		l.Damaged = true
		return msg, l, nil
	}
	l.Record = r
	return msg, l, nil
}

// Replay moves a dead letter to the end of the spool; its age begins anew. A
// letter that cannot be decoded stays: ErrDamaged.
func (s *Spool) Replay(ctx context.Context, id string) error {
	msg, l, err := s.find(ctx, id)
	if err == nil && l.Damaged {
		err = ErrDamaged
	}
	if err == nil {
		r := l.Record
		r.ID = ulid.Make().String()
		// The bound is not asked: the letter is counted already.
		_, err = s.put(ctx, &r)
	}
	if err == nil {
		err = s.remove(ctx, msg, id)
	}
	if err != nil {
		return fmt.Errorf("spool: replay dead letter %q: %w", id, err)
	}
	return nil
}

// Drop deletes a dead letter for good.
func (s *Spool) Drop(ctx context.Context, id string) error {
	msg, _, err := s.find(ctx, id)
	if err == nil {
		err = s.remove(ctx, msg, id)
	}
	if err != nil {
		return fmt.Errorf("spool: drop dead letter %q: %w", id, err)
	}
	return nil
}

// remove deletes a letter, its parts first: what is left by a crash can then
// still be found and dropped.
func (s *Spool) remove(ctx context.Context, msg *jetstream.RawStreamMsg, id string) error {
	if msg.Header.Get(headerParts) != "" {
		if err := s.dead.dropParts(ctx, id); err != nil {
			return err
		}
	}
	opCtx, cancel := context.WithTimeout(ctx, s.o.OpTimeout)
	defer cancel()
	if err := s.dead.stream.DeleteMsg(opCtx, msg.Sequence); err != nil {
		return err
	}
	return s.measure(ctx)
}
