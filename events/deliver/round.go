package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/breaker"
)

// A round is one Send: the pieces of a batch that are still to be posted, in
// order.
type round struct {
	c     *Client
	e     *environment
	b     *Batch
	keys  []string // as they are tried; the one that was taken comes first from then on
	first string   // the batch's own key

	events []Range // where each event stands in the body; nil until it is cut
	todo   []Range // next piece first
	// wholly tells that the server refuses a batch as a whole: it took an
	// event alone that was the first of a refused batch. Inngest itself takes
	// the events before a bad one.
	wholly bool
	alone  int // the event that is tried alone because of such a batch, else -1

	result Result
	unsure error // of an event that was left and did not end the round
}

func (r *round) run(ctx context.Context) {
	r.alone = -1
	r.todo = []Range{{0, r.b.Count}}
	for len(r.todo) > 0 {
		piece := r.todo[0]
		if size := r.size(piece); r.over(piece, size) && r.halve(piece) {
			continue
		}
		a, err := r.post(ctx, piece)
		if err == nil {
			err = r.settle(piece, a)
		}
		if err != nil {
			r.giveUp(err)
			return
		}
	}
	if r.unsure != nil {
		r.giveUp(r.unsure)
	}
}

// size is how many bytes a piece has as a body.
func (r *round) size(p Range) int {
	if p.To-p.From == r.b.Count {
		return len(r.b.Body)
	}
	return r.events[p.To-1].To - r.events[p.From].From + 2
}

// over tells whether a piece is larger than what Inngest takes, as far as that
// is learnt. The batcher's own limit does not cut: it may have been changed.
func (r *round) over(p Range, size int) bool {
	limit := r.c.memory.limit(r.b.account())
	return p.To-p.From > 1 && limit < r.c.o.MaxBytes && size > limit
}

// settle does with a piece what its answer says. An error means that the answer
// says nothing about events.
func (r *round) settle(p Range, a answer) error {
	n := p.To - p.From
	switch {
	case a.status == http.StatusOK && a.ours:
		taken := min(a.taken, n)
		r.note(p, a, taken)
		r.next(p.From+taken, p.To)
		if taken < n {
			return &StatusError{a.status, fmt.Sprintf("ids of %d events of %d", taken, n)}
		}
		if p.From == r.alone {
			r.wholly = true
		}
	case a.status == http.StatusRequestEntityTooLarge:
		if n == 1 {
			r.tooLarge(p, a)
			return nil
		}
		limit := r.c.memory.tooLarge(r.b.account(), r.size(p))
		r.c.o.Log.Warn("event API refused a batch for its size, smaller ones from now on",
			"environment", r.b.Environment, "key", r.b.KeyID, "bytes", r.size(p), "limit_bytes", limit)
		if !r.halve(p) {
			return &StatusError{a.status, a.message}
		}
	case (a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity) && a.ours:
		r.poison(p, a)
	default:
		return &StatusError{a.status, a.message}
	}
	return nil
}

// tooLarge ends an event that is too large alone. Inngest's own word on that is
// a refusal. A proxy's is not: its limit may be raised, so the event is left,
// and the others go on.
func (r *round) tooLarge(p Range, a answer) {
	if a.ours {
		r.refuse(p, a)
		return
	}
	r.unsure = &StatusError{a.status, a.message}
	r.leave(p)
	r.next(p.To, p.To)
}

// poison narrows a refused piece down to the bad event. Nothing is delivered
// twice: what was taken is not sent again, and what is sent again has the same
// ids.
func (r *round) poison(p Range, a answer) {
	n, taken := p.To-p.From, min(a.taken, p.To-p.From)
	if n == 1 {
		// With an id it was taken, whatever the status says.
		if r.note(p, a, taken); taken == 0 {
			r.refuse(p, a)
		} else {
			r.next(p.To, p.To)
		}
		return
	}
	if !r.ready() {
		r.refuse(p, a)
		return
	}
	r.note(p, a, taken)
	bad := p.From + taken
	switch {
	case bad == p.To:
		r.next(bad, p.To)
	case taken == 0 && r.wholly:
		r.halve(p)
	default:
		// The first that was not taken is alone to blame, or the number of
		// events is: that shows when it goes alone.
		r.next(bad, p.To)
		r.split(bad + 1)
		if taken == 0 {
			r.alone = bad
		}
	}
}

