package devserver

import "context"

// An EventCount is what became of one event that came in from outside.
type EventCount struct {
	ID      string // what its sender was told
	OwnID   string // what runs and de-duplication know it by: its own id, otherwise ID
	Name    string
	Arrived int // how often it was taken: more than once if a seed was repeated
	Runs    int // runs that it started
}

// EventTotals sums up the events from outside and the runs that they started.
type EventTotals struct {
	Posts    int // POST /e/{key}, whatever came of them
	Faults   int // of them met by a fault, see [Server.FaultEvents]
	Arrived  int // events taken, repeats too
	Distinct int // different ids among them
	Runs     int // runs that they started
	Ended    int // of these runs
}

// EventCounts counts the events that came in from outside by the id that their
// sender was told. As many are remembered as there are events, see
// [Options].Keep.
func (s *Server) EventCounts() map[string]EventCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]EventCount, len(s.st.counts))
	for id, c := range s.st.counts {
		out[id] = *c
	}
	return out
}

// EventTotals sums up what came in until now.
func (s *Server) EventTotals() EventTotals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals()
}

// WaitEvents waits until a condition on the totals holds.
func (s *Server) WaitEvents(ctx context.Context, holds func(EventTotals) bool) error {
	return s.wait(ctx, func() bool { return holds(s.totals()) })
}

// totals needs the lock.
func (s *Server) totals() EventTotals {
	t := s.st.totals
	t.Posts, t.Faults = s.posts, s.faults
	return t
}

// count notes that an event was taken.
func (st *store) count(e *event) {
	c := st.counts[e.internal]
	if c == nil {
		c = &EventCount{ID: e.internal, OwnID: e.id, Name: e.name}
		st.counts[e.internal] = c
		st.totals.Distinct++
	}
	c.Arrived++
	st.totals.Arrived++
}

// countRun notes that a run began, if an event from outside started it.
func (st *store) countRun(r *run) {
	for _, e := range r.events {
		if c := st.counts[e.internal]; c != nil {
			c.Runs++
			r.counted = true
		}
	}
	if r.counted {
		st.totals.Runs++
	}
}

// countEnd notes that a run ended.
func (st *store) countEnd(r *run) {
	if r.counted {
		st.totals.Ended++
	}
}
