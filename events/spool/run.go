package spool

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
)

const (
	// maxMendWait bounds the time between two restarts of the store, in sweeps.
	maxMendWait = 64
	// leastRoom is what the store needs of a disk, in bytes, to be started again.
	leastRoom = 1 << 20
	// reconnectWait is between two looks whether the client is connected again.
	reconnectWait = 20 * time.Millisecond
)

// Run keeps the bounds exact and starts JetStream again when it has stopped
// itself, or when a stream takes nothing any more, until ctx ends. The spool
// must be open.
func (s *Spool) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Sweep)
	defer tick.Stop()
	m := mender{spool: s}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.sweep(ctx, &m); err != nil && ctx.Err() == nil {
				s.trouble.Store(true)
				s.o.Log.Error("spool unavailable", "err", err)
			}
		}
	}
}

func (s *Spool) sweep(ctx context.Context, m *mender) error {
	if s.embedded != nil {
		if err := m.look(ctx); err != nil {
			return err
		}
	}
	return s.measure(ctx)
}

// A mender puts the embedded store right when it does not work by itself any
// more. A stream that met a full disk keeps the error for ever, whatever room
// there is later.
type mender struct {
	spool *Spool
	wait  time.Duration // after the last restart; it doubles while restarts do not help
	next  time.Time     // no restart before
}

// look starts the store again if it has to be. Where nothing has failed, that
// costs nothing.
func (m *mender) look(ctx context.Context) error {
	s := m.spool
	stopped := !s.embedded.running()
	if !stopped && !s.trouble.Load() {
		return nil
	}
	if time.Now().Before(m.next) {
		return nil
	}
	if room, err := s.roomToMend(); err != nil || !room {
		return err // a write into a full disk would only do harm
	}
	if !stopped {
		s.trouble.Store(false)
		err := s.works(ctx)
		if err == nil {
			m.wait = 0
			return nil
		}
		s.trouble.Store(true)
		if ctx.Err() != nil {
			return nil
		}
		s.o.Log.Error("spool takes nothing, its store is started again", "err", err)
	}
	m.wait = min(max(2*m.wait, s.o.Sweep), maxMendWait*s.o.Sweep)
	m.next = time.Now().Add(m.wait)
	return m.restart(ctx)
}

// restart has a new server read the files, after they are repaired, which takes
// as long as it takes for an Open. Those who use the spool meanwhile get errors.
// (JetStream alone cannot be started anew: each time leaves the old one's
// subscriptions behind, and then a message is deleted twice; v2.15.2.)
func (m *mender) restart(ctx context.Context) error {
	s := m.spool
	s.embedded.stop()
	for _, name := range s.names() {
		if err := s.repair(name); err != nil {
			return fmt.Errorf("repair stream %s: %w", name, err)
		}
	}
	if err := s.embedded.start(); err != nil {
		return fmt.Errorf("start the store again: %w", err)
	}
	s.stats.restarts.Add(1)
	s.o.Log.Warn("spool's store was started again", "next_restart_not_before", m.wait)
	// A server that is shut down while it makes a stream leaves things behind.
	ctx = context.WithoutCancel(ctx)
	if err := s.reconnect(ctx); err != nil {
		return fmt.Errorf("connect to the store that was started again: %w", err)
	}
	if err := s.setUp(ctx); err != nil {
		return err
	}
	return s.findLanes(ctx)
}

// reconnect returns when the client is connected to the new server.
func (s *Spool) reconnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.OpTimeout)
	defer cancel()
	again := time.NewTicker(reconnectWait)
	defer again.Stop()
	for {
		if s.conn.IsConnected() && s.conn.FlushWithContext(ctx) == nil {
			return nil
		}
		if err := s.conn.ForceReconnect(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}

// roomToMend tells whether the disk has room enough to start the store again:
// half of what is kept free, which somebody else has just taken.
func (s *Spool) roomToMend() (bool, error) {
	free, err := freeBytes(s.o.Dir)
	if err != nil {
		return false, fmt.Errorf("free space of %s: %w", s.o.Dir, err)
	}
	return free >= max(s.o.MinFree/2, leastRoom), nil
}

// works tries whether the streams take a message and remove it. The message is a
// part without a record: should it stay, the next Open removes it.
func (s *Spool) works(ctx context.Context) error {
	for _, st := range []*store{s.main, s.dead} {
		if err := st.works(ctx); err != nil {
			return fmt.Errorf("try stream %s: %w", st.name, err)
		}
	}
	return nil
}

func (s *store) works(ctx context.Context) error {
	// Others wait for the outcome. That a disk is so slow is trouble too.
	ctx, cancel := context.WithTimeout(ctx, s.timeout/2)
	defer cancel()
	m := &nats.Msg{Subject: s.partSubject(ulid.Make().String(), "0")}
	ack, err := s.js.PublishMsg(ctx, m, jetstream.WithExpectStream(s.name))
	if isFull(err) {
		return nil // by the bound on bytes, which is for others to tell
	}
	if err != nil {
		return err
	}
	return s.stream.DeleteMsg(ctx, ack.Sequence)
}
