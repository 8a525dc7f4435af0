package deliver

import (
	"context"
	"errors"
	"fmt"
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
	Extend(ctx context.Context) error
	SetAside(ctx context.Context, part spool.Record, reason string) error
}

// held is a record that the spool has handed out.
type held struct {
	delivery
	record   spool.Record
	appended time.Time
}

// A worker delivers the records of one lane in their order.
type worker struct {
	d    *Drainer
	lane string
	next func(ctx context.Context, wait bool) (held, bool, error) // without wait: false if there is none

	queue  []*item             // held, oldest first
	known  map[string]progress // of records that went back unfinished, by id
	failed int                 // attempts in a row
	since  time.Time           // of the first of these
	err    error               // of the last of these
	acked  sync.WaitGroup

	mu     sync.Mutex
	acking int
	unsure map[string]bool // delivered, but Ack failed: they come again
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

func (w *worker) run(ctx context.Context) {
	defer w.acked.Wait()
	for failed := 0; ctx.Err() == nil; {
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
	w.giveBack(ctx)
}

// admit takes a record into the queue, if there is anything to be sent of it.
func (w *worker) admit(ctx context.Context, h held) {
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
	w.queue = append(w.queue, i)
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
// waits if that did not work.
func (w *worker) deliver(ctx context.Context) {
	result, sent := w.attempt(ctx)
	if !sent {
		return // ctx ended
	}
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
		switch age := w.d.o.Now().Sub(i.appended); {
		case len(i.left) == 0:
			w.finish(ctx, i, "", "")
		case age > w.d.o.MaxAge && w.err != nil:
			w.finish(ctx, i, fmt.Sprintf("in the spool for longer than %v: %v", w.d.o.MaxAge, w.err), "too_old")
		default:
			w.queue = append(w.queue, i)
		}
	}
	if len(w.queue) == 0 {
		w.unblock()
	}
}

// attempt sends once. It returns false when ctx ended first.
func (w *worker) attempt(ctx context.Context) (Result, bool) {
	defer w.claim(ctx, w.queue)()
	select {
	case w.d.slots <- struct{}{}:
		defer func() { <-w.d.slots }()
	case <-ctx.Done():
		return Result{}, false
	}
	if together := w.together(); len(together) > 1 {
		return w.sendTogether(ctx, together), true
	}
	i := w.queue[0]
	todo := i.left
	i.left = nil
	var result Result
	for n, r := range todo {
		if part := i.batch.Part(r); part != nil {
			result = w.d.o.Client.Send(ctx, part)
		} else {
			// Inngest took some of a batch that is not what it says. It is
			// tried until it is too old.
			result = Result{Left: []Range{{0, r.To - r.From}}, Err: errUncut}
		}
		w.note(i, r, 0, &result)
		if result.Err != nil {
			i.left = append(i.left, todo[n+1:]...)
			break
		}
	}
	return result, true
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

// claim keeps the spool from handing records out to somebody else, until the
// function returned is called.
func (w *worker) claim(ctx context.Context, items []*item) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(w.d.o.Extend)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for _, i := range items {
				if err := i.Extend(ctx); err != nil && ctx.Err() == nil {
					w.d.complain("spool does not extend a claim", err)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

// pause waits for the next attempt.
func (w *worker) pause(ctx context.Context, result Result) {
	environment := w.queue[0].batch.Environment
	wait, asked := w.wait(result)
	w.block()
	if wait > maxHold {
		w.giveBack(ctx)
	}
	var recovered <-chan struct{}
	if !asked {
		recovered = w.d.o.Client.Recovered(environment)
	}
	sleep(ctx, wait, recovered)
}

// wait is how long the lane stands still, and whether Inngest asked for it.
func (w *worker) wait(result Result) (wait time.Duration, asked bool) {
	if errors.Is(result.Err, ErrDown) {
		// Not tried at all. Whoever is the probe soon knows more.
		return max(result.RetryAfter, w.d.o.Backoff.Wait(1)), false
	}
	if !errors.Is(result.Err, ErrHeld) {
		w.failed++
	}
	wait = w.d.o.Backoff.Wait(w.failed)
	if result.RetryAfter > 0 {
		// A little later than asked, so that lanes do not come all at once.
		return result.RetryAfter + wait/4, true
	}
	return wait, false
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, wait time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
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
	w.queue = nil
}

// atTheEnd is a context for giving records back.
func atTheEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	// That is done because ctx ended, among other reasons.
	return context.WithTimeout(context.WithoutCancel(ctx), lastWait)
}

func (w *worker) release(ctx context.Context, h held) {
	if err := h.Nak(ctx, 0); err != nil {
		w.d.complain("spool does not take a batch back", err)
	}
}
