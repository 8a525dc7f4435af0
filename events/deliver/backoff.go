package deliver

import (
	"math/rand/v2"
	"time"
)

// Backoff is waits between attempts: each is about twice as long as the one
// before, so that many that failed together do not come back together.
type Backoff struct {
	Min, Max time.Duration // 0 < Min <= Max
}

// Wait returns how long to wait after so many failed attempts, from 1: half of
// the nominal time and a random part of the other half.
func (b Backoff) Wait(failed int) time.Duration {
	wait := b.Min
	for n := 1; n < failed && wait < b.Max; n++ {
		wait *= 2
	}
	wait = min(wait, b.Max)
	return wait/2 + rand.N(wait/2+1)
}
