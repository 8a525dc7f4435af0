package inbound

import (
	"cmp"
	"slices"
	"sync"
)

// A registry holds the open connections, the newest first.
type registry struct {
	mu     sync.Mutex
	first  *conn
	count  int
	oldest []victim // those idle for longest when it was last looked, the oldest last
}

// A victim is a connection that may go, if it has not moved since.
type victim struct {
	conn *conn
	word uint64
}

// maxVictims is how many idle connections are found at once, so that not every
// new connection at the limit has all others looked at.
const maxVictims = 128

// add takes a connection in.
func (r *registry) add(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.older = r.first
	if r.first != nil {
		r.first.newer = c
	}
	r.first = c
	r.count++
}

// remove takes a connection out.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		r.first = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	}
	c.newer, c.older = nil, nil
	r.count--
	c.server.open.Done()
}

// len returns the number of open connections.
func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// each calls f for every connection.
func (r *registry) each(f func(*conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := r.first; c != nil; c = c.older {
		f(c)
	}
}

// evict closes the connection that is idle for longest, and says whether there
// was one. Where none is idle, one whose head is under way for longest goes: an
// honest head takes a moment.
func (r *registry) evict() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range 2 {
		for n := len(r.oldest) - 1; n >= 0; n-- {
			v := r.oldest[n]
			r.oldest[n] = victim{}
			r.oldest = r.oldest[:n]
			if v.conn.claim(v.word) {
				v.conn.abort()
				return true
			}
		}
		r.findOldest()
	}
	return false
}

func (r *registry) findOldest() {
	found := r.oldest[:0]
	for c := r.first; c != nil; c = c.older {
		word := c.phase.Load()
		switch p, _ := split(word); p {
		case phaseFresh, phaseIdle, phaseHead:
			found = append(found, victim{c, word})
		}
	}
	slices.SortFunc(found, func(a, b victim) int { return b.compare(a) })
	r.oldest = slices.Delete(found, 0, max(0, len(found)-maxVictims))
}

// compare orders victims, who goes first: idle ones before those with a head
// under way, then by age.
func (v victim) compare(w victim) int {
	p, since := split(v.word)
	q, other := split(w.word)
	switch busy, otherBusy := p == phaseHead, q == phaseHead; {
	case busy == otherBusy:
		return cmp.Compare(since, other)
	case busy:
		return 1
	default:
		return -1
	}
}
