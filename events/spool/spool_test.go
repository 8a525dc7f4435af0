package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats-server/v2/server"
)

// options are for a spool in a folder of its own.
func options(dir string) Options {
	return Options{
		Dir: dir, Name: "EVENTS", Replicas: 1, MaxBytes: 256 << 20, MaxAge: time.Hour,
		AckWait: time.Minute, MaxInFlight: 64, OpTimeout: 20 * time.Second, Sweep: 10 * time.Millisecond,
		Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		payload: 256 << 10, // parts without megabytes
	}
}

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// external starts a NATS server for the test and returns options for it.
func external(t testing.TB) Options {
	t.Helper()
	o := options("")
	o.URL = natsServer(t, t.TempDir(), server.RANDOM_PORT).ClientURL()
	return o
}

// natsServer starts a server of the usual max_payload, 1 MiB.
func natsServer(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	n, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, MaxPayload: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(20 * time.Second) {
		t.Fatal("the external server does not start")
	}
	return n
}

// both runs a test on either server.
func both(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("embedded", func(t *testing.T) { test(t, options(t.TempDir())) })
	t.Run("external", func(t *testing.T) { test(t, external(t)) })
}

func record(n int, body []byte) Record {
	return Record{
		Environment: "prod", KeyID: "k1", Branch: "feature/ä b", Seed: fmt.Sprintf("1700000000000,%04d", n), Count: n%7 + 1, Body: body,
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=1, b=2\r\nX: y",
		Accepted: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
	}
}

// noise does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func add(t testing.TB, s *Spool, r Record) {
	t.Helper()
	if err := s.Append(t.Context(), r); err != nil {
		t.Fatalf("Append: %v", err)
	}
}

func next(t testing.TB, s *Spool) *Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := nextOf(ctx, s)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return d
}

// nextOf is Next of the lane that the records of most tests share.
func nextOf(ctx context.Context, s *Spool) (*Delivery, error) {
	name := s.laneOf(&Record{Environment: "prod", KeyID: "k1", Branch: "feature/ä b"})
	s.enter(name)
	known, _ := s.Lanes()
	for _, l := range known {
		if l.Name() == name {
			return l.Next(ctx)
		}
	}
	return nil, errors.New("the lane is not there")
}

func backlog(t testing.TB, s *Spool) Backlog {
	t.Helper()
	b, err := s.Backlog(t.Context())
	if err != nil {
		t.Fatalf("Backlog: %v", err)
	}
	return b
}

// drain acknowledges all there is and returns the seeds in order.
func drain(t testing.TB, s *Spool) []string {
	t.Helper()
	var seeds []string
	for backlog(t, s).Records > 0 {
		d := next(t, s)
		seeds = append(seeds, d.Record.Seed)
		if err := d.Ack(t.Context()); err != nil {
			t.Fatalf("Ack: %v", err)
		}
	}
	return seeds
}

func sameRecord(t *testing.T, got, want Record) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Record{}, "ID", "Body")); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if !bytes.Equal(got.Body, want.Body) {
		t.Errorf("body has %d bytes, want the %d appended", len(got.Body), len(want.Body))
	}
}

func TestSpool_givesBackWhatWasAppendedInOrder(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		bodies := [][]byte{
			[]byte(`[{}]`), bytes.Repeat([]byte(`{"name":"a"},`), 5000), noise(64 << 10), noise(256 << 10), noise(1 << 20),
			bytes.Repeat([]byte("x"), 9<<20), noise(2<<20 + 17), []byte("\x00\xff"),
		}
		events := 0
		for n, body := range bodies {
			add(t, s, record(n, body))
			events += record(n, nil).Count
		}
		b := backlog(t, s)
		if b.Records != int64(len(bodies)) || b.Events != int64(events) || b.Bytes <= 0 || b.Oldest.IsZero() {
			t.Errorf("Backlog = %+v, want %d records of %d events", b, len(bodies), events)
		}
		for n, body := range bodies {
			d := next(t, s)
			sameRecord(t, d.Record, record(n, body))
			if d.Attempt != 1 {
				t.Errorf("attempt %d, want 1", d.Attempt)
			}
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if b := backlog(t, s); b != (Backlog{}) {
			t.Errorf("Backlog of a drained spool = %+v", b)
		}
		if err := s.measure(t.Context()); err != nil || s.used.Load() != 0 {
			t.Errorf("%d bytes used after the last Ack (%v)", s.used.Load(), err)
		}
	})
}

