package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

// deadSuffix makes the name of the stream of dead letters.
const deadSuffix = "_DEAD"

// leftoverAge is how old parts without their record are in an external server
// before nobody can be writing it any more.
const leftoverAge = time.Hour

// A Spool is records on disk, and dead letters.
type Spool struct {
	o     Options
	stats counters
	used  atomic.Int64 // bytes of both streams, about

	// trouble tells that something failed since the store was last known to
	// work, or that its server has complained.
	trouble atomic.Bool

	lock     *os.File  // of Dir
	embedded *embedded // nil with URL
	conn     *nats.Conn
	main     *store
	dead     *store
	lanes    lanes
}

// Stats counts since New.
type Stats struct {
	DamagedFiles   int64 // repaired, the old ones are in Dir/aside
	DamagedRecords int64 // damaged places in files, and records that could not be decoded
	DamagedStreams int64 // set aside as a whole
	Leftovers      int64 // records a crash had left unfinished
	Expired        int64 // became dead letters of age
	Restarts       int64 // of JetStream, after it had stopped itself or a stream took nothing any more
}

type counters struct {
	damagedFiles, damagedRecords, damagedStreams, leftovers, expired, restarts atomic.Int64
}

// Backlog is what waits to be delivered, without dead letters.
type Backlog struct {
	Records, Events int64
	Bytes           int64     // of records as stored, with their parts
	DeadLetters     int64     //
	DeadBytes       int64     //
	Oldest          time.Time // when the oldest record came in; zero without one
}

// New checks the options. It opens and starts nothing; see [Spool.Open].
func New(o Options) (*Spool, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Spool{o: o}, nil
}

