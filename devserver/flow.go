package devserver

import (
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// flowState is what flow control remembers.
type flowState struct {
	inUse      map[string]int         // concurrency slots taken, by name
	parked     []*job                 // jobs that wait for a slot, oldest first
	batches    map[string]*batch      // by function and key
	debounced  map[string]*debounced  // by function and key
	starts     map[string][]time.Time // recent starts that rate limits and throttles count
	singletons map[string]*run
}

func newFlowState() flowState {
	return flowState{
		inUse: map[string]int{}, batches: map[string]*batch{}, debounced: map[string]*debounced{},
		starts: map[string][]time.Time{}, singletons: map[string]*run{},
	}
}

// A slot is one concurrency limit as it applies to a run.
type slot struct {
	name  string
	limit int
	whole bool // taken by the run from its first call to its end, not by each call
}

// join works out a run's concurrency slots and makes it its singleton.
func (s *Server) join(r *run) {
	if r.fn.config.Singleton != nil {
		s.st.flow.singletons[r.fn.singletonKey(s.match, r.events[0])] = r
	}
	for _, l := range limitsOf(&r.fn.config) {
		if l.Limit <= 0 {
			continue
		}
		name := "fn\x00" + r.fn.id
		if l.Scope == inngest.ScopeEnv || l.Scope == inngest.ScopeAccount {
			name = "shared"
		}
		r.slots = append(r.slots, slot{
			name: name + "\x00" + l.Key + "\x00" + s.match.key(l.Key, r.events[0]), limit: l.Limit, whole: l.whole,
		})
	}
}

// takeSlots takes what a job's call needs, all or nothing; otherwise the job
// is parked.
func (s *Server) takeSlots(j *job) bool {
	r := j.run
	for _, sl := range r.slots {
		if sl.whole && r.began.IsZero() || !sl.whole {
			if s.st.flow.inUse[sl.name] >= sl.limit {
				s.st.flow.parked = append(s.st.flow.parked, j)
				return false
			}
		}
	}
	for _, sl := range r.slots {
		if sl.whole && r.began.IsZero() || !sl.whole {
			s.st.flow.inUse[sl.name]++
		}
	}
	j.held = true
	return true
}

// releaseSlots gives back what a call took.
func (s *Server) releaseSlots(j *job) {
	if !j.held {
		return
	}
	j.held = false
	for _, sl := range j.run.slots {
		if !sl.whole {
			s.giveBack(sl.name)
		}
	}
}

// leave gives back what a run took as a whole, and forgets that it waits.
func (s *Server) leave(r *run) {
	for _, sl := range r.slots {
		if sl.whole && !r.began.IsZero() {
			s.giveBack(sl.name)
		}
	}
	s.st.flow.parked = slices.DeleteFunc(s.st.flow.parked, func(j *job) bool { return j.run == r })
	for key, other := range s.st.flow.singletons {
		if other == r {
			delete(s.st.flow.singletons, key)
		}
	}
}

func (s *Server) giveBack(name string) {
	if s.st.flow.inUse[name]--; s.st.flow.inUse[name] <= 0 {
		delete(s.st.flow.inUse, name)
	}
	if len(s.st.flow.parked) > 0 {
		s.at(s.opts.Clock.Now(), s.unpark)
	}
}

// unpark tries the parked jobs again, oldest first. Those that still do not
// fit park themselves again.
func (s *Server) unpark() {
	waiting := s.st.flow.parked
	s.st.flow.parked = nil
	for _, j := range waiting {
		s.dispatch(j)
	}
}

// A batch gathers events for one run.
type batch struct {
	events []*event
	timer  *timer
}

// gathers tells whether a function takes an event in a batch. Events that the
// batch's condition does not want start a run alone.
func (f *function) gathers(m *matcher, ev *event) bool {
	c := f.config.BatchEvents
	return c != nil && m.matches(c.If, ev, nil)
}

// putInBatch gathers an event if its function takes batches.
func (s *Server) putInBatch(f *function, ev *event) bool {
	if !f.gathers(s.match, ev) {
		return false
	}
	c := f.config.BatchEvents
	key := f.id + "\x00" + s.match.key(c.Key, ev)
	b := s.st.flow.batches[key]
	flush := func() {
		if s.st.flow.batches[key] != b {
			return
		}
		delete(s.st.flow.batches, key)
		s.queue.stop(b.timer)
		s.start(f, b.events)
	}
	if b == nil {
		b = &batch{}
		s.st.flow.batches[key] = b
		b.timer = s.after(lasting(c.Timeout), flush)
	}
	b.events = append(b.events, ev)
	if len(b.events) >= c.MaxSize {
		flush()
	}
	return true
}

// debounced is the last event of a series that has not come to rest.
type debounced struct {
	event *event
	first time.Time
	timer *timer
}

// putOff keeps an event until no other came for a while, if the function is
// debounced: only the last one starts a run.
func (s *Server) putOff(f *function, ev *event) bool {
	c := f.config.Debounce
	if c == nil {
		return false
	}
	key := f.id + "\x00" + s.match.key(c.Key, ev)
	now := s.opts.Clock.Now()
	d := s.st.flow.debounced[key]
	if d == nil {
		d = &debounced{first: now}
		s.st.flow.debounced[key] = d
	}
	d.event = ev
	s.queue.stop(d.timer)
	at := now.Add(lasting(c.Period))
	if c.Timeout != "" {
		if last := d.first.Add(lasting(c.Timeout)); at.After(last) {
			at = last
		}
	}
	d.timer = s.at(at, func() {
		delete(s.st.flow.debounced, key)
		s.start(f, []*event{d.event})
	})
	return true
}

// overRate tells whether a rate limit drops the event. Idempotency is a rate
// limit of one in 24 h.
func (s *Server) overRate(f *function, ev *event) bool {
	l := f.config.RateLimit
	if key := f.config.Idempotency; key != "" {
		l = &inngest.RateLimit{Limit: 1, Period: inngest.IdempotencyPeriod.String(), Key: key}
	}
	if l == nil {
		return false
	}
	key := s.rateKey("rate", f, l.Key, ev)
	if len(s.recent(key, l.Period)) >= max(l.Limit, 1) {
		return true
	}
	s.countStart(key, s.opts.Clock.Now())
	return false
}

// startTime is when a run may begin: at once, or when its throttle has room.
func (s *Server) startTime(f *function, ev *event) time.Time {
	now := s.opts.Clock.Now()
	l := f.config.Throttle
	if l == nil {
		return now
	}
	at := now
	limit := max(l.Limit, 1) + l.Burst
	key := s.rateKey("throttle", f, l.Key, ev)
	if starts := s.recent(key, l.Period); len(starts) >= limit {
		at = starts[len(starts)-limit].Add(lasting(l.Period))
	}
	s.countStart(key, at)
	return at
}

// recent returns the starts that still count for a limit, oldest first.
func (s *Server) recent(key, period string) []time.Time {
	from := s.opts.Clock.Now().Add(-lasting(period))
	starts := slices.DeleteFunc(s.st.flow.starts[key], func(t time.Time) bool { return !t.After(from) })
	s.st.flow.starts[key] = starts
	return starts
}

func (s *Server) countStart(key string, at time.Time) {
	s.st.flow.starts[key] = append(s.st.flow.starts[key], at)
}

func (s *Server) rateKey(kind string, f *function, expr string, ev *event) string {
	return kind + "\x00" + f.id + "\x00" + s.match.key(expr, ev)
}

// blockedBySingleton tells whether a run of the function that still runs keeps
// another from starting. In mode cancel it is the older one that goes.
func (s *Server) blockedBySingleton(f *function, ev *event) bool {
	c := f.config.Singleton
	if c == nil {
		return false
	}
	key := f.singletonKey(s.match, ev)
	older := s.st.flow.singletons[key]
	if older == nil || older.status.Ended() {
		return false
	}
	if c.Mode != inngest.SingletonCancel {
		return true
	}
	s.cancel(older, "replaced by a newer run of its singleton")
	return false
}

func (f *function) singletonKey(m *matcher, ev *event) string {
	return f.id + "\x00" + m.key(f.config.Singleton.Key, ev)
}
