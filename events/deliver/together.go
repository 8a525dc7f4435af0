package deliver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
)

// maxTogether bounds the records of one POST.
const maxTogether = 64

// gather takes further records into the queue as long as they can go out with
// the first one. Where a record has few events, this is what makes the drain
// faster than what comes in: the way to Inngest and back may take 100 ms.
func (w *worker) gather(ctx context.Context) {
	for len(w.queue) < cmp.Or(w.most, maxTogether) && w.room() {
		h, ok, err := w.next(ctx, false)
		if err != nil && ctx.Err() == nil {
			w.d.complain("spool cannot be read", err)
		}
		if !ok || err != nil {
			return
		}
		w.admit(ctx, h)
	}
}

// size chooses how many records may go out together next time. One that gets no
// clear answer costs a POST whenever it is among others.
func (w *worker) size(sent int, err error) {
	switch most := cmp.Or(w.most, maxTogether); {
	case err == nil && sent >= most:
		w.most = min(2*most, maxTogether)
	case unclear(err):
		w.most = max(sent/2, 1)
	}
}

// room tells whether all of the queue goes out together and there is room for
// more.
func (w *worker) room() bool {
	if w.failed > 0 {
		return false
	}
	events, size := 0, 0
	for _, i := range w.queue {
		if !i.whole() || !follows(w.queue[0].batch, i.batch) {
			return false
		}
		events += i.batch.Count
		size += len(i.batch.Body)
	}
	return len(w.queue) > 0 && events < w.d.o.MaxEvents && size < w.d.o.Client.Limit(w.queue[0].batch.Destination)
}

// follows tells whether the ids of two batches are from one chain: package
// events continues the seed of a batch with the next one's, for a moment.
func follows(a, b *Batch) bool {
	return a.Destination == b.Destination && a.Traceparent == b.Traceparent && a.Tracestate == b.Tracestate &&
		a.Seed.Millis == b.Seed.Millis && bytes.Equal(a.Seed.Entropy[:6], b.Seed.Entropy[:6])
}

// distance is how many events b's first comes after a's first in their chain.
func distance(a, b *Batch) int {
	return int(int32(binary.BigEndian.Uint32(b.Seed.Entropy[6:]) - binary.BigEndian.Uint32(a.Seed.Entropy[6:])))
}

// together returns the items of the queue that make up one POST: their ids follow
// each other without a gap. Batches of one chain were made at about the same
// time, so that they may have come into the spool in another order.
func (w *worker) together() []*item {
	first := w.queue[0]
	var chain []*item
	for _, i := range w.queue {
		if w.failed > 0 || !i.whole() || !follows(first.batch, i.batch) {
			break
		}
		chain = append(chain, i)
	}
	if len(chain) < 2 {
		return nil
	}
	slices.SortStableFunc(chain, func(a, b *item) int { return distance(first.batch, a.batch) - distance(first.batch, b.batch) })
	limit := w.d.o.Client.Limit(first.batch.Destination)
	events, size, n := 0, 0, 0
	for ; n < len(chain); n++ {
		b := chain[n].batch
		gap := n > 0 && distance(chain[0].batch, b) != events
		if gap || n >= cmp.Or(w.most, maxTogether) || n > 0 && (events+b.Count > w.d.o.MaxEvents || size+len(b.Body) > limit) {
			break
		}
		events += b.Count
		size += len(b.Body)
	}
	if n < 2 {
		// The rest of the queue goes out first if it has the lower ids.
		at := slices.Index(w.queue, chain[0])
		w.queue[0], w.queue[at] = w.queue[at], w.queue[0]
		return nil
	}
	return chain[:n]
}

// sendTogether sends several records as one batch.
func (w *worker) sendTogether(ctx context.Context, items []*item) Result {
	b := *items[0].batch
	b.Body, b.Count = []byte{'['}, 0
	for n, i := range items {
		inner := bytes.TrimSpace(i.batch.Body)
		if len(inner) < 3 || inner[0] != '[' || inner[len(inner)-1] != ']' {
			// It is no array: alone it shows what Inngest makes of it.
			items = items[:n]
			break
		}
		if n > 0 {
			b.Body = append(b.Body, ',')
		}
		b.Body = append(b.Body, inner[1:len(inner)-1]...)
		b.Count += i.batch.Count
	}
	if len(items) == 0 {
		items = w.queue[:1]
		b = *items[0].batch
	} else {
		b.Body = append(b.Body, ']')
	}
	result := w.d.o.Client.Send(ctx, &b)
	at := 0
	for _, i := range items {
		i.left = nil
		w.note(i, Range{0, i.batch.Count}, at, &result)
		at += i.batch.Count
	}
	return result
}
