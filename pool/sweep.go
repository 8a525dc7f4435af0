package pool

// sweep ends silences of the app and idle times that have lasted too long. It
// looks at the idle connections too: one that the app closed speaks for its
// fellows, before a call meets them.
func (e *endpoint) sweep() {
	now := e.up.now()
	var stale []*conn
	var fellows string // why those that look well go too
	var suspects []suspect

	e.mu.Lock()
	for _, c := range e.conns {
		if use, silence := c.overdue(now); silence > e.up.vanishAfter {
			suspects = append(suspects, suspect{c, use})
		}
	}
	kept := e.idle[:0]
	for _, c := range e.idle {
		if c.reason = c.expired(now); c.reason == "" {
			if c.reason = c.examine(); c.uses > 0 {
				fellows = max(fellows, c.reason)
			}
		}
		if c.reason == "" {
			kept = append(kept, c)
			continue
		}
		stale = append(stale, c)
		e.remove(c)
	}
	clear(e.idle[len(kept):])
	e.idle = kept
	e.admit()
	e.mu.Unlock()

	endVanished(suspects, e.up.vanishAfter)
	for _, c := range stale {
		e.closeStale(c, c.reason)
	}
	switch fellows {
	case "":
	case discardUnasked:
		e.distrust()
	default:
		e.closeIdle(fellows)
	}
}

// closeIdle closes every idle connection.
func (e *endpoint) closeIdle(reason string) {
	e.mu.Lock()
	idle := e.idle
	e.idle = nil
	for _, c := range idle {
		e.remove(c)
	}
	e.admit()
	e.mu.Unlock()
	for _, c := range idle {
		e.closeStale(c, reason)
	}
}

func (e *endpoint) closeStale(c *conn, reason string) {
	e.m.idle.Dec()
	e.m.discarded(reason)
	c.nc.Close()
}

// retire closes every idle connection now and every other one after its call.
func (e *endpoint) retire() {
	e.mu.Lock()
	e.retired = true
	e.mu.Unlock()
	e.closeIdle(discardLifetime)
}
