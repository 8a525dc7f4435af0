package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	// Records whose next attempt is further away go back to the spool, so that
	// destinations that wait for hours hold no memory.
	maxHold = time.Second
	// Acknowledgements of one lane that may be on their way. They wait for the
	// disk, and the next batch need not.
	maxAcks = 4
	// How long the spool may take to get a batch back, or to remove it, when
	// the Drainer has to end.
	lastWait = 2 * time.Second
)

var errUncut = errors.New("the rest of the batch cannot be cut off")

// delivery is what a spool.Delivery can do.
type delivery interface {
	Ack(ctx context.Context) error
	Nak(ctx context.Context, delay time.Duration) error
	Extend() error
	SetAside(ctx context.Context, part spool.Record, reason string) error
	Drop()
}

// held is a record that the spool has handed out.
type held struct {
	delivery
	record   spool.Record
	appended time.Time
	expired  bool // not to be sent any more
}

// A worker delivers the records of one lane in their order.
type worker struct {
	d    *Drainer
	lane string
	next func(ctx context.Context, wait bool) (held, bool, error) // without wait: false if there is none

	queue  []*item             // held, oldest first
	known  map[string]progress // of records that went back unfinished, by id
	most   int                 // records of the next POST; 0: maxTogether
	failed int                 // attempts in a row
	since  time.Time           // of the first of these
	err    error               // of the last of these
	acked  sync.WaitGroup
	claims claims
	doubts doubts

	mu     sync.Mutex
	acking int
	unsure map[string]bool // delivered, but not removed, or nobody knows: they may come again
	freed  chan struct{}   // closed when an acknowledgement ends
}

// An item is a record that is being delivered.
type item struct {
	held
	batch *Batch
	progress
}

// progress is what is known about a record that is not finished.
type progress struct {
	left    []Range
	refused []Refusal
}

// whole tells that nothing of the record is settled.
func (i *item) whole() bool {
	return len(i.refused) == 0 && len(i.left) == 1 && i.left[0] == Range{0, i.batch.Count}
}

// events is how many are left.
func (p *progress) events() (n int) {
	for _, r := range p.left {
		n += r.To - r.From
	}
	return n
}

func (w *worker) run(ctx context.Context) {
	defer w.keepClaims()()
	defer w.acked.Wait()
	for failed := 0; ctx.Err() == nil; {
		if w.visit(ctx) {
			continue
		}
		if len(w.queue) == 0 {
			h, _, err := w.next(ctx, true)
			if err != nil {
				if ctx.Err() == nil {
					failed++
					w.d.complain("spool cannot be read", err)
					sleep(ctx, w.d.o.Backoff.Wait(failed), nil)
				}
				continue
			}
			failed = 0
			w.admit(ctx, h)
			continue
		}
		w.gather(ctx)
		w.deliver(ctx)
	}
	w.queue = append(w.queue, w.doubts.due...)
	w.giveBack(ctx)
}

// admit takes a record into the queue, if there is anything to be sent of it.
func (w *worker) admit(ctx context.Context, h held) {
	if w.again(h) {
		return
	}
	w.claims.add(h)
	if w.delivered(h.record.ID) {
		w.ack(ctx, h)
		return
	}
	b, err := batchOf(&h.record)
	if err != nil {
		w.finish(ctx, &item{held: h, progress: progress{left: []Range{{0, h.record.Count}}}}, err.Error(), "unreadable")
		return
	}
	i := &item{held: h, batch: b, progress: progress{left: []Range{{0, b.Count}}}}
	if p, ok := w.known[h.record.ID]; ok {
		delete(w.known, h.record.ID)
		i.progress = p
	}
	doubt := w.doubts.of[h.record.ID]
	if doubt != nil {
		i.progress = doubt.progress
	}
	switch {
	case h.expired:
		w.finish(ctx, i, w.tooOld(cmp.Or(doubt.lastErr(), w.err)), "too_old")
	case doubt != nil:
		w.comeAgain(ctx, i, doubt)
	default:
		w.queue = append(w.queue, i)
	}
}

// again takes over a record that is here already: the spool hands out again what
// nobody has answered for too long, or all that it had handed out when it was
// started anew. What is under way goes on under the new delivery.
func (w *worker) again(h held) bool {
	for _, i := range slices.Concat(w.queue, w.doubts.due) {
		if i.record.ID == h.record.ID {
			w.claims.remove(i.held)
			i.Drop()
			i.held = h
			w.claims.add(h)
			return true
		}
	}
	return false
}

func (w *worker) tooOld(err error) string {
	text := fmt.Sprintf("in the spool for longer than %v", w.d.o.MaxAge)
	if err != nil {
		text += ": " + err.Error()
	}
	return text
}

func destinationOf(r *spool.Record) Destination {
	return Destination{r.Environment, r.Branch, r.KeyID}
}

// batchOf is the POST that a record is.
func batchOf(r *spool.Record) (*Batch, error) {
	seed, err := inngest.ParseSeed(r.Seed)
	if err != nil {
		return nil, err
	}
	return &Batch{
		Destination: destinationOf(r),
		Seed:        seed, Body: r.Body, Count: r.Count,
		Traceparent: r.Traceparent, Tracestate: r.Tracestate,
	}, nil
}