func TestSpool_handsOutAgainWhatIsNotAcknowledged(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		for n := range 3 {
			add(t, s, record(n, []byte("[]")))
		}
		first := next(t, s)
		if err := first.Extend(); err != nil {
			t.Fatal(err)
		}
		if err := first.Nak(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		again := next(t, s)
		if again.Record.Seed != first.Record.Seed || again.Attempt != 2 {
			t.Errorf("after Nak: %s, attempt %d, want %s again", again.Record.Seed, again.Attempt, first.Record.Seed)
		}
		if err := again.Nak(t.Context(), 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		var seeds []string
		for range 3 {
			d := next(t, s)
			seeds = append(seeds, d.Record.Seed)
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(seeds) // the delay may be over at once; TestNext_goesOnBehindWhatIsDelayed has a longer one
		want := []string{record(0, nil).Seed, record(1, nil).Seed, record(2, nil).Seed}
		if diff := cmp.Diff(want, seeds); diff != "" {
			t.Errorf("after a Nak with delay (-want +got):\n%s", diff)
		}
	})
}

func TestSpool_keepsItsRecordsWhenOpenedAgain(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		var want []string
		for n := range 5 {
			add(t, s, record(n, noise(2<<20*(n%2)+1)))
			want = append(want, record(n, nil).Seed)
		}
		held := next(t, s)
		if err := held.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := next(t, s)
		if err := lost.Nak(t.Context(), 0); err != nil { // an external server would keep it for AckWait
			t.Fatal(err)
		}
		s.Close()
		s = open(t, o)
		if diff := cmp.Diff(want[1:], drain(t, s)); diff != "" {
			t.Errorf("after reopening (-want +got):\n%s", diff)
		}
		if got := s.Stats(); got != (Stats{}) {
			t.Errorf("Stats = %+v, want nothing wrong", got)
		}
	})
}

func TestAppend_refusesAtTheBound(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.MaxBytes = 3 << 20
		s := open(t, o)
		add(t, s, record(0, noise(1<<20)))
		add(t, s, record(1, noise(3<<19)))
		if err := s.Append(t.Context(), record(2, noise(1<<20))); !errors.Is(err, ErrFull) {
			t.Fatalf("Append = %v, want ErrFull", err)
		}
		if err := s.Append(t.Context(), record(2, noise(6<<20))); !errors.Is(err, ErrFull) {
			t.Fatalf("Append = %v, want ErrFull", err)
		}
		// The server has the last word when our count is behind, parts included.
		s.used.Store(-10 << 20)
		if err := s.Append(t.Context(), record(2, noise(1<<20))); !errors.Is(err, ErrFull) {
			t.Fatalf("Append = %v, want ErrFull", err)
		}
		parts, _, err := s.main.subjects(t.Context(), ".part.>")
		if err != nil {
			t.Fatal(err)
		}
		// Dead letters count as well.
		for range 2 {
			if err := next(t, s).DeadLetter(t.Context(), "no"); err != nil {
				t.Fatal(err)
			}
		}
		if parts2, _, _ := s.main.subjects(t.Context(), ".part.>"); len(parts2) != 0 {
			t.Errorf("parts left %v (before %v)", parts2, parts)
		}
		if err := s.Append(t.Context(), record(2, noise(1<<20))); !errors.Is(err, ErrFull) {
			t.Fatalf("Append beside dead letters = %v, want ErrFull", err)
		}
		letters, err := s.List(t.Context(), 10)
		if err != nil || len(letters) != 2 {
			t.Fatalf("List = %v, %v", letters, err)
		}
		for _, l := range letters {
			if err := s.Drop(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
		}
		add(t, s, record(2, noise(1<<20)))
	})
}

func TestNext_tellsWhatIsTooOld(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		var s *Spool
		var late atomic.Bool // until one record has expired
		o.Now = func() time.Time {
			if late.Load() && s.Stats().Expired == 0 {
				return time.Now().Add(2 * time.Hour)
			}
			return time.Now()
		}
		s = open(t, o)
		add(t, s, record(0, noise(2<<20)))
		add(t, s, record(1, []byte("[]")))
		late.Store(true)
		old, fresh := next(t, s), next(t, s)
		if !old.Expired || fresh.Expired || fresh.Record.Seed != record(1, nil).Seed || s.Stats().Expired != 1 {
			t.Fatalf("Next = %s %v, then %s %v, %+v", old.Record.Seed, old.Expired, fresh.Record.Seed, fresh.Expired, s.Stats())
		}
		if err := old.DeadLetter(t.Context(), "too old"); err != nil {
			t.Fatal(err)
		}
		letters, err := s.List(t.Context(), 10)
		if err != nil || len(letters) != 1 || letters[0].Reason != "too old" {
			t.Fatalf("List = %+v, %v", letters, err)
		}
		if err := s.Replay(t.Context(), letters[0].ID); err != nil {
			t.Fatal(err)
		}
		sameRecord(t, next(t, s).Record, record(0, noise(2<<20)))
	})
}
