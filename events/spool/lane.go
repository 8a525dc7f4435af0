package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxLanes bounds the consumers. Destinations beyond it share sharedLanes:
	// branches are named by callers, so there may be any number.
	maxLanes    = 64
	sharedLanes = 16

	// Where dead letters are that could not be decoded.
	damagedLane = "damaged"
)

// A Lane is the records of one destination: environment, branch and key. One
// that cannot be delivered to holds up nobody else's records.
type Lane struct {
	name  string
	spool *Spool

	making   sync.Mutex
	consumer atomic.Pointer[jetstream.Consumer] // nil until it is read from
	held     atomic.Int64                       // deliveries that have not ended
}

// Name is the lane's name in subjects. It tells nothing about the destination.
func (l *Lane) Name() string { return l.name }

// lanes are those that had a record since the spool was opened.
type lanes struct {
	mu      sync.Mutex
	known   map[string]*Lane
	changed chan struct{} // closed when there is another one
}

// clear forgets all lanes, before the server tells which there are.
func (l *lanes) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = nil
}

// laneOf is the lane of a record.
func (s *Spool) laneOf(r *Record) string {
	where := []byte(r.Environment + "\x00" + r.Branch + "\x00" + r.KeyID)
	sum := crc32.Checksum(where, crc32.MakeTable(crc32.Castagnoli))
	name := fmt.Sprintf("%08x", sum)
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	if s.lanes.known[name] == nil && len(s.lanes.known) >= maxLanes {
		return "shared" + strconv.Itoa(int(sum%sharedLanes))
	}
	return name
}

// enter makes a lane known.
func (s *Spool) enter(name string) {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	if s.lanes.known[name] != nil {
		return
	}
	if s.lanes.known == nil {
		s.lanes.known = map[string]*Lane{}
	}
	s.lanes.known[name] = &Lane{name: name, spool: s}
	if s.lanes.changed != nil {
		close(s.lanes.changed)
		s.lanes.changed = nil
	}
}

// Lanes returns the lanes that have records or had some since Open, and a
// channel that is closed when there are more.
func (s *Spool) Lanes() (known []*Lane, more <-chan struct{}) {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	for _, l := range s.lanes.known {
		known = append(known, l)
	}
	slices.SortFunc(known, func(a, b *Lane) int { return cmp.Compare(a.name, b.name) })
	if s.lanes.changed == nil {
		s.lanes.changed = make(chan struct{})
	}
	return known, s.lanes.changed
}

// findLanes makes the lanes known whose records the server has.
func (s *Spool) findLanes(ctx context.Context) error {
	logs, _, err := s.main.subjects(ctx, ".log.>")
	if err != nil {
		return err
	}
	for subject := range logs {
		name, _, _ := strings.Cut(strings.TrimPrefix(subject, s.main.name+".log."), ".")
		s.enter(name)
	}
	return nil
}

// Next waits for the oldest record of the lane that nobody holds and whose delay
// is over. Damaged ones become dead letters on the way. An error other than ctx's
// says that the store does not work now.
func (l *Lane) Next(ctx context.Context) (*Delivery, error) {
	for {
		d, _, err := l.next(ctx, wait)
		switch {
		case d != nil:
			return d, nil
		case ctx.Err() != nil:
			return nil, cmp.Or(err, ctx.Err())
		case err != nil:
			return nil, fmt.Errorf("spool: next: %w", err)
		}
	}
}

// TryNext is Next without waiting: the delivery is nil if there is no record now,
// or if Options.MaxInFlight are held.
func (l *Lane) TryNext(ctx context.Context) (*Delivery, error) {
	if l.held.Load() >= int64(l.spool.o.MaxInFlight) {
		return nil, ctx.Err() // the server would let us wait for a second
	}
	for {
		d, none, err := l.next(ctx, look)
		switch {
		case d != nil || none:
			return d, nil
		case ctx.Err() != nil:
			return nil, cmp.Or(err, ctx.Err())
		case err != nil:
			return nil, fmt.Errorf("spool: next: %w", err)
		}
	}
}

// wait asks the server for a message and waits for one.
func wait(ctx context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
	return c.Next(jetstream.FetchContext(endless{ctx}))
}

// look asks for a message that is there.
func look(_ context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return nil, err
	}
	msg := <-batch.Messages()
	if err := batch.Error(); msg == nil && err != nil {
		return nil, err
	}
	return msg, nil
}

// next asks once. With neither a delivery nor an error it is to be asked again,
// unless none says that there is no record.
func (l *Lane) next(ctx context.Context, ask func(context.Context, jetstream.Consumer) (jetstream.Msg, error)) (d *Delivery, none bool, err error) {
	consumer := l.consumer.Load()
	if consumer == nil {
		return nil, false, l.consume(ctx, nil)
	}
	msg, err := ask(ctx, *consumer)
	switch {
	case ctx.Err() != nil:
		if msg != nil { // it came with the end
			err := msg.Nak()
			return nil, false, errors.Join(ctx.Err(), err)
		}
		return nil, false, ctx.Err()
	case errors.Is(err, nats.ErrTimeout):
		return nil, false, nil // nothing came, the server ended the wait
	case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoHeartbeat):
		// The server was started anew and has forgotten who reads.
		if err2 := l.consume(ctx, consumer); err2 != nil {
			return nil, false, errors.Join(err, err2)
		}
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case msg == nil:
		return nil, true, nil
	}
	d, err = l.open(ctx, msg, consumer)
	return d, false, err
}

// consume makes the lane's consumer, or finds it, unless somebody else has
// replaced the old one meanwhile.
func (l *Lane) consume(ctx context.Context, old *jetstream.Consumer) error {
	l.making.Lock()
	defer l.making.Unlock()
	if l.consumer.Load() != old {
		return nil
	}
	s := l.spool
	ctx, cancel := context.WithTimeout(ctx, s.o.OpTimeout)
	defer cancel()
	consumer, err := s.main.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       "lane-" + l.name,
		FilterSubject: s.main.name + ".log." + l.name + ".>",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       s.o.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: s.o.MaxInFlight + s.o.MaxDelayed,
		Replicas:      s.o.Replicas,
		MemoryStorage: true, // the stream itself knows what is left
	})
	if err != nil {
		return fmt.Errorf("consumer of lane %s: %w", l.name, err)
	}
	l.consumer.Store(&consumer)
	return nil
}
