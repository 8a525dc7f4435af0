package admission

import (
	"bytes"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// Bounds of what is remembered of functions. Beyond them functions share one
// queue: the name stands in the query, which is not signed.
const (
	maxFunctions = 1000
	forgetAfter  = 600 // ticks
)

// A function is one of the app's, with its calls in the room.
type function struct {
	name        string // as in fnId: app-function
	running     int
	parked      int
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
	if len(r.functions) >= maxFunctions {
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
		r.limit.met = 2
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
// take hours must not take the others' turn.
func (r *Room) fair(f *function) bool {
	limit := int(r.limit.now)
	if len(r.functions) < 2 || r.running < limit-limit/8 {
		return true
	}
	return f.running*max(r.active, 2) < limit
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
