package events

import (
	"context"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
)

// A lane is the batches of one destination: one that gathers, those that wait
// for their turn, and how many are on their way. All of it is guarded by
// Plane.mu, and it exists only while there is something in it.
type lane struct {
	key     laneKey
	open    *batch
	queue   []*batch
	running int         // workers, at most Options.InFlight
	storing bool        // a worker takes from the queue to the spool
	overdue bool        // open has waited long enough: the next free worker takes it
	timer   *time.Timer // for open; nil until it is needed
}

// laneKey is what all requests of a batch have in common.
type laneKey struct {
	deliver.Destination
	traceparent string // with TraceKeep
}

// A job is a batch for a worker that is to be started.
type job struct {
	lane  *lane
	batch *batch
	spill bool // to the spool, for there is no time or no memory to wait
}

// submit brings an item to its lane and returns when its outcome is known, or
// when ctx ended. A failure is why not all of its events went anywhere.
func (p *Plane) submit(ctx context.Context, d deliver.Destination, it *item) *failure {
	if f := p.enqueue(d, it); f != nil {
		return f
	}
	select {
	case <-it.batch.done:
		return it.failed
	case <-ctx.Done():
	}
	if p.withdraw(d, it) {
		return failCanceled()
	}
	// The events are on their way and nobody can call them back. Their ids are
	// noted for a repeat; this caller does not wait for the outcome.
	<-it.batch.written
	select {
	case <-it.batch.done:
		return it.failed
	default:
		return failCanceled()
	}
}

func (p *Plane) laneKey(d deliver.Destination, it *item) laneKey {
	k := laneKey{Destination: d}
	if p.o.Trace == TraceKeep {
		k.traceparent = it.traceparent
	}
	return k
}

// enqueue puts an item into a batch, and starts what is to be started.
func (p *Plane) enqueue(d deliver.Destination, it *item) *failure {
	most := p.o.MaxBytes
	if n := p.o.Sender.Limit(d); n > 0 {
		most = min(most, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return failClosed()
	case p.full(it.bytes):
		return failMemory(p.o.MaxMemory)
	}
	p.hold(int64(it.bytes))
	key := p.laneKey(d, it)
	l := p.lanes[key]
	if l == nil {
		l = &lane{key: key}
		p.lanes[key] = l
	}
	if it.preset != nil {
		b := newBatch(d)
		b.add(it)
		l.seal(b)
		p.start(l)
		return nil
	}
	if b := l.open; b != nil && (b.events+len(it.events) > p.o.MaxEvents || b.bytes+it.bytes >= most) {
		l.sealOpen()
	}
	if l.open == nil {
		l.open = newBatch(d)
	}
	l.open.add(it)
	switch full := l.open.events >= p.o.MaxEvents || l.open.bytes >= most; {
	case full, l.running == 0, l.running < p.o.InFlight && p.o.MaxWait == 0:
		l.sealOpen()
	case len(l.open.items) == 1:
		p.arm(l)
	}
	p.start(l)
	return nil
}

// sealOpen ends the gathering of the open batch.
func (l *lane) sealOpen() {
	l.seal(l.open)
	l.open, l.overdue = nil, false
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *lane) seal(b *batch) {
	b.sealed = time.Now()
	l.queue = append(l.queue, b)
}

// arm bounds the gathering of the open batch.
func (p *Plane) arm(l *lane) {
	if l.timer != nil {
		l.timer.Reset(p.o.MaxWait)
		return
	}
	l.timer = time.AfterFunc(p.o.MaxWait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		// A timer that fired while another batch took its place is a little early
		// for that one, which does no harm.
		switch {
		case l.open == nil:
		case l.running < p.o.InFlight:
			l.sealOpen()
			p.start(l)
		default:
			l.overdue = true
		}
	})
}

// start gives batches that wait to workers, as many as there may be. When memory
// gets scarce one more takes what waits to the spool.
func (p *Plane) start(l *lane) {
	for len(l.queue) > 0 && l.running < p.o.InFlight {
		l.running++
		p.launch(job{lane: l, batch: l.take()})
	}
	p.relieve(l)
}

// relieve starts a worker that takes to the spool what has waited too long, or
// what there is no memory for.
func (p *Plane) relieve(l *lane) {
	if l.storing {
		return
	}
	if b := p.urgent(l); b != nil {
		l.storing = true
		p.launch(job{lane: l, batch: b, spill: true})
	}
}

// urgent takes the batch out of a lane that should go to the spool, if there is
// one: half of the memory is in use, or it has waited for too long. What gathers
// only because nobody is free to take it counts as waiting.
func (p *Plane) urgent(l *lane) *batch {
	if p.o.Mode != ModeHybrid {
		return nil
	}
	pressed := func(b *batch) bool { return p.held > p.o.MaxMemory/2 || time.Since(b.began) >= p.o.Patience }
	if len(l.queue) == 0 && l.open != nil && l.overdue && pressed(l.open) {
		l.sealOpen()
	}
	if len(l.queue) > 0 && pressed(l.queue[0]) {
		return l.take()
	}
	return nil
}

// take takes the first batch of the queue. Its items stay in it from here on.
func (l *lane) take() *batch {
	b := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	b.started = true
	return b
}

func (p *Plane) launch(j job) {
	p.jobs = append(p.jobs, j)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next is called by a worker that is done with a batch and returns another one
// of the lane for it, or nil. What gathers goes when nothing else is on its way:
// then nobody gains by waiting.
func (p *Plane) next(l *lane, spill bool, done *batch) *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold(-int64(done.bytes))
	if spill {
		if b := p.urgent(l); b != nil {
			return b
		}
		l.storing = false
		p.leave(l)
		return nil
	}
	if len(l.queue) == 0 && l.open != nil && (l.running == 1 || l.overdue) {
		l.sealOpen()
	}
	if len(l.queue) > 0 {
		return l.take()
	}
	l.running--
	p.leave(l)
	return nil
}

// leave removes a lane that has become empty, and tells Flush when it was the
// last.
func (p *Plane) leave(l *lane) {
	if l.running > 0 || l.storing || l.open != nil || len(l.queue) > 0 {
		return
	}
	delete(p.lanes, l.key)
	if len(p.lanes) == 0 && p.closed {
		p.idleOnce.Do(func() { close(p.idle) })
	}
}

// withdraw takes an item out of a batch that was not started. False says that it
// is too late.
func (p *Plane) withdraw(d deliver.Destination, it *item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := it.batch
	if b.started {
		return false
	}
	b.remove(it)
	p.hold(-int64(it.bytes))
	if len(b.items) > 0 {
		return true
	}
	l := p.lanes[p.laneKey(d, it)]
	if l.open == b {
		l.open, l.overdue = nil, false
	} else {
		l.queue = slices.DeleteFunc(l.queue, func(other *batch) bool { return other == b })
	}
	p.leave(l)
	return true
}

// full tells whether there is no room for so many bytes. A request that is larger
// than all of the room is taken when there is nothing else.
func (p *Plane) full(bytes int) bool { return p.held > 0 && p.held+int64(bytes) > p.o.MaxMemory }

// fits tells whether there is room for a request, as far as its size says.
func (p *Plane) fits(bytes int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.full(bytes)
}

// hold counts the bytes of events that have no outcome yet.
func (p *Plane) hold(n int64) {
	p.held += n
	p.heldBytes.Set(float64(p.held))
}
