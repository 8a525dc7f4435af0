package inbound

// A phase is where a connection is. It is kept in one word with the time since
// when, so that the sweeper never takes the time of one phase for another's.
type phase uint64

const (
	phaseFresh   phase = iota // accepted, nothing has arrived
	phaseIdle                 // between two requests
	phaseHead                 // a head arrives
	phaseBody                 // a body arrives
	phaseMemory               // a body waits for memory
	phaseBusy                 // the app works
	phaseWrite                // an answer is written
	phaseLinger               // answered, the caller still sends
	phaseClaimed              // the sweeper closes it
	phaseSlow                 // the sweeper found its body too slow
	phaseBits    = 4
)

// enter begins a phase. It returns false when the sweeper had closed the
// connection, or is about to.
func (c *conn) enter(p phase) bool {
	old := c.phase.Swap(uint64(c.server.clock.Load())<<phaseBits | uint64(p))
	was := phase(old & (1<<phaseBits - 1))
	return was != phaseClaimed && was != phaseSlow
}

// split returns the phase and the clock when it began.
func split(word uint64) (phase, int64) {
	return phase(word & (1<<phaseBits - 1)), int64(word >> phaseBits)
}

func (c *conn) current() phase {
	p, _ := split(c.phase.Load())
	return p
}

// claim lets the sweeper close a connection unless it went on meanwhile.
func (c *conn) claim(word uint64) bool {
	return c.phase.CompareAndSwap(word, uint64(phaseClaimed))
}
