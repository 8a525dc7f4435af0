package spool

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func lane(t testing.TB, s *Spool, r Record) *Lane {
	t.Helper()
	known, _ := s.Lanes()
	for _, l := range known {
		if l.Name() == s.laneOf(&r) {
			return l
		}
	}
	t.Fatalf("no lane for %+v among %d", r, len(known))
	return nil
}

func TestLanes_holdUpNobodyElse(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.MaxInFlight = 2
		s := open(t, o)
		_, more := s.Lanes()
		stuck, fine := record(1, noise(100)), record(2, noise(100))
		fine.KeyID = "k2"
		for range 5 {
			add(t, s, stuck)
			add(t, s, fine)
		}
		select {
		case <-more:
		default:
			t.Error("Lanes tells nothing of new ones")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for range 2 { // all that may be in flight
			if _, err := lane(t, s, stuck).Next(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 5 {
			d, err := lane(t, s, fine).Next(ctx)
			if err != nil {
				t.Fatalf("Next %d: %v", n, err)
			}
			if d.Record.KeyID != "k2" {
				t.Errorf("the record of %s is in the lane of k2", d.Record.KeyID)
			}
			if err := d.Ack(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTryNext_doesNotWait(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.MaxInFlight = 2
		s := open(t, o)
		for n := range 3 {
			add(t, s, record(n, noise(100)))
		}
		l := lane(t, s, record(0, nil))
		var held []*Delivery
		for range 2 {
			d, err := l.TryNext(t.Context())
			if err != nil || d == nil {
				t.Fatalf("TryNext = %v, %v; there is a record", d, err)
			}
			held = append(held, d)
		}
		start := time.Now()
		if d, err := l.TryNext(t.Context()); d != nil || err != nil {
			t.Errorf("TryNext = %v, %v with MaxInFlight held", d, err)
		}
		for _, d := range held {
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := l.TryNext(t.Context()); err != nil || d == nil || d.Record.Seed != record(2, nil).Seed {
			t.Errorf("TryNext = %v, %v; want the third", d, err)
		}
		if d, err := l.TryNext(t.Context()); d != nil || err != nil {
			t.Errorf("TryNext = %v, %v of an empty lane", d, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d, err := l.TryNext(ctx); d != nil || err == nil {
			t.Errorf("TryNext = %v, %v after the end", d, err)
		}
	})
}

// Records that are given back for later hold up nobody, however many they are,
// and come when their time has come.
func TestNext_goesOnBehindWhatIsDelayed(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		const delayed, behind = 20, 5
		o.MaxInFlight, o.MaxDelayed = 2, delayed
		s := open(t, o)
		for n := range delayed + behind {
			add(t, s, record(n, noise(100)))
		}
		for n := range delayed {
			delay := time.Hour
			if n == delayed-1 {
				delay = 100 * time.Millisecond
			}
			if err := next(t, s).Nak(t.Context(), delay); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]bool{}
		for range behind + 1 {
			d := next(t, s)
			got[d.Record.Seed] = true
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for n := delayed - 1; n < delayed+behind; n++ {
			if !got[record(n, nil).Seed] {
				t.Errorf("record %d did not come", n)
			}
		}
	})
}

func TestLanes_areKnownAfterOpen(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		add(t, s, record(1, noise(100)))
		s.Close()
		s = open(t, o)
		if d := next(t, s); d.Record.Seed != record(1, nil).Seed {
			t.Errorf("got %s", d.Record.Seed)
		}
		known, _ := s.Lanes()
		if len(known) != 1 {
			t.Errorf("%d lanes, want 1", len(known))
		}
	})
}

func TestLanes_areBounded(t *testing.T) {
	s := open(t, options(t.TempDir()))
	for n := range 2 * maxLanes {
		r := record(n, noise(10))
		r.Branch = fmt.Sprintf("b%d", n)
		s.enter(s.laneOf(&r))
	}
	known, _ := s.Lanes()
	if len(known) > maxLanes+sharedLanes {
		t.Errorf("%d lanes", len(known))
	}
}