// Open starts the server or connects to it, and repairs what is damaged. After
// an error the spool can be opened again. The server runs until Close.
func (s *Spool) Open(ctx context.Context) (err error) {
	if s.conn != nil {
		return errors.New("open spool: it is open already")
	}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("open spool: %w", err)
		}
	}()
	if s.o.Dir != "" {
		if s.lock, err = lockDir(s.o.Dir); err != nil {
			return err
		}
		for _, name := range s.names() {
			err := s.repair(name)
			if bad := (*streamError)(nil); errors.As(err, &bad) {
				err = s.setStreamAside(name, s.o.Now(), err)
			}
			if err != nil {
				return err
			}
		}
	}
	err = s.start(ctx)
	var bad *streamError
	for range s.names() { // each can be bad once
		if s.o.Dir == "" || !errors.As(err, &bad) || ctx.Err() != nil {
			break
		}
		s.stop()
		if err := s.setStreamAside(bad.stream, s.o.Now(), bad.err); err != nil {
			return err
		}
		err = s.start(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.removeLeftovers(ctx); err != nil {
		return err
	}
	s.lanes.clear()
	if err := s.findLanes(ctx); err != nil {
		return err
	}
	return s.measure(ctx)
}

func (s *Spool) names() []string { return []string{s.o.Name, s.o.Name + deadSuffix} }

// streamError says which stream the server could not take.
type streamError struct {
	stream string
	err    error
}

func (e *streamError) Error() string { return fmt.Sprintf("stream %s: %v", e.stream, e.err) }
func (e *streamError) Unwrap() error { return e.err }

func (s *Spool) start(ctx context.Context) (err error) {
	options := []nats.Option{
		nats.Name(s.o.Name),
		nats.Timeout(s.o.OpTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // what cannot be sent now fails now
		nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.o.Log.Warn("spool connection", "err", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { s.o.Log.Warn("spool connection lost", "err", err) }),
		nats.ReconnectHandler(func(*nats.Conn) { s.o.Log.Info("spool connection is back") }),
	}
	if s.o.Dir != "" {
		// Reading a large store may take longer than an operation.
		s.embedded = &embedded{
			dir: s.o.Dir, payload: cmp.Or(s.o.payload, maxPayload), wait: time.Minute + s.o.OpTimeout, log: logger{s.o.Log, &s.trouble},
		}
		if err := s.embedded.start(); err != nil {
			return err
		}
		options = append(options, nats.InProcessServer(s.embedded))
	}
	if s.conn, err = nats.Connect(s.o.URL, options...); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(s.conn)
	if err != nil {
		return err
	}
	s.main = &store{name: s.names()[0], timeout: s.o.OpTimeout, trouble: &s.trouble, conn: s.conn, js: js}
	s.dead = &store{name: s.names()[1], byID: true, timeout: s.o.OpTimeout, trouble: &s.trouble, conn: s.conn, js: js}
	return s.setUp(ctx)
}

// setUp makes the streams, or finds them.
func (s *Spool) setUp(ctx context.Context) error {
	for _, st := range []*store{s.main, s.dead} {
		c := jetstream.StreamConfig{
			Name:     st.name,
			Subjects: []string{st.name + ".>"},
			Storage:  jetstream.FileStorage,
			Replicas: s.o.Replicas,
			Discard:  jetstream.DiscardNew, // nothing accepted is dropped
			MaxBytes: s.o.MaxBytes,
			MaxAge:   0,
		}
		if st == s.main {
			c.Retention = jetstream.WorkQueuePolicy // an acknowledged record is gone
		} else {
			// What moves here was within the bound before.
			c.MaxBytes = -1
		}
		opCtx, cancel := context.WithTimeout(ctx, s.o.OpTimeout)
		stream, err := st.js.CreateOrUpdateStream(opCtx, c)
		cancel()
		if err != nil {
			return &streamError{st.name, err}
		}
		if st.stream == nil { // a handle is a name: the first stays good
			st.stream = stream
		}
	}
	return nil
}

// removeLeftovers removes parts whose record never came. After damage they may
// belong to a record whose message was lost: then they become dead letters.
func (s *Spool) removeLeftovers(ctx context.Context) error {
	for _, st := range []*store{s.main, s.dead} {
		parts, _, err := st.subjects(ctx, ".part.>")
		if err != nil {
			return err
		}
		if len(parts) == 0 {
			continue
		}
		logs, _, err := st.subjects(ctx, ".log.>")
		if err != nil {
			return err
		}
		whole := map[string]bool{}
		for subject := range logs {
			whole[subject[strings.LastIndexByte(subject, '.')+1:]] = true
		}
		left := map[string]int{}
		for subject := range parts {
			if id := st.idOf(subject); !whole[id] {
				left[id]++
			}
		}
		for id := range left {
			if err := s.removeLeftover(ctx, st, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Spool) removeLeftover(ctx context.Context, st *store, id string) error {
	if s.o.URL != "" {
		if made, err := ulid.Parse(id); err == nil && s.o.Now().Sub(ulid.Time(made.Time())) < leftoverAge {
			return nil
		}
	}
	damage := s.stats.damagedFiles.Load()+s.stats.damagedStreams.Load() > 0
	if damage {
		if err := s.setPartsAside(ctx, st, id); err != nil {
			return err
		}
	}
	s.stats.leftovers.Add(1)
	s.o.Log.Warn("spool record without an end removed", "record", id, "kept_as_dead_letter", damage)
	return st.dropParts(ctx, id)
}

// measure asks the server how much is used.
func (s *Spool) measure(ctx context.Context) error {
	var total int64
	for _, st := range []*store{s.main, s.dead} {
		n, err := st.bytes(ctx)
		if err != nil {
			return err
		}
		total += n
	}
	s.used.Store(total)
	return nil
}

// Close ends the connection and the embedded server. Nobody may use the spool
// any more, but it can be opened again.
func (s *Spool) Close() {
	s.stop()
	if s.lock != nil {
		_ = s.lock.Close() // with it the lock goes
	}
	s.lock = nil
}

func (s *Spool) stop() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.embedded != nil {
		s.embedded.stop()
	}
	s.conn, s.embedded = nil, nil
}

// Stats returns what happened since New.
func (s *Spool) Stats() Stats {
	return Stats{
		DamagedFiles:   s.stats.damagedFiles.Load(),
		DamagedRecords: s.stats.damagedRecords.Load(),
		DamagedStreams: s.stats.damagedStreams.Load(),
		Leftovers:      s.stats.leftovers.Load(),
		Expired:        s.stats.expired.Load(),
		Restarts:       s.stats.restarts.Load(),
	}
}

// Backlog asks the server what there is.
func (s *Spool) Backlog(ctx context.Context) (Backlog, error) {
	logs, state, err := s.main.subjects(ctx, ".log.>")
	if err != nil {
		return Backlog{}, err
	}
	b := Backlog{Bytes: int64(state.Bytes)}
	for subject, n := range logs {
		b.Records += int64(n)
		b.Events += int64(n) * int64(countOf(strings.TrimPrefix(subject, s.main.name+".log.")))
	}
	if b.Records > 0 {
		b.Oldest = state.FirstTime
	}
	parts, state, err := s.dead.subjects(ctx, ".part.>") // there may be many letters
	if err != nil {
		return Backlog{}, err
	}
	b.DeadLetters = int64(state.Msgs)
	for _, n := range parts {
		b.DeadLetters -= int64(n)
	}
	b.DeadBytes = int64(state.Bytes)
	return b, nil
}

// countOf reads COUNT of LANE.COUNT or LANE.COUNT.ID.
func countOf(subject string) int {
	_, rest, _ := strings.Cut(subject, ".")
	text, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}
