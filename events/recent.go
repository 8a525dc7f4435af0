package events

import "time"

// A digest names a request or an event in a table. It is part of a SHA-256 sum:
// two different ones never share it, so nothing is lost by a mistake.
type digest [16]byte

// recent is a table that forgets: what is older than the window, and the oldest
// when there are more entries than max. It is not safe for use by several
// goroutines.
type recent[V any] struct {
	window time.Duration
	max    int
	values map[digest]aged[V]
	order  []birth // in order of their times; some stand for entries that were put again
	from   int     // the first of order that counts
}

type aged[V any] struct {
	value V
	at    time.Time
}

type birth struct {
	key digest
	at  time.Time
}

func newRecent[V any](window time.Duration, most int) *recent[V] {
	return &recent[V]{window: window, max: most, values: map[digest]aged[V]{}}
}

func (r *recent[V]) get(k digest, now time.Time) (V, bool) {
	e, ok := r.values[k]
	if !ok || now.Sub(e.at) >= r.window {
		var none V
		return none, false
	}
	return e.value, true
}

// put stores a value as of now and says how many entries had to go although they
// were young enough.
func (r *recent[V]) put(k digest, v V, now time.Time) (evicted int) {
	r.values[k] = aged[V]{v, now}
	r.order = append(r.order, birth{k, now})
	for r.from < len(r.order) {
		b := r.order[r.from]
		e, ok := r.values[b.key]
		stale := !ok || !e.at.Equal(b.at)
		if !stale && len(r.values) <= r.max && now.Sub(b.at) < r.window {
			break
		}
		if !stale {
			if now.Sub(b.at) < r.window {
				evicted++
			}
			delete(r.values, b.key)
		}
		r.from++
	}
	if r.from > len(r.order)/2 || len(r.order) > 2*r.max+16 {
		r.compact()
	}
	return evicted
}

// compact drops what order has of entries that are gone or were put again.
func (r *recent[V]) compact() {
	kept := r.order[:0]
	for _, b := range r.order[r.from:] {
		if e, ok := r.values[b.key]; ok && e.at.Equal(b.at) {
			kept = append(kept, b)
		}
	}
	r.order, r.from = kept, 0
}

// change changes the value of an entry and leaves its age.
func (r *recent[V]) change(k digest, change func(*V)) {
	if e, ok := r.values[k]; ok {
		change(&e.value)
		r.values[k] = e
	}
}

func (r *recent[V]) len() int { return len(r.values) }

// each calls f with every entry that is young enough, the oldest first.
func (r *recent[V]) each(now time.Time, f func(k digest, v V, at time.Time)) {
	for _, b := range r.order[r.from:] {
		if e, ok := r.values[b.key]; ok && e.at.Equal(b.at) && now.Sub(b.at) < r.window {
			f(b.key, e.value, e.at)
		}
	}
}
