package deliver

import (
	"context"
	"fmt"
	"time"
)

// finish ends a record: what Inngest will not have becomes dead letters, the
// rest is done. While the spool takes no dead letters the record stays in it.
func (w *worker) finish(ctx context.Context, i *item, reason, kind string) {
	for failed := 0; ; {
		err := w.setAside(ctx, i, reason, kind)
		if err == nil {
			break
		}
		failed++
		w.d.complain("spool takes no dead letters", err)
		if !sleep(ctx, w.d.o.Backoff.Wait(failed), nil) {
			last, cancel := atTheEnd(ctx)
			defer cancel()
			w.release(last, i.held)
			return
		}
	}
	w.forget(i)
	w.ack(ctx, i.held)
}

// setAside makes dead letters and takes those that are made off the lists.
func (w *worker) setAside(ctx context.Context, i *item, reason, kind string) error {
	for len(i.refused) > 0 {
		r := i.refused[0]
		if err := w.letter(ctx, i, Range{r.Index, r.Index + 1}, fmt.Sprintf("Inngest answered %d: %s", r.Status, r.Message), "refused"); err != nil {
			return err
		}
		i.refused = i.refused[1:]
	}
	for len(i.left) > 0 {
		if err := w.letter(ctx, i, i.left[0], reason, kind); err != nil {
			return err
		}
		i.left = i.left[1:]
	}
	return nil
}

// letter makes a dead letter of some of a record's events: their bytes, and the
// seed that gives them the same ids.
func (w *worker) letter(ctx context.Context, i *item, r Range, reason, kind string) error {
	part := i.record
	if i.batch != nil {
		if p := i.batch.Part(r); p != nil {
			part.Seed, part.Body, part.Count = p.Seed.String(), p.Body, p.Count
		}
	}
	if err := i.SetAside(ctx, part, reason); err != nil {
		return err
	}
	w.d.o.Metrics.DeadLetters.WithLabelValues(kind).Add(float64(part.Count))
	w.d.o.Log.Warn("events became a dead letter", "environment", part.Environment, "branch", part.Branch, "key", part.KeyID,
		"events", part.Count, "seed", part.Seed, "reason", reason)
	return nil
}

// ack removes the record from the spool, while the next one is already on its
// way. One whose removal failed comes again, and is then removed unsent.
func (w *worker) ack(ctx context.Context, h held) {
	if !w.enter(ctx) {
		last, cancel := atTheEnd(ctx)
		defer cancel()
		w.release(last, h)
		return
	}
	w.mark(h.record.ID) // should it come again meanwhile, it is not sent
	w.acked.Go(func() {
		// The record was delivered: this outlives ctx, though not for long.
		last, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWait, cancel) })()
		err := h.Ack(last)
		w.claims.remove(h)
		if err != nil {
			w.d.complain("spool does not remove a delivered batch", err)
		}
		w.leave(h.record.ID, err)
	})
}

// enter waits until another acknowledgement may be on its way.
func (w *worker) enter(ctx context.Context) bool {
	for {
		w.mu.Lock()
		if w.acking < maxAcks {
			w.acking++
			w.mu.Unlock()
			return true
		}
		if w.freed == nil {
			w.freed = make(chan struct{})
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return false
		case <-freed:
		}
	}
}

func (w *worker) leave(id string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acking--
	if w.freed != nil {
		close(w.freed)
		w.freed = nil
	}
	if err == nil {
		delete(w.unsure, id)
	}
}

// mark notes that a record was delivered and is not removed yet.
func (w *worker) mark(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsure == nil || len(w.unsure) >= maxUnsure {
		w.unsure = map[string]bool{}
	}
	w.unsure[id] = true
}

// maxUnsure bounds the memory of failed acknowledgements. A record that is
// forgotten is sent again with the same ids.
const maxUnsure = 1000

func (w *worker) delivered(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsure[id]
}

// block shows that the lane stands still.
func (w *worker) block() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	_, known := w.d.blocked[w.lane]
	b := Blocked{w.queue[0].batch.Destination, w.since, w.failed, fmt.Sprint(w.err)}
	w.d.blocked[w.lane] = b
	if !known {
		w.d.o.Log.Warn("spooled events wait", "environment", b.Environment, "branch", b.Branch, "key", b.KeyID, "err", w.err)
	}
}

func (w *worker) unblock() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if b, ok := w.d.blocked[w.lane]; ok {
		delete(w.d.blocked, w.lane)
		w.d.o.Log.Info("spooled events go out again", "environment", b.Environment, "branch", b.Branch, "key", b.KeyID, "attempts", b.Attempts)
	}
}
