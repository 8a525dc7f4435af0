package events

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// idTable knows which events went to Inngest by the ids that their senders gave
// them. It does not outlive the process: Inngest knows them too.
type idTable struct {
	evicted func(n int)

	mu    sync.Mutex
	known *recent[string]
	busy  map[digest]chan struct{} // events under way, closed at their end
}

// newIDTable returns nil without a window.
func newIDTable(o *Options) *idTable {
	if o.DedupeWindow == 0 {
		return nil
	}
	return &idTable{
		evicted: func(n int) { o.Metrics.ForgottenIDs.WithLabelValues().Add(float64(n)) },
		known:   newRecent[string](o.DedupeWindow, o.MaxIDs),
		busy:    map[digest]chan struct{}{},
	}
}

func (t *idTable) len() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.len()
}

// named tells whether any of the events has an id of its sender.
func named(events []intake.Event) bool {
	for i := range events {
		if len(events[i].ID) > 0 {
			return true
		}
	}
	return false
}

// nameOf names an event: two of different names start different functions, so
// they are not the same although their ids are.
func nameOf(d deliver.Destination, e *intake.Event) digest {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(d.Environment), []byte(d.KeyID), []byte(d.Branch), e.Name, e.ID} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	var sum [sha256.Size]byte
	return digest(h.Sum(sum[:0])[:16])
}

// once is the events of one request while each is sent or found to be known.
type once struct {
	item  *item
	names []digest // zero: no id of the sender
	ids   []string // what the caller gets

	mine  []int           // claimed by this request, to be sent
	other []int           // claimed by others, or twice in this request
	wait  []chan struct{} // closed when those are done
}

// claim claims the events at the given positions, all at once, and looks up
// those that are known.
func (t *idTable) claim(o *once, at []int) (known int) {
	now := time.Now()
	o.mine, o.other, o.wait = nil, nil, nil
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, i := range at {
		name := o.names[i]
		if name == (digest{}) {
			o.mine = append(o.mine, i)
			continue
		}
		if id, ok := t.known.get(name, now); ok {
			o.ids[i] = id
			known++
			continue
		}
		if c := t.busy[name]; c != nil {
			o.other, o.wait = append(o.other, i), append(o.wait, c)
			continue
		}
		t.busy[name] = make(chan struct{})
		o.mine = append(o.mine, i)
	}
	return known
}

// end gives up the claims; those that have an id by now are known from here on.
func (t *idTable) end(o *once) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, i := range o.mine {
		name := o.names[i]
		if name == (digest{}) {
			continue
		}
		if o.ids[i] != "" {
			if n := t.known.put(name, o.ids[i], now); n > 0 {
				t.evicted(n)
			}
		}
		close(t.busy[name])
		delete(t.busy, name)
	}
}

// takeOnce is submit for events of which some may have been taken before. What
// somebody else is sending just now is waited for; should that fail, it is sent
// from here. Nobody waits in a circle: claims are made all at once, and what was
// claimed is sent before the wait.
func (p *Plane) takeOnce(ctx context.Context, d deliver.Destination, it *item) (Answer, outcome) {
	o := &once{item: it, names: make([]digest, len(it.events)), ids: make([]string, len(it.events))}
	left := make([]int, len(it.events))
	for i := range it.events {
		left[i] = i
		if len(it.events[i].ID) > 0 {
			o.names[i] = nameOf(d, &it.events[i])
		}
	}
	end := outcomeRepeated
	var refusals []deliver.Refusal
	repeats := 0
	for len(left) > 0 {
		repeats += p.ids.claim(o, left)
		if part := o.part(); part != nil {
			f := p.submit(ctx, d, part)
			if f == nil {
				refusals = o.settle(part, refusals)
				if end != outcomeSpooled {
					end = outcomeTaken
				}
				if part.batch.spooled {
					end = outcomeSpooled
				}
			}
			p.ids.end(o)
			if f != nil {
				return f.answer(), outcomeUnavailable
			}
		}
		for _, c := range o.wait {
			select {
			case <-c:
			case <-ctx.Done():
				return failCanceled().answer(), outcomeUnavailable
			}
		}
		left = o.other
	}
	p.o.Metrics.Repeats.WithLabelValues("id").Add(float64(repeats))
	if len(refusals) > 0 {
		return refused(o.ids, refusals), outcomeRefused
	}
	if it.hasOwn && it.batch == nil {
		// The ids are not in a row, so what the batches noted says nothing.
		p.seeds.takenAs(it.own, o.ids)
	}
	return accepted(o.ids), end
}

// part returns an item of the claimed events, nil if there are none.
func (o *once) part() *item {
	if len(o.mine) == 0 {
		return nil
	}
	if len(o.mine) == len(o.item.events) {
		return o.item
	}
	part := &item{traceparent: o.item.traceparent, tracestate: o.item.tracestate}
	for _, i := range o.mine {
		part.events = append(part.events, o.item.events[i])
	}
	part.bytes = sizeOf(part.events)
	return part
}

// settle takes over the outcome of a part that did not fail.
func (o *once) settle(part *item, refusals []deliver.Refusal) []deliver.Refusal {
	for n, id := range part.ids() {
		o.ids[o.mine[n]] = id
	}
	for _, one := range part.refused {
		one.Index = o.mine[one.Index]
		o.ids[one.Index] = ""
		refusals = append(refusals, one)
	}
	return refusals
}
