package deliver

import (
	"context"
	"errors"
	"net/http"
	"time"
)

const (
	// So many answers in a row that say nothing about the events of the oldest
	// record, and one behind it is tried.
	doubtAfter = 5
	// The records behind it that are tried, one after the other.
	maxBehind = 16
	// The most pieces of which one is tried after those.
	maxPieces = 16
	// The POSTs for one record that was set back, each time that it comes again.
	maxVisit = 64
	// The events that one log line names.
	maxNamed = 10
)

// unclear tells whether an error is an answer of which nobody can say whether it
// is about the events or about all of Inngest. Those that are surely about
// Inngest, or about the key, are not.
func unclear(err error) bool {
	var s *StatusError
	switch {
	case errors.Is(err, errUncut):
		return true
	case errors.Is(err, ErrKeyRefused) || !errors.As(err, &s):
		return false
	}
	return s.Status != http.StatusTooManyRequests && s.Status != http.StatusServiceUnavailable
}

// unsent tells whether nothing was sent at all.
func unsent(err error) bool { return errors.Is(err, ErrDown) || errors.Is(err, ErrHeld) }

// doubts are what a worker knows of records that get no clear answer.
type doubts struct {
	id        string // of the record at the front of the queue that got none
	answers   int    // that say nothing, in a row
	depth     int    // records behind it that were tried since, in vain
	overtaken int    // records at the front of the queue behind which one was just taken

	of  map[string]*doubt // those that were set back, by id
	due []*item           // of these, those that have come again
}

// A doubt is what is known of a record that was set back.
type doubt struct {
	progress
	visits int // that were in vain
	err    error
	due    time.Time
	alone  bool // its events that are left go alone, and it was said which
}

func (d *doubt) lastErr() error {
	if d == nil {
		return nil
	}
	return d.err
}

// entry is what is known of a record that was set back.
func (d *doubts) entry(id string) *doubt {
	if d.of == nil {
		d.of = map[string]*doubt{}
	}
	if d.of[id] == nil {
		d.of[id] = &doubt{}
	}
	return d.of[id]
}

// count notes what came of an attempt at the front of the queue.
func (d *doubts) count(i *item, err error) {
	switch {
	case unsent(err):
	case !unclear(err):
		d.trust()
	case d.id != i.record.ID:
		d.id, d.answers, d.depth = i.record.ID, 1, 0
	default:
		d.answers++
	}
}

// trust forgets the answers: they were not about the record.
func (d *doubts) trust() { d.id, d.answers, d.depth = "", 0, 0 }

// doubted deals with the front of the queue where it is in doubt. False says
// that it is to be sent as ever.
func (w *worker) doubted(ctx context.Context) bool {
	d := &w.doubts
	if d.overtaken > 0 {
		d.overtaken--
		w.confirm(ctx, func(context.Context) (bool, Result) { return true, Result{} })
		return true
	}
	after := doubtAfter
	if len(d.of) > 0 {
		after = 1 // it is not the first one
	}
	if d.answers < after || d.id != w.queue[0].record.ID || !w.mayDoubt() {
		return false
	}
	at, there := w.behind(ctx)
	if at > 0 {
		w.confirm(ctx, func(ctx context.Context) (bool, Result) { return w.tryBehind(ctx, at) })
		return true
	}
	if _, ok := w.piece(d.depth - there); ok {
		w.confirm(ctx, func(ctx context.Context) (bool, Result) { return w.tryPiece(ctx, d.depth-there) })
		return true
	}
	if d.depth > 0 { // all were tried: Inngest takes nothing
		d.answers, d.depth = 0, 0
	}
	return false
}

// confirm sends the front of the queue, for Inngest may be back, and if it gets
// no clear answer looks at once whether something else is taken, unless some of
// the front itself was. Then the front is to blame, and is set back. Were the two
// further apart, what is tried in its place would overtake it whenever Inngest
// comes back in between.
func (w *worker) confirm(ctx context.Context, other func(context.Context) (taken bool, result Result)) {
	if !w.enterSlot(ctx) {
		return
	}
	i := w.queue[0]
	// The breaker hears nothing of it: should this be its probe, the other one is
	// to be that.
	before := i.events()
	result := w.send(ctx, i, true)
	taken, instead := i.events() < before, Result{}
	if unclear(result.Err) && !taken {
		taken, instead = other(ctx)
	}
	w.leaveSlot()
	switch {
	case taken && unclear(result.Err):
		w.doubts.trust()
		w.queue = w.queue[1:]
		w.failed, w.err = 0, nil
		w.unblock()
		w.settle(ctx)
		w.setBack(ctx, i, result.Err)
	case unclear(result.Err):
		w.inVain(ctx, instead)
	default:
		if w.doubts.count(i, result.Err); result.Err != nil {
			w.doubts.overtaken = 0
		}
		w.conclude(ctx, result)
	}
}

// inVain draws the conclusions from something else that was not taken either:
// Inngest is ill. Next time it is another record, or another piece.
func (w *worker) inVain(ctx context.Context, result Result) {
	switch {
	case unclear(result.Err):
		w.doubts.depth++
	case !unsent(result.Err):
		w.doubts.trust()
	}
	w.conclude(ctx, result)
}

var errTooManySetBack = errors.New("too many are set back already")

// mayDoubt tells whether another record may be set back.
func (w *worker) mayDoubt() bool {
	if len(w.doubts.of) < w.d.o.MaxSetBack {
		return true
	}
	// What did not come again went to another gateway that has the same spool.
	late := time.Now().Add(-2 * w.d.o.SetBack.Max)
	for id, doubt := range w.doubts.of {
		if doubt.due.Before(late) {
			delete(w.doubts.of, id)
		}
	}
	if len(w.doubts.of) < w.d.o.MaxSetBack {
		return true
	}
	w.d.complain("a batch without a clear answer is not set back", errTooManySetBack)
	return false
}

