package events

import (
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An item is the events of one request in a batch, all in a row.
type item struct {
	events      []intake.Event // parts of the caller's body
	bytes       int            // in the batch's body
	own         digest         // of the request, if it has a seed of its own
	hasOwn      bool
	preset      *inngest.Seed // the ids that the request must have, from an earlier try
	traceparent string
	tracestate  string

	// Set when the item joins a batch.
	batch  *batch
	offset int // events before it in the batch

	// Set before batch.done is closed.
	refused []deliver.Refusal // by Inngest; Index counts in the item
	failed  *failure          // events that went nowhere, at least one
}

// ids returns the ids that the item's events have at Inngest, once the batch has
// its outcome.
func (it *item) ids() []string {
	all := ids(it.batch.seed.From(it.offset+1), len(it.events))
	if others := it.batch.others; others != nil {
		for i := range all {
			if id := others[it.offset+i]; id != "" {
				all[i] = id
			}
		}
	}
	return all
}

// A batch is what goes to Inngest in one POST, or to the spool as one record.
type batch struct {
	deliver.Destination
	items  []*item
	events int
	bytes  int
	preset bool // the only item decides the seed
	began  time.Time
	sealed time.Time

	seed        inngest.Seed
	others      []string // the ids, where Inngest gave others than the seed does; empty: the seed's
	body        []byte
	traceparent string
	tracestate  string
	spooled     bool // not all of it went to Inngest

	started bool          // no item can be withdrawn any more; guarded by Plane.mu
	written chan struct{} // closed when body is complete: callers' bodies are not needed any more
	done    chan struct{} // closed when the items have their outcome
}

func newBatch(d deliver.Destination) *batch {
	return &batch{Destination: d, began: time.Now(), written: make(chan struct{}), done: make(chan struct{})}
}

func (b *batch) add(it *item) {
	it.batch, it.offset = b, b.events
	b.items = append(b.items, it)
	b.events += len(it.events)
	b.bytes += it.bytes
	b.preset = it.preset != nil
}

// remove takes an item out of a batch that was not started.
func (b *batch) remove(it *item) {
	kept := b.items[:0]
	b.events, b.bytes = 0, 0
	for _, other := range b.items {
		if other != it {
			other.offset = b.events
			b.events += len(other.events)
			b.bytes += other.bytes
			kept = append(kept, other)
		}
	}
	clear(b.items[len(kept):])
	b.items = kept
}

// name decides the seed of a batch, and with it all ids.
func (b *batch) name(c *chains, now time.Time) {
	if b.preset {
		b.seed = *b.items[0].preset
		return
	}
	b.seed = c.seed(b.Destination, b.events, now)
}

// write makes the body in room, which may be too small. The trace headers are
// kept where all items agree.
func (b *batch) write(room []byte) {
	b.body = slices.Grow(room[:0], b.bytes+1)
	b.traceparent, b.tracestate = b.items[0].traceparent, b.items[0].tracestate
	sep := byte('[')
	for _, it := range b.items {
		if it.traceparent != b.traceparent || it.tracestate != b.tracestate {
			b.traceparent, b.tracestate = "", ""
		}
		for i := range it.events {
			b.body = append(b.body, sep)
			b.body = append(b.body, it.events[i].Raw...)
			sep = ','
		}
	}
	b.body = append(b.body, ']')
	close(b.written)
}

// post is the batch as it goes to Inngest.
func (b *batch) post() *deliver.Batch {
	return &deliver.Batch{
		Destination: b.Destination,
		Seed:        b.seed,
		Body:        b.body,
		Count:       b.events,
		Traceparent: b.traceparent,
		Tracestate:  b.tracestate,
	}
}

// part is a range of the batch, with the ids that its events have in the whole.
func (b *batch) part(r deliver.Range) *deliver.Batch {
	if r == (deliver.Range{To: b.events}) {
		return b.post()
	}
	return b.post().Part(r)
}

// whole is the range of all events.
func (b *batch) whole() []deliver.Range { return []deliver.Range{{To: b.events}} }

// fail marks the items that have events in a range.
func (b *batch) fail(r deliver.Range, f *failure) {
	for _, it := range b.items {
		if r.From < it.offset+len(it.events) && it.offset < r.To {
			it.failed = f
		}
	}
}

// refuse gives each refusal to the item that it is about.
func (b *batch) refuse(all []deliver.Refusal) {
	for _, it := range b.items {
		for _, one := range all {
			if n := one.Index - it.offset; n >= 0 && n < len(it.events) {
				one.Index = n
				it.refused = append(it.refused, one)
			}
		}
	}
}

// rename notes ids that Inngest gave instead of the seed's to events from a
// position on.
func (b *batch) rename(from int, ids []string) {
	if ids == nil {
		return
	}
	if b.others == nil {
		b.others = make([]string, b.events)
	}
	copy(b.others[from:], ids)
}

// sizeOf returns the bytes that events take in a body, each with what is before
// it.
func sizeOf(events []intake.Event) int {
	n := 0
	for i := range events {
		n += 1 + len(events[i].Raw)
	}
	return n
}
