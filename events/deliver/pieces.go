package deliver

import (
	"context"
	"slices"
)

// piece returns a piece of the first record that is tried in place of all of it,
// once there is no other record to try: a half, the other one, a quarter, and so on.
func (w *worker) piece(at int) (Range, bool) {
	i := w.queue[0]
	if at < 0 || len(i.left) == 0 || i.batch.Part(Range{0, 1}) == nil {
		return Range{}, false
	}
	r := slices.MaxFunc(i.left, func(a, b Range) int { return (a.To - a.From) - (b.To - b.From) })
	pieces := 2
	for ; at >= pieces; pieces *= 2 {
		at -= pieces
	}
	n := r.To - r.From
	return Range{r.From + n*at/pieces, r.From + n*(at+1)/pieces}, pieces <= min(n, maxPieces)
}

// tryPiece sends a piece of the first record, of which nothing was taken just now,
// and tells whether Inngest took any of it.
func (w *worker) tryPiece(ctx context.Context, at int) (taken bool, result Result) {
	r, ok := w.piece(at)
	if !ok {
		return false, Result{Err: errUncut}
	}
	i := w.queue[0]
	before := i.events()
	i.left = without(i.left, r)
	result = w.sendPart(ctx, i, r, false)
	i.left = joined(i.left)
	return i.events() < before, result
}

// pieces sends each range of a record that is left, so many at most, and tells
// how many it sent and whether Inngest had any event. It ends early when Inngest
// is away.
func (w *worker) pieces(ctx context.Context, i *item, most int) (n int, taken bool, err error) {
	todo := i.left
	i.left = nil
	for n < len(todo) && n < most {
		r, before := todo[n], i.events()
		n++
		result := w.sendPart(ctx, i, r, true)
		taken = taken || i.events()-before < r.To-r.From
		if result.Err != nil {
			if err = result.Err; !unclear(err) {
				break
			}
		}
	}
	i.left = slices.Concat(todo[n:], i.left) // next time those that were not tried come first
	return n, taken, err
}

// halve cuts the ranges that are left in two, and tells whether it could.
func (w *worker) halve(i *item) bool {
	if i.batch.Part(Range{0, 1}) == nil {
		return false
	}
	var halves []Range
	for _, r := range i.left {
		if middle := (r.From + r.To) / 2; middle > r.From {
			halves = append(halves, Range{r.From, middle}, Range{middle, r.To})
		} else {
			halves = append(halves, r)
		}
	}
	more := len(halves) > len(i.left)
	i.left = halves
	return more
}

// without cuts a range out of that one of those that are left which has it.
func without(left []Range, r Range) (rest []Range) {
	for _, l := range left {
		if r.From < l.From || r.To > l.To {
			rest = append(rest, l)
			continue
		}
		for _, part := range []Range{{l.From, r.From}, {r.To, l.To}} {
			if part.From < part.To {
				rest = append(rest, part)
			}
		}
	}
	return rest
}

// joined puts ranges in order and joins those that touch.
func joined(ranges []Range) (all []Range) {
	slices.SortFunc(ranges, func(a, b Range) int { return a.From - b.From })
	for _, r := range ranges {
		if n := len(all); n > 0 && all[n-1].To == r.From {
			all[n-1].To = r.To
			continue
		}
		all = append(all, r)
	}
	return all
}