// behind returns which record of the queue is tried in place of the first one, 0
// if all were that are there, and how many these are. It takes more records into
// the queue where it has to.
func (w *worker) behind(ctx context.Context) (at, there int) {
	to := w.queue[0].batch.Destination
	for {
		size, n := 0, 0
		for at, i := range w.queue[1:] {
			if size += len(i.batch.Body); i.batch.Destination != to {
				continue // the lane is shared
			}
			if n == w.doubts.depth {
				return at + 1, n
			}
			n++
		}
		if len(w.queue) > maxBehind || size > 2*w.d.o.Client.Limit(to) {
			return 0, n
		}
		h, ok, err := w.next(ctx, false)
		if err != nil && ctx.Err() == nil {
			w.d.complain("spool cannot be read", err)
		}
		if !ok || err != nil {
			return 0, n
		}
		w.admit(ctx, h)
	}
}

// tryBehind sends a record behind the first one, and tells whether Inngest took
// any of it. Those between the two have to be confirmed then.
func (w *worker) tryBehind(ctx context.Context, at int) (taken bool, result Result) {
	i := w.queue[at]
	before := i.events()
	result = w.send(ctx, i, false)
	if taken = i.events() < before; taken {
		w.doubts.overtaken = at - 1
	}
	return taken, result
}

// setBack lets the records behind one go on that gets no clear answer. What of it
// Inngest takes goes out at once, in halves of halves.
func (w *worker) setBack(ctx context.Context, i *item, err error) {
	w.doubts.entry(i.record.ID).err = err
	w.d.o.Metrics.SetBack.WithLabelValues(i.batch.Environment).Inc()
	w.d.o.Log.Warn("a batch gets no clear answer and is set back, those behind it go on", "environment", i.batch.Environment,
		"branch", i.batch.Branch, "key", i.batch.KeyID, "seed", i.record.Seed, "events", i.events(), "err", err)
	if w.halve(i) {
		w.narrow(ctx, i)
	} else {
		w.back(ctx, i, true)
	}
}

// comeAgain takes a record that was set back. One that comes before its time, as
// all do when the spool was started anew, goes back for the rest of it.
func (w *worker) comeAgain(ctx context.Context, i *item, doubt *doubt) {
	if early := time.Until(doubt.due); early > maxHold {
		w.releaseFor(ctx, i.held, early)
		return
	}
	w.doubts.due = append(w.doubts.due, i)
}

// visit tries a record that was set back and has come again, and tells whether
// there was one.
func (w *worker) visit(ctx context.Context) bool {
	d := &w.doubts
	if len(d.due) == 0 {
		return false
	}
	i := d.due[0]
	d.due = d.due[1:]
	w.narrow(ctx, i)
	return true
}

// narrow sends what is left of a record piece by piece and halves the pieces that
// get no clear answer, as long as others are taken: so Inngest is there, and what
// remains are the events that are to blame, each alone.
func (w *worker) narrow(ctx context.Context, i *item) {
	if !w.enterSlot(ctx) {
		w.doubts.due = append(w.doubts.due, i)
		return
	}
	doubt, tried := w.doubts.entry(i.record.ID), true
	for posts := maxVisit; ; {
		n, taken, err := w.pieces(ctx, i, posts)
		posts -= n
		if err != nil {
			doubt.err = err
		}
		if tried = err == nil || unclear(err); !tried || !w.halve(i) || !taken || posts == 0 {
			break
		}
	}
	w.leaveSlot()
	switch {
	case len(i.left) == 0:
		w.d.o.Log.Info("a batch that was set back has ended", "environment", i.batch.Environment, "key", i.batch.KeyID, "seed", i.record.Seed)
		w.finish(ctx, i, "", "")
	case w.over(i):
		w.finish(ctx, i, w.tooOld(doubt.err), "too_old")
	default:
		w.back(ctx, i, tried)
	}
}

// back gives a record that is in doubt back to the spool, for longer each time
// that it was tried in vain, but not beyond the time when it is too old.
func (w *worker) back(ctx context.Context, i *item, tried bool) {
	doubt := w.doubts.entry(i.record.ID)
	if doubt.progress = i.progress; tried {
		doubt.visits++
	}
	left := max(i.appended.Add(w.d.o.MaxAge).Sub(w.d.o.Now()), 0) + time.Second
	delay := min(w.d.o.SetBack.Wait(max(doubt.visits, 1)), left)
	doubt.due = time.Now().Add(delay)
	w.d.showSetBack(i, doubt.due)
	w.tell(i, doubt)
	ctx, cancel := atTheEnd(ctx)
	defer cancel()
	w.releaseFor(ctx, i.held, delay)
}

// tell says which events get no clear answer, once they are known.
func (w *worker) tell(i *item, doubt *doubt) {
	if doubt.alone || len(i.left) != i.events() {
		return
	}
	doubt.alone = true
	var ids []string
	for _, r := range i.left[:min(len(i.left), maxNamed)] {
		ids = append(ids, i.batch.Seed.ID(r.From+1))
	}
	w.d.o.Log.Warn("events get no clear answer, each alone; they are tried until they are too old", "environment", i.batch.Environment,
		"branch", i.batch.Branch, "key", i.batch.KeyID, "events", len(i.left), "ids", ids, "err", doubt.err)
}

// forget notes that a record has ended.
func (w *worker) forget(i *item) {
	if w.doubts.of[i.record.ID] != nil {
		delete(w.doubts.of, i.record.ID)
		w.d.hideSetBack(i.record.ID)
	}
}
