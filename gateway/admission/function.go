package admission

import (
	"bytes"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// Bounds of what is remembered of functions: a day, because what runs once a day
// must find a place then, and so many. Beyond them the one whose last call is the
// longest ago is forgotten; where all have calls, functions share one queue. The
// name stands in the query, which is not signed.
const (
	maxFunctions = 1000
	forgetAfter  = 24 * 60 * 60 // ticks
)

// keptPlaces is the part of the places that is kept for functions that have less
// than their share: one of so many, and one at least.
const keptPlaces = 8

// A function is one of the app's, with its calls in the room.
type function struct {
	name        string // as in fnId: app-function
	running     int
	parked      int
	bytes       int64   // of the parked ones
	first, last *waiter // the one that came first, by when its call was received
	paused      bool
	seen        int64 // tick of its last call
}

// functionOf returns the function that a call is for.
func (r *Room) functionOf(c *call.Call) *function {
	name := functionID(c.Target)
	f := r.functions[string(name)]
	switch {
	case f != nil:
	case len(name) == 0 && c.Identity.FunctionID != "":
		f = r.function(c.Identity.FunctionID)
	default:
		f = r.function(string(name))
	}
	f.seen = r.second
	return f
}

// function returns the function of that name.
func (r *Room) function(name string) *function {
	if f := r.functions[name]; f != nil {
		return f
	}
	if len(r.functions) >= maxFunctions && !r.forgetOldest() {
		if f := r.functions[""]; f != nil {
			return f
		}
		name = ""
	}
	f := &function{name: name}
	r.functions[name] = f
	r.applyPause(f, r.opt.Now())
	return f
}

// forget drops functions that had no call for a while.
func (r *Room) forget() {
	for name, f := range r.functions {
		if f.running+f.parked == 0 && r.second-f.seen > forgetAfter {
			delete(r.functions, name)
		}
	}
}

// forgetOldest drops the function whose last call is the longest ago, of those
// that have none now.
func (r *Room) forgetOldest() bool {
	var oldest *function
	for _, f := range r.functions {
		if f.running+f.parked == 0 && (oldest == nil || f.seen < oldest.seen) {
			oldest = f
		}
	}
	if oldest == nil {
		return false
	}
	delete(r.functions, oldest.name)
	return true
}

// functionID returns fnId of a target's query, as it is written there.
func functionID(target []byte) []byte {
	at := bytes.IndexByte(target, '?')
	if at < 0 {
		return nil
	}
	for rest := target[at+1:]; len(rest) > 0; {
		pair := rest
		if i := bytes.IndexByte(rest, '&'); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(pair) > 5 && string(pair[:5]) == "fnId=" {
			return pair[5:]
		}
	}
	return nil
}

// start gives a call of the function a place at the app. The epoch is for
// finish.
func (r *Room) start(f *function, epoch *uint64) {
	r.running++
	r.busy(f, 1, 0)
	*epoch = r.gate.start()
}

// finish frees the place of a call that has ended, and with it a connection.
func (r *Room) finish(f *function, epoch uint64) {
	r.gate.found()
	r.free(f, epoch)
}

// free frees a place at the app, and gives it to whoever's turn it is.
func (r *Room) free(f *function, epoch uint64) {
	r.running--
	r.busy(f, -1, 0)
	r.gate.finish(epoch)
	if r.parked > 0 {
		r.dispatch()
	}
}

// busy changes how many calls of a function run and are parked.
func (r *Room) busy(f *function, running, parked int) {
	before := f.running + f.parked
	f.running += running
	f.parked += parked
	switch after := f.running + f.parked; {
	case before == 0 && after > 0:
		r.active++
	case before > 0 && after == 0:
		r.active--
	}
}

// mayStart tells whether a call of the function may go to the app now.
func (r *Room) mayStart(f *function) bool { return r.open() && !f.paused && r.fair(f) }

// open tells whether any call may go to the app.
func (r *Room) open() bool {
	if r.gate.closed || r.paused || !r.gate.room() {
		return false
	}
	if r.running >= int(r.limit.now) {
		return false
	}
	if r.opt.Health != nil && !r.opt.Health.Usable() {
		r.closeGate(nil)
		return false
	}
	return true
}

// fair keeps the last eighth of the places for functions that have less than
// their share, once the app is known to have several: a function whose steps
// take hours must not take the others' turn. Where a function is known that has
// no calls, its next one must find a place: so each of the others gets half of
// what is left, and the last place is for one that has none.
func (r *Room) fair(f *function) bool {
	limit, known := int(r.limit.now), len(r.functions)
	left := limit - r.running
	if known < 2 || limit < 2 || f.running == 0 || left > max(limit/keptPlaces, 1) {
		return true
	}
	if known > r.active && f.running >= left {
		return false
	}
	return (f.running+1)*min(r.active+1, known) <= limit
}

// enlist gives a function turns.
func (r *Room) enlist(f *function) { r.ring = append(r.ring, f) }

// strike takes a function without parked calls out of the turns.
func (r *Room) strike(f *function) {
	i := slices.Index(r.ring, f)
	r.ring = slices.Delete(r.ring, i, i+1)
	if i < r.next {
		r.next--
	}
}

// dispatch releases parked calls as long as there is room at the app, one of
// each function in turn.
func (r *Room) dispatch() {
	for passed := 0; passed < len(r.ring) && r.open(); {
		if r.next >= len(r.ring) {
			r.next = 0
		}
		f := r.ring[r.next]
		if f.paused || !r.fair(f) {
			r.next++
			passed++
			continue
		}
		passed = 0
		turn := len(r.ring)
		r.release(f.first)
		if len(r.ring) == turn {
			r.next++
		}
	}
}