// deliver sends what belongs together at the front of the queue, once, and
// waits if that did not work. What gets no clear answer is for doubts.
func (w *worker) deliver(ctx context.Context) {
	if w.doubted(ctx) {
		return
	}
	result, sent := w.attempt(ctx)
	if !sent {
		return // ctx ended
	}
	w.doubts.count(w.queue[0], result.Err)
	w.conclude(ctx, result)
}

// conclude draws the conclusions for the lane from an attempt.
func (w *worker) conclude(ctx context.Context, result Result) {
	if result.Err == nil {
		w.failed, w.err = 0, nil
		w.unblock()
	} else {
		if w.err = result.Err; w.failed == 0 {
			w.since = w.d.o.Now()
		}
	}
	w.settle(ctx)
	if result.Err != nil && len(w.queue) > 0 {
		w.pause(ctx, result)
	}
}

// settle ends the records of which nothing is left, and those that are too old
// to be tried again.
func (w *worker) settle(ctx context.Context) {
	queue := w.queue
	w.queue = nil
	for _, i := range queue {
		switch {
		case len(i.left) == 0:
			w.finish(ctx, i, "", "")
		case w.over(i) && w.err != nil:
			w.finish(ctx, i, w.tooOld(w.err), "too_old")
		default:
			w.queue = append(w.queue, i)
		}
	}
	if len(w.queue) == 0 {
		w.unblock()
	}
}

// over tells whether a record is too old to be tried again.
func (w *worker) over(i *item) bool { return w.d.o.Now().Sub(i.appended) > w.d.o.MaxAge }

// attempt sends once what belongs together at the front of the queue. It returns
// false when ctx ended first.
func (w *worker) attempt(ctx context.Context) (Result, bool) {
	if !w.enterSlot(ctx) {
		return Result{}, false
	}
	defer w.leaveSlot()
	if together := w.together(); len(together) > 1 {
		result := w.sendTogether(ctx, together)
		w.size(len(together), result.Err)
		return result, true
	}
	result := w.send(ctx, w.queue[0], false)
	w.size(1, result.Err)
	return result, true
}

// enterSlot waits until another batch may be on its way; false: ctx ended.
func (w *worker) enterSlot(ctx context.Context) bool {
	select {
	case w.d.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *worker) leaveSlot() { <-w.d.slots }

// send sends what is left of a record, until something cannot be delivered.
func (w *worker) send(ctx context.Context, i *item, doubtful bool) (result Result) {
	todo := i.left
	i.left = nil
	for n, r := range todo {
		if result = w.sendPart(ctx, i, r, doubtful); result.Err != nil {
			i.left = append(i.left, todo[n+1:]...)
			break
		}
	}
	return result
}

// sendPart sends some of a record's events and notes what became of them.
func (w *worker) sendPart(ctx context.Context, i *item, r Range, doubtful bool) Result {
	// Inngest took some of a batch that is not what it says. It is tried until
	// it is too old.
	result := Result{Left: []Range{{0, r.To - r.From}}, Err: errUncut}
	if part := i.batch.Part(r); part != nil {
		b := *part
		b.Doubtful = doubtful
		result = w.d.o.Client.Send(ctx, &b)
	}
	w.note(i, r, 0, &result)
	return result
}

// note takes over what a result says about a range of an item, whose first event
// was at a position of what was sent.
func (w *worker) note(i *item, r Range, at int, result *Result) {
	within := Range{at, at + r.To - r.From}
	settled := r.To - r.From
	for _, l := range result.Left {
		if l.From, l.To = max(l.From, within.From), min(l.To, within.To); l.From < l.To {
			i.left = append(i.left, Range{l.From - at + r.From, l.To - at + r.From})
			settled -= l.To - l.From
		}
	}
	for _, refused := range result.Refused {
		if refused.Index >= within.From && refused.Index < within.To {
			refused.Index += r.From - at
			i.refused = append(i.refused, refused)
			settled--
		}
	}
	w.d.o.Metrics.Drained.WithLabelValues(i.batch.Environment).Add(float64(settled))
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.drained += int64(settled)
}

// maxKnown bounds what is remembered of records that went back. Others may get
// them, if several gateways share a spool.
const maxKnown = 1000

// giveBack lets the spool hand out again what the worker holds, in the same
// order. What the spool does not take back it hands out when the claim ends.
func (w *worker) giveBack(ctx context.Context) {
	ctx, cancel := atTheEnd(ctx)
	defer cancel()
	for _, i := range w.queue {
		if !i.whole() {
			if w.known == nil || len(w.known) >= maxKnown {
				w.known = map[string]progress{}
			}
			w.known[i.record.ID] = i.progress
		}
		w.release(ctx, i.held)
	}
	w.queue, w.doubts.overtaken = nil, 0
}

// atTheEnd is a context for giving records back.
func atTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	// That is done because ctx ended, among other reasons.
	return context.WithTimeout(context.WithoutCancel(ctx), lastWait)
}

func (w *worker) release(ctx context.Context, h held) { w.releaseFor(ctx, h, 0) }

// releaseFor gives a record back that is to come again after some time.
func (w *worker) releaseFor(ctx context.Context, h held, delay time.Duration) {
	w.claims.remove(h)
	if err := h.Nak(ctx, delay); err != nil {
		w.d.complain("spool does not take a batch back", err)
	}
}
