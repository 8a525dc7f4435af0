package spool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A Delivery is a record handed out: exactly one of Ack, Nak, DeadLetter and Drop
// ends it.
type Delivery struct {
	Record   Record
	Attempt  int       // from 1; 2 when it was handed out before and not acknowledged
	Appended time.Time // by the server's clock; later than Record.Accepted after a replay
	Expired  bool      // older than Options.MaxAge: not to be delivered any more

	spool    *Spool
	lane     *Lane
	consumer *jetstream.Consumer // that handed it out
	ended    atomic.Bool
	msg      jetstream.Msg
	bytes    int64
}

// errForgotten says that the server was started anew and has forgotten that it
// handed out a record. It hands it out again, and would not answer.
var errForgotten = errors.New("the server has forgotten this delivery; the record comes again")

func (d *Delivery) forgotten() bool { return d.lane.consumer.Load() != d.consumer }

// end counts the delivery out, once.
func (d *Delivery) end() {
	if !d.ended.Swap(true) {
		d.lane.held.Add(-1)
	}
}

// endless is a context whose deadline the client does not see: it would stop to
// wait a tenth before.
type endless struct{ context.Context }

func (endless) Deadline() (time.Time, bool) { return time.Time{}, false }

// open makes a delivery of a message, nil if it became a dead letter instead.
func (l *Lane) open(ctx context.Context, msg jetstream.Msg, from *jetstream.Consumer) (opened *Delivery, err error) {
	s := l.spool
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	stored, err := s.main.whole(ctx, msg.Headers(), msg.Data())
	var r Record
	if err == nil {
		r, err = decode(msg.Headers(), stored)
	}
	d := &Delivery{
		Record: r, Attempt: int(meta.NumDelivered), Appended: meta.Timestamp,
		spool: s, lane: l, consumer: from, msg: msg,
		bytes: int64(messageOverhead + len(msg.Subject()) + headerBytes(msg.Headers()) + max(len(stored), len(msg.Data()))),
	}
	l.held.Add(1)
	defer func() {
		if opened == nil {
			d.end()
		}
	}()
	switch {
	case errors.Is(err, ErrDamaged):
		s.stats.damagedRecords.Add(1)
		s.o.Log.Error("spool record damaged, kept as a dead letter", "subject", msg.Subject(), "err", err)
		size, err2 := s.putDamaged(ctx, msg.Subject(), msg.Headers(), stored, err.Error())
		if err2 != nil {
			return nil, err2
		}
		s.used.Add(size)
		return nil, d.ack(ctx)
	case err != nil:
		return nil, err
	case s.o.Now().Sub(meta.Timestamp) > s.o.MaxAge:
		// How much of it was delivered is not known here.
		d.Expired = true
		s.stats.expired.Add(1)
		s.o.Log.Warn("spool record too old", "events", r.Count, "appended", meta.Timestamp)
	}
	return d, nil
}

// Ack removes the record: it was delivered. After an error it may come again.
func (d *Delivery) Ack(ctx context.Context) error {
	if err := d.ack(ctx); err != nil {
		return fmt.Errorf("spool: ack: %w", err)
	}
	return nil
}

func (d *Delivery) ack(ctx context.Context) error {
	defer d.end()
	if d.forgotten() {
		return errForgotten
	}
	opCtx, cancel := context.WithTimeout(ctx, d.spool.o.OpTimeout)
	defer cancel()
	if err := d.msg.DoubleAck(opCtx); err != nil {
		d.spool.trouble.Store(true)
		return err
	}
	d.spool.used.Add(-d.bytes)
	if h := d.msg.Headers(); h.Get(headerParts) != "" {
		return d.spool.main.dropParts(ctx, h.Get(headerID))
	}
	return nil
}

// Drop ends a delivery without a word to the server, which has handed the record
// out once more: the other delivery counts.
func (d *Delivery) Drop() { d.end() }

// Nak hands the record out again after delay, before records that came later
// and were not handed out yet.
func (d *Delivery) Nak(ctx context.Context, delay time.Duration) error {
	defer d.end()
	answer := "-NAK"
	if delay > 0 {
		answer = fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds())
	}
	if err := d.answer(ctx, answer); err != nil {
		return fmt.Errorf("spool: nak: %w", err)
	}
	return nil
}

// Extend starts Options.AckWait anew, for who holds the record for longer. It
// waits for no answer: the next one comes soon enough.
func (d *Delivery) Extend() error {
	if d.forgotten() {
		return nil
	}
	if err := d.msg.InProgress(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		return fmt.Errorf("spool: extend: %w", err)
	}
	return nil
}

// answer tells the server about a message and waits until it has taken it. The
// client's own methods do not wait, and the next Next could come first.
func (d *Delivery) answer(ctx context.Context, text string) error {
	if d.forgotten() {
		return nil // there is nothing to give back
	}
	ctx, cancel := context.WithTimeout(ctx, d.spool.o.OpTimeout)
	defer cancel()
	_, err := d.spool.conn.RequestWithContext(ctx, d.msg.Reply(), []byte(text))
	return err
}

// SetAside keeps a part of the record as a dead letter, with the reason. It does
// not end the delivery.
func (d *Delivery) SetAside(ctx context.Context, part Record, reason string) error {
	size, err := d.spool.putDead(ctx, part, reason)
	if err != nil {
		return fmt.Errorf("spool: dead letter of %d events: %w", part.Count, err)
	}
	d.spool.used.Add(size)
	return nil
}

// DeadLetter moves the record to the dead letters, with the reason.
func (d *Delivery) DeadLetter(ctx context.Context, reason string) error {
	size, err := d.spool.putDead(ctx, d.Record, reason)
	if err != nil {
		return fmt.Errorf("spool: dead letter: %w", err)
	}
	d.spool.used.Add(size)
	return d.Ack(ctx)
}