// next replaces the first piece by what is left of it.
func (r *round) next(from, to int) {
	if r.todo[0] = (Range{from, to}); from >= to {
		r.todo = r.todo[1:]
	}
}

// split cuts the first piece at an event.
func (r *round) split(at int) {
	p := r.todo[0]
	if at <= p.From || at >= p.To {
		return
	}
	r.todo = append([]Range{{p.From, at}, {at, p.To}}, r.todo[1:]...)
}

// halve cuts a piece in two of about as many bytes. It cannot cut a body that
// is not what the batch says.
func (r *round) halve(p Range) bool {
	if !r.ready() {
		return false
	}
	middle := (r.events[p.From].From + r.events[p.To-1].To) / 2
	at := p.From + 1
	for at < p.To-1 && r.events[at].To <= middle {
		at++
	}
	r.split(at)
	return true
}

// ready finds the events in the body.
func (r *round) ready() bool {
	if r.events != nil {
		return true
	}
	events, err := cut(r.b.Body, r.b.Count)
	if err != nil {
		r.c.o.Log.Error("batch cannot be cut", "environment", r.b.Environment, "err", err)
		return false
	}
	r.events = events
	return true
}

func (r *round) refuse(p Range, a answer) {
	for i := p.From; i < p.To; i++ {
		r.result.Refused = append(r.result.Refused, Refusal{Index: i, Status: a.status, Message: a.message})
	}
	r.next(p.To, p.To)
}

// note looks at the ids of the events that were taken.
func (r *round) note(p Range, a answer, taken int) {
	if a.ids == nil {
		return
	}
	r.c.o.Metrics.Mismatches.WithLabelValues(r.b.Environment).Inc()
	if left, due := r.c.quiet.line(); due {
		r.c.o.Log.Error("event API gave other ids than the seed does: it ignores seeds, repeats will run twice",
			"environment", r.b.Environment, "seed", r.b.Seed.From(p.From+1).String(), "id", a.ids[0], "left_out", left)
	}
	if r.result.IDs == nil {
		r.result.IDs = make([]string, r.b.Count)
	}
	copy(r.result.IDs[p.From:p.From+taken], a.ids)
}

// giveUp leaves what is still to be done for later.
func (r *round) giveUp(err error) {
	r.result.Err = err
	for _, p := range r.todo {
		r.leave(p)
	}
	if wait := r.c.memory.held(r.b.account()); wait > 0 {
		r.result.RetryAfter = wait
	} else if errors.Is(err, ErrDown) {
		r.result.RetryAfter = r.e.opens(r.c.o.Breaker.OpenFor)
	}
}

// leave notes events for later.
func (r *round) leave(p Range) {
	last := len(r.result.Left) - 1
	if last >= 0 && r.result.Left[last].To == p.From {
		r.result.Left[last].To = p.To
		return
	}
	r.result.Left = append(r.result.Left, p)
}

// verdict tells the breaker what an attempt says about the environment.
func verdict(ctx context.Context, b *Batch, a answer, err error) breaker.Outcome {
	switch {
	case err != nil && ctx.Err() != nil: // given up by the caller
		return breaker.Ignored
	case err != nil:
		return breaker.Failure
	case a.ours && a.status < 500, a.status == http.StatusTooManyRequests, a.status == http.StatusRequestEntityTooLarge:
		return breaker.Success
	case b.Doubtful:
		return breaker.Ignored
	default:
		return breaker.Failure
	}
}
