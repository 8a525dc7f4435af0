package devserver

import (
	"container/heap"
	"time"
)

// A timer is something due at a time of the scheduler's clock.
type timer struct {
	at    time.Time
	seq   uint64 // order of timers that are due at the same time
	fn    func() // called with the server's lock held
	index int    // place in the heap, -1 when not in it
}

// queue holds what is due later, soonest first. Its owner locks it.
type queue struct {
	items timerHeap
	seq   uint64
}

// add puts fn on the queue; fn is called by the loop, with the lock held.
func (q *queue) add(at time.Time, fn func()) *timer {
	q.seq++
	t := &timer{at: at, seq: q.seq, fn: fn}
	heap.Push(&q.items, t)
	return t
}

// stop takes a timer off the queue; it tells whether it was still there.
func (q *queue) stop(t *timer) bool {
	if t == nil || t.index < 0 {
		return false
	}
	heap.Remove(&q.items, t.index)
	return true
}

// due takes the first timer off if its time has come.
func (q *queue) due(now time.Time) (*timer, bool) {
	if len(q.items) == 0 || q.items[0].at.After(now) {
		return nil, false
	}
	return heap.Pop(&q.items).(*timer), true
}

// next is the time of the first timer.
func (q *queue) next() (time.Time, bool) {
	if len(q.items) == 0 {
		return time.Time{}, false
	}
	return q.items[0].at, true
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
