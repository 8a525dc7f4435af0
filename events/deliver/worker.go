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
	// A batch whose next attempt is further away goes back to the spool, so that
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

// A worker delivers the records of one lane, one after the other.
type worker struct {
	d    *Drainer
	lane string
	next func(context.Context) (held, error)

	progress progress
	acked    sync.WaitGroup

	mu     sync.Mutex
	acking int
	unsure map[string]bool // delivered, but Ack failed: they come again
	freed  chan struct{}   // closed when an acknowledgement ends
}

// progress is what is known about a record that is not finished. It outlives
// the record's time in memory.
type progress struct {
	id      string
	left    []Range
	refused []Refusal
	failed  int // attempts
	since   time.Time
	err     error
}

func (w *worker) run(ctx context.Context) {
	defer w.acked.Wait()
	for failed := 0; ctx.Err() == nil; {
		h, err := w.next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				failed++
				w.d.complain("spool cannot be read", err)
				sleep(ctx, w.d.o.Backoff.Wait(failed), nil)
			}
			continue
		}
		failed = 0
		w.deliver(ctx, h)
	}
}

// deliver brings a record to its end, or gives it back and waits.
func (w *worker) deliver(ctx context.Context, h held) {
	if w.delivered(h.record.ID) {
		w.ack(ctx, h)
		return
	}
	b, err := batchOf(&h.record)
	if err != nil {
		w.finish(ctx, h, []Refusal{}, []Range{{0, h.record.Count}}, err.Error(), "unreadable")
		return
	}
	if w.progress.id != h.record.ID {
		w.progress = progress{id: h.record.ID, left: []Range{{0, b.Count}}, since: w.d.o.Now()}
	}
	p := &w.progress
	for {
		result, sent := w.attempt(ctx, h, b)
		if !sent { // ctx ended
			w.giveBack(ctx, h)
			return
		}
		if len(p.left) == 0 {
			w.unblock()
			w.finish(ctx, h, p.refused, nil, "", "")
			return
		}
		if age := w.d.o.Now().Sub(h.appended); age > w.d.o.MaxAge {
			w.unblock()
			w.finish(ctx, h, p.refused, p.left, fmt.Sprintf("in the spool for longer than %v: %v", w.d.o.MaxAge, p.err), "too_old")
			return
		}
		if !w.pause(ctx, h, result) {
			return
		}
	}
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

// attempt sends what is left of a record, once. It returns false when ctx ended
// first.
func (w *worker) attempt(ctx context.Context, h held, b *Batch) (Result, bool) {
	defer w.claim(ctx, h)()
	select {
	case w.d.slots <- struct{}{}:
		defer func() { <-w.d.slots }()
	case <-ctx.Done():
		return Result{}, false
	}
	p := &w.progress
	todo := p.left
	p.left = nil
	var result Result
	for i, r := range todo {
		if part := b.Part(r); part != nil {
			result = w.d.o.Client.Send(ctx, part)
		} else {
			// Inngest took some of a batch that is not what it says. It is
			// tried until it is too old.
			result = Result{Left: []Range{{0, r.To - r.From}}, Err: errUncut}
		}
		w.note(b, r, &result)
		if result.Err != nil {
			p.left = append(p.left, todo[i+1:]...)
			break
		}
	}
	p.err = result.Err
	return result, ctx.Err() == nil || len(p.left) == 0
}

// note takes over the result of a part.
func (w *worker) note(b *Batch, r Range, result *Result) {
	p, left := &w.progress, 0
	for _, l := range result.Left {
		p.left = append(p.left, Range{r.From + l.From, r.From + l.To})
		left += l.To - l.From
	}
	for _, refused := range result.Refused {
		refused.Index += r.From
		p.refused = append(p.refused, refused)
	}
	taken := r.To - r.From - left - len(result.Refused)
	w.d.o.Metrics.Drained.WithLabelValues(b.Environment).Add(float64(taken))
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.drained += int64(taken)
}

// claim keeps the spool from handing a record out to somebody else, until the
// function returned is called.
func (w *worker) claim(ctx context.Context, h held) (stop func()) {
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
				if err := h.Extend(ctx); err != nil && ctx.Err() == nil {
					w.d.complain("spool does not extend a claim", err)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

// pause waits for the next attempt. It returns false if it gave the record
// back: then the next one from the spool is that one.
func (w *worker) pause(ctx context.Context, h held, result Result) bool {
	p := &w.progress
	wait, asked := w.wait(result)
	w.block(h, p)
	hold := wait <= maxHold
	if !hold {
		w.giveBack(ctx, h)
	}
	var recovered <-chan struct{}
	if !asked {
		recovered = w.d.o.Client.Recovered(h.record.Environment)
	}
	if !sleep(ctx, wait, recovered) && hold {
		w.giveBack(ctx, h)
		return false
	}
	return hold
}

// wait is how long the lane stands still, and whether Inngest asked for it.
func (w *worker) wait(result Result) (wait time.Duration, asked bool) {
	p := &w.progress
	if errors.Is(result.Err, ErrDown) {
		// Not tried at all. Whoever is the probe soon knows more.
		return max(result.RetryAfter, w.d.o.Backoff.Wait(1)), false
	}
	if !errors.Is(result.Err, ErrHeld) {
		p.failed++
	}
	wait = w.d.o.Backoff.Wait(p.failed)
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

// giveBack lets the spool hand the record out again. Without that it does so
// when the claim ends.
func (w *worker) giveBack(ctx context.Context, h held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWait)
	defer cancel()
	if err := h.Nak(ctx, 0); err != nil {
		w.d.complain("spool does not take a batch back", err)
	}
}
