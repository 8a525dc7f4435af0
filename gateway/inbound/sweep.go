package inbound

import "time"

const (
	sweepTick = time.Second

	// bodyWindow is how long a body may bring less than the minimum rate: a
	// caller on a bad line has pauses.
	bodyWindow = 10 * time.Second

	// lingerTimeout bounds the wait for a caller that still sends after it was
	// answered.
	lingerTimeout = 5 * time.Second

	// freshTimeout is how long a connection that has sent nothing is spared by a
	// drain: its request may be on the way.
	freshTimeout = time.Second
)

// progress is what the sweeper remembers of a body that arrives.
type progress struct {
	word    uint64 // phase that it belongs to
	since   int64  // begin of the window, by the server's clock
	arrived int64  // at its begin
}

// sweep runs until stop is closed. It moves the server's clock, the only one
// that the phases of connections know.
func (s *Server) sweep(stop <-chan struct{}) {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	started := time.Now()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		s.clock.Store(time.Since(started).Milliseconds())
		s.conns.each(s.look)
		s.opts.Metrics.Connections.WithLabelValues().Set(float64(s.conns.len()))
	}
}

// look ends a connection that takes too long for what it does.
func (s *Server) look(c *conn) {
	word := c.phase.Load()
	p, since := split(word)
	age := time.Duration(s.clock.Load()-since) * time.Millisecond
	drain := s.draining.Load()
	switch {
	case drain && (p == phaseIdle || p == phaseFresh && age > freshTimeout):
		s.end(c, word, "shutdown")
	case (p == phaseFresh || p == phaseHead) && age+s.tick > s.opts.HeadTimeout: // not a tick too late
		s.end(c, word, "head_timeout")
	case p == phaseIdle && age > s.opts.IdleTimeout:
		s.end(c, word, "idle")
	case p == phaseWrite && age > s.opts.WriteTimeout:
		s.end(c, word, "slow_answer")
	case p == phaseLinger && age > lingerTimeout:
		s.end(c, word, "")
	case p == phaseBody && s.tooSlow(c, word):
		if c.phase.CompareAndSwap(word, uint64(phaseSlow)) {
			s.opts.Metrics.Closed.WithLabelValues("slow_body").Inc()
			c.Conn.SetReadDeadline(time.Unix(1, 0)) // wakes its reader, which answers
		}
	}
}

func (s *Server) end(c *conn, word uint64, reason string) {
	if !c.claim(word) {
		return
	}
	c.abort()
	if reason != "" {
		s.opts.Metrics.Closed.WithLabelValues(reason).Inc()
	}
}

// tooSlow tells whether a body brought less than the minimum rate during a
// whole window.
func (s *Server) tooSlow(c *conn, word uint64) bool {
	now, arrived := s.clock.Load(), c.arrived.Load()
	if c.progress.word != word {
		c.progress = progress{word: word, since: now, arrived: arrived}
	}
	window := time.Duration(now-c.progress.since) * time.Millisecond
	if window < s.bodyWindow {
		return false
	}
	slow := float64(arrived-c.progress.arrived) < float64(s.opts.MinBodyRate)*window.Seconds()
	c.progress.since, c.progress.arrived = now, arrived
	return slow
}
