package events

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// chainFor is how long seeds of one destination continue each other. The ids of
// the last events are dated that much too early.
const chainFor = time.Second

// chains gives the batches of a destination seeds that continue each other for
// a moment, so that the drain of the spool can send many small records in one
// POST and their events still have the ids that their callers were told. Each
// POST costs the way to Inngest and back: with records of one event, what comes
// in during an outage would else take longer to drain than it took to come.
type chains struct {
	mu    sync.Mutex
	began time.Time
	next  map[deliver.Destination]inngest.Seed
}

// seed returns the seed for so many events.
func (c *chains) seed(d deliver.Destination, events int, now time.Time) inngest.Seed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.began); c.next == nil || age >= chainFor || age < 0 {
		c.began, c.next = now, map[deliver.Destination]inngest.Seed{}
	}
	seed, ok := c.next[d]
	if !ok {
		seed.Millis = uint64(now.UnixMilli())
		_, _ = rand.Read(seed.Entropy[:]) // cannot fail
	}
	c.next[d] = seed.From(events + 1)
	return seed
}
