package events

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// seedTable knows which ids the requests have that came with a seed of their
// caller: a repeat of one gets the same ids, and its events have them at Inngest
// too, whatever happened to the first one.
type seedTable struct {
	now     func() time.Time
	evicted func(n int)
	log     *slog.Logger

	mu      sync.Mutex
	known   *recent[seedEntry]
	busy    map[digest]chan struct{} // requests that are under way, closed at their end
	journal *journal                 // nil: nothing outlives the process
}

func newSeedTable(o *Options) *seedTable {
	t := &seedTable{
		now:     steady(o.Now),
		evicted: func(n int) { o.Metrics.ForgottenSeeds.WithLabelValues().Add(float64(n)) },
		log:     o.Log,
		known:   newRecent[seedEntry](o.SeedWindow, o.MaxSeeds),
		busy:    map[digest]chan struct{}{},
	}
	if o.SeedDir != "" {
		t.journal = newJournal(o.SeedDir, o.SeedWindow, 2*o.MaxSeeds)
	}
	return t
}

// steady returns a clock that goes on where somebody sets the system's. Records of
// the journal keep its wall time alone, and a step must not make one of them old.
func steady(now func() time.Time) func() time.Time {
	began := now()
	return func() time.Time { return began.Add(now().Sub(began)) }
}

// open reads what an earlier process knew.
func (t *seedTable) open() error {
	if t.journal == nil {
		return nil
	}
	damaged, err := t.journal.load(t.known, t.now())
	if err != nil {
		return fmt.Errorf("events: remembered seeds: %w", err)
	}
	if damaged > 0 {
		t.log.Warn("remembered seeds damaged", "records", damaged)
	}
	return nil
}

func (t *seedTable) close() error {
	if t.journal == nil {
		return nil
	}
	return t.journal.close()
}

// requestDigest names a request: a repeat has the same key, seed and body.
func requestDigest(d deliver.Destination, r *Request) digest {
	h := sha256.New()
	for _, part := range []string{d.Environment, d.KeyID, d.Branch, r.Seed, r.ContentType, r.ContentEncoding} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	h.Write(r.Body)
	var sum [sha256.Size]byte
	return digest(h.Sum(sum[:0])[:16])
}

// begin claims a request. If another one like it is under way, wait is closed at
// its end and nothing is claimed; else entry is what is known of it.
func (t *seedTable) begin(k digest) (entry seedEntry, known bool, wait <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.busy[k]; c != nil {
		return entry, false, c
	}
	entry, known = t.known.get(k, t.now())
	if !known || !entry.taken {
		t.busy[k] = make(chan struct{})
	}
	return entry, known, nil
}

// end gives up the claim.
func (t *seedTable) end(k digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.busy[k])
	delete(t.busy, k)
}

// assign stores the ids of a batch's requests before it goes anywhere: if this
// process is killed then, a repeat still gets the same ids. An error means that
// only this process knows them.
func (t *seedTable) assign(b *batch) error {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var records []byte
	for _, it := range b.items {
		if !it.hasOwn {
			continue
		}
		e := seedEntry{seed: b.seed.From(it.offset + 1), count: len(it.events)}
		if n := t.known.put(it.own, e, now); n > 0 {
			t.evicted(n)
		}
		records = appendRecord(records, kindAssigned, it.own, e, now)
	}
	if t.journal == nil || records == nil {
		return nil
	}
	return t.journal.append(records, t.known, now)
}

// sync returns when what was assigned is on disk, should the power fail.
func (t *seedTable) sync() error {
	if t.journal == nil {
		return nil
	}
	return t.journal.sync()
}

// taken notes that all of a request is safe: a repeat is not sent again. That
// need not reach the disk: a repeat that is sent again has the same ids.
func (t *seedTable) taken(k digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known.change(k, func(e *seedEntry) {
		e.taken = true
		if t.journal != nil {
			t.journal.later(appendRecord(nil, kindTaken, k, *e, t.now()))
		}
	})
}

// takenAs notes the ids of a request whose events went different ways.
func (t *seedTable) takenAs(k digest, ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.known.put(k, seedEntry{ids: ids, count: len(ids), taken: true}, t.now()); n > 0 {
		t.evicted(n)
	}
}

func (t *seedTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.len()
}

// ids returns the ids of n events, the first of which has the seed's first.
func ids(s inngest.Seed, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s.ID(i + 1)
	}
	return all
}

func (e *seedEntry) all() []string {
	if e.ids != nil {
		return e.ids
	}
	return ids(e.seed, e.count)
}
