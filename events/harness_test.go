package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

const testKey = "real-key"

// inngestSide takes batches as Inngest does, by their seeds.
type inngestSide struct {
	mu     sync.Mutex
	posts  []deliver.Batch
	events map[string]string // by id
	times  map[string]int    // how often an id came
	limit  int
	away   error         // nothing is taken
	down   bool          // Up says no
	delay  time.Duration // of each answer
	poison string        // an event with this text is refused
	answer func(b *deliver.Batch) *deliver.Result
}

func newInngestSide() *inngestSide {
	return &inngestSide{events: map[string]string{}, times: map[string]int{}}
}

func (s *inngestSide) Send(ctx context.Context, b *deliver.Batch) deliver.Result {
	s.mu.Lock()
	delay := s.delay
	copied := *b
	copied.Body = []byte(string(b.Body))
	s.posts = append(s.posts, copied)
	s.mu.Unlock()
	all := []deliver.Range{{To: b.Count}}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return deliver.Result{Left: all, Err: ctx.Err()}
		}
	}
	if ctx.Err() != nil {
		return deliver.Result{Left: all, Err: ctx.Err()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		if r := s.answer(b); r != nil {
			return *r
		}
	}
	if s.away != nil {
		return deliver.Result{Left: all, Err: s.away}
	}
	return s.take(b)
}

// take is what Inngest does with a batch that reaches it.
func (s *inngestSide) take(b *deliver.Batch) deliver.Result {
	var events []json.RawMessage
	if err := json.Unmarshal(b.Body, &events); err != nil || len(events) != b.Count {
		return deliver.Result{Left: []deliver.Range{{To: b.Count}}, Err: fmt.Errorf("%d events in %d bytes: %w", len(events), len(b.Body), err)}
	}
	var r deliver.Result
	for i, e := range events {
		var one struct{ Data struct{ Poison string } }
		if s.poison != "" && json.Unmarshal(e, &one) == nil && one.Data.Poison == s.poison {
			r.Refused = append(r.Refused, deliver.Refusal{Index: i, Status: 400, Message: "poisoned"})
			continue
		}
		id := b.Seed.ID(i + 1)
		s.events[id] = string(e)
		s.times[id]++
	}
	return r
}

func (s *inngestSide) Up(string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.down
}

func (s *inngestSide) Limit(deliver.Destination) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit
}

func (s *inngestSide) set(change func(*inngestSide)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// counts returns the number of events of each POST.
func (s *inngestSide) counts() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []int{}
	for _, b := range s.posts {
		all = append(all, b.Count)
	}
	return all
}

// disk is a spool in memory.
type disk struct {
	mu      sync.Mutex
	records []spool.Record
	err     error
	before  func()
}

func (d *disk) Append(ctx context.Context, r spool.Record) error {
	if d.before != nil {
		d.before()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.err, ctx.Err()); err != nil {
		return err
	}
	r.Body = []byte(string(r.Body))
	d.records = append(d.records, r)
	return nil
}

func (d *disk) set(change func(*disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *disk) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.records)
}

// drain delivers what is stored.
func (d *disk) drain(t testing.TB, to *inngestSide) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		seed, err := inngest.ParseSeed(r.Seed)
		if err != nil {
			t.Fatal(err)
		}
		to.mu.Lock()
		got := to.take(&deliver.Batch{Seed: seed, Body: r.Body, Count: r.Count})
		to.mu.Unlock()
		if got.Err != nil {
			t.Errorf("stored record: %v", got.Err)
		}
	}
	d.records = nil
}

type rig struct {
	*Plane
	inngest *inngestSide
	disk    *disk
	options Options
	end     func() error // ends Run and returns its error
}

func testOptions(t testing.TB, side *inngestSide, store *disk) Options {
	t.Helper()
	keys, err := NewKeys(KeysOptions{Configured: map[string][]string{"prod": {testKey}}, Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Environments: []string{"prod"},
		Mode:         ModeHybrid,
		Sender:       side,
		Spool:        store,
		Keys:         keys,
		Limits:       intake.ServerLimits(8 << 20),
		MaxEvents:    500,
		MaxBytes:     1 << 20,
		MaxWait:      5 * time.Millisecond,
		InFlight:     4,
		Patience:     time.Second,
		MaxMemory:    64 << 20,
		Trace:        TraceBatch,
		SeedWindow:   10 * time.Minute,
		MaxSeeds:     1000,
		MaxIDs:       1000,
		Now:          time.Now,
		Metrics:      metrics.New(prometheus.NewRegistry()).Events,
		Log:          slog.New(slog.DiscardHandler),
	}
}

// newRig runs a plane until the test ends.
func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	r := &rig{inngest: newInngestSide(), disk: &disk{}}
	r.options = testOptions(t, r.inngest, r.disk)
	if change != nil {
		change(&r.options)
	}
	r.start(t)
	return r
}

func (r *rig) start(t testing.TB) {
	t.Helper()
	p, err := New(r.options)
	if err != nil {
		t.Fatal(err)
	}
	r.Plane = p
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r.end = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func request(body string) Request {
	return Request{Environment: "prod", Key: testKey, ContentType: "application/json", Body: []byte(body)}
}

func seeded(seed, body string) Request {
	r := request(body)
	r.Seed = seed
	return r
}

// said is an answer as a caller reads it.
type said struct {
	Status int
	IDs    []string
	Error  string
	Code   inngest.Code
	Body   string
}

func read(t testing.TB, a Answer) said {
	t.Helper()
	var body struct {
		IDs    []string
		Status int
		Error  string
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		t.Fatalf("answer %q: %v", a.Body, err)
	}
	if body.Status != a.Status {
		t.Errorf("answer %d says status %d", a.Status, body.Status)
	}
	return said{a.Status, body.IDs, body.Error, a.Code, string(a.Body)}
}

// send accepts a request and reads the answer.
func (r *rig) send(t testing.TB, q Request) said {
	t.Helper()
	return read(t, r.Accept(t.Context(), q))
}

// taken fails the test unless the answer says 200 with n ids.
func (s said) taken(t testing.TB, n int) []string {
	t.Helper()
	if s.Status != 200 || len(s.IDs) != n || s.Code != "" {
		t.Fatalf("answer is %s (code %q), want 200 with %d ids", s.Body, s.Code, n)
	}
	return s.IDs
}

// knows fails the test unless Inngest has these events once, under these ids.
func (s *inngestSide) knows(t testing.TB, ids []string, events ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range ids {
		if s.events[id] != events[i] || s.times[id] != 1 {
			t.Errorf("Inngest has %q under %s, %d times; want %q once", s.events[id], id, s.times[id], events[i])
		}
	}
}

// at runs f after a while, beside the test.
func at(wait time.Duration, group *sync.WaitGroup, f func()) {
	group.Go(func() {
		<-time.After(wait)
		f()
	})
}
