package events

import (
	"sync"
	"time"
)

// logEvery is the shortest time between two lines of one kind.
const logEvery = 10 * time.Second

// A sampler limits log lines of one kind and counts those that were left out.
type sampler struct {
	mu      sync.Mutex
	last    time.Time
	leftOut int
}

// allow tells whether a line may be written now, and how many were left out
// since the last one.
func (s *sampler) allow() (leftOut int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < logEvery {
		s.leftOut++
		return 0, false
	}
	leftOut, s.leftOut, s.last = s.leftOut, 0, now
	return leftOut, true
}
