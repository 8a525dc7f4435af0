package spool

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func TestNew_refusesWhatIsMissing(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"neither Dir nor URL": func(o *Options) { o.Dir = "" },
		"Dir and URL":         func(o *Options) { o.URL = "nats://127.0.0.1" },
		"no name":             func(o *Options) { o.Name = "" },
		"unreadable URL":      func(o *Options) { o.Dir, o.URL = "", "nats://u:\x01@h" },
		"name with a dot":     func(o *Options) { o.Name = "a.b" },
		"no replicas":         func(o *Options) { o.Replicas = 0 },
		"replicas of a file":  func(o *Options) { o.Replicas = 3 },
		"no bound on bytes":   func(o *Options) { o.MaxBytes = 0 },
		"no bound on age":     func(o *Options) { o.MaxAge = 0 },
		"no AckWait":          func(o *Options) { o.AckWait = 0 },
		"nothing in flight":   func(o *Options) { o.MaxInFlight = 0 },
		"fewer than none":     func(o *Options) { o.MaxDelayed = -1 },
		"no OpTimeout":        func(o *Options) { o.OpTimeout = 0 },
		"no Sweep":            func(o *Options) { o.Sweep = 0 },
		"no Now":              func(o *Options) { o.Now = nil },
		"no Log":              func(o *Options) { o.Log = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options("dir")
			change(&o)
			if s, err := New(o); err == nil {
				t.Errorf("New = %v, want an error", s)
			}
		})
	}
}

func TestOpen_refusesAFolderInUse(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	if err := s.Open(t.Context()); err == nil {
		t.Error("Open of an open spool = nil, want an error")
	}
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context()); err == nil {
		t.Error("Open by another = nil, want an error")
	}
	add(t, s, record(1, []byte("[]")))
	s.Close()
	if err := other.Open(t.Context()); err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	defer other.Close()
	if got := drain(t, other); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestOpen_saysThatTheServerIsNotThere(t *testing.T) {
	o := options("")
	o.URL = "nats://127.0.0.1:1"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err == nil {
		t.Error("Open = nil, want an error")
	}
	s.Close()
}

// run runs the spool until the test ends.
func run(t *testing.T, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// appendAgain appends a record as soon as the store takes it.
func appendAgain(t *testing.T, s *Spool, r Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.Append(ctx, r) != nil {
		select {
		case <-ctx.Done():
			t.Fatal("the store did not come back")
		case <-tick.C:
		}
	}
}

func TestRun_startsTheStoreAgainAfterItStoppedItself(t *testing.T) {
	s := open(t, options(t.TempDir()))
	add(t, s, record(0, noise(100)))
	held := next(t, s)
	if err := s.embedded.server.ShutdownJetStream(); err != nil { // as where it may not write
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), record(1, noise(100))); err == nil {
		t.Fatal("Append = nil while the store is stopped")
	}
	run(t, s)
	appendAgain(t, s, record(2, noise(100)))
	got := drain(t, s)
	if len(got) != 2 || got[0] != record(0, nil).Seed || got[1] != record(2, nil).Seed || s.Stats().Restarts != 1 {
		t.Errorf("there are %v, %+v", got, s.Stats())
	}
	if err := held.Ack(t.Context()); !errors.Is(err, errForgotten) {
		t.Errorf("Ack of what was handed out before = %v", err)
	}
}

// A store that works is left alone, whatever failed before, and one that does
// not is started again at longer and longer intervals.
func TestRun_startsAStoreAgainThatDoesNotWork(t *testing.T) {
	o := options(t.TempDir())
	o.Sweep = time.Hour
	s := open(t, o)
	add(t, s, record(0, noise(100)))
	m := mender{spool: s}
	for range 3 {
		s.trouble.Store(true)
		if err := m.look(t.Context()); err != nil || s.trouble.Load() {
			t.Fatalf("look = %v, trouble is %v", err, s.trouble.Load())
		}
	}
	if n := s.Stats().Restarts; n != 0 {
		t.Fatalf("a store that works was started %d times", n)
	}
	works := s.dead.timeout
	s.dead.timeout = 0 // it never answers in time
	for n, want := range []time.Duration{o.Sweep, 2 * o.Sweep, 4 * o.Sweep} {
		s.trouble.Store(true)
		m.next = time.Time{}
		err := m.look(t.Context())
		if m.wait != want || s.Stats().Restarts != int64(n+1) {
			t.Errorf("look = %v, %d restarts, the next after %v, want %v", err, s.Stats().Restarts, m.wait, want)
		}
	}
	if err := m.look(t.Context()); err != nil || s.Stats().Restarts != 3 {
		t.Errorf("look = %v before its time, %d restarts", err, s.Stats().Restarts)
	}
	s.dead.timeout = works
	m.next = time.Time{}
	if err := m.look(t.Context()); err != nil || m.wait != 0 {
		t.Errorf("look = %v, the next restart after %v", err, m.wait)
	}
	if got := drain(t, s); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestSpool_isUsedByManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		run(t, s)
		const writers, each, readers = 4, 25, 3
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var seen sync.Map
		var left atomic.Int64
		left.Store(writers * each)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for n := range each {
					size := 1000
					if n == 7 {
						size = 2 << 20
					}
					if err := s.Append(ctx, record(w*each+n, noise(size))); err != nil {
						t.Errorf("Append: %v", err)
					}
				}
			})
		}
		for range readers {
			all.Go(func() {
				for ctx.Err() == nil {
					d, err := nextOf(ctx, s)
					if err != nil {
						if !errors.Is(err, context.Canceled) {
							t.Errorf("Next: %v", err)
						}
						return
					}
					if _, twice := seen.LoadOrStore(d.Record.Seed, true); twice {
						t.Errorf("%s came twice", d.Record.Seed)
					}
					if err := d.Ack(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("Ack: %v", err)
					}
					if _, err := s.Backlog(ctx); err != nil && ctx.Err() == nil {
						t.Errorf("Backlog: %v", err)
					}
					if left.Add(-1) == 0 {
						cancel()
					}
				}
			})
		}
		all.Wait()
		if n := left.Load(); n != 0 {
			t.Errorf("%d records did not come", n)
		}
	})
}

func TestNext_endsWithItsContext(t *testing.T) {
	s := open(t, options(t.TempDir()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nextOf(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v, want context.Canceled", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := nextOf(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next = %v, want context.DeadlineExceeded", err)
	}
	add(t, s, record(1, []byte("[]")))
	if d := next(t, s); d.Attempt != 1 {
		t.Errorf("attempt %d: a wait that ended took the record", d.Attempt)
	}
}

func TestSpool_goesOnWhenTheExternalServerWasStartedAgain(t *testing.T) {
	dir := t.TempDir()
	first := natsServer(t, dir, server.RANDOM_PORT)
	port := first.Addr().(*net.TCPAddr).Port
	o := options("")
	o.URL, o.OpTimeout = first.ClientURL(), 5*time.Second
	s := open(t, o)
	for n := range 3 {
		add(t, s, record(n, noise(100)))
	}
	held := next(t, s)
	first.Shutdown()
	first.WaitForShutdown()
	if err := s.Append(t.Context(), record(7, noise(100))); err == nil {
		t.Error("Append = nil without a server")
	}
	natsServer(t, dir, port)
	var got []string
	for len(got) < 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d, err := nextOf(ctx, s)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("no record comes")
		}
		if err != nil {
			continue // not connected again yet
		}
		got = append(got, d.Record.Seed)
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got[0] != held.Record.Seed {
		t.Errorf("there are %v, want the one held first: %s", got, held.Record.Seed)
	}
}
