package deliver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Destination is where a batch goes. Batches for one destination go out in
// their order.
type Destination struct {
	Environment string // of the configuration
	Branch      string // for x-inngest-env; may be empty
	KeyID       string // which event key, see [KeyID]
}

// KeyID returns the name under which a real event key is known on disk and in
// logs. It does not give the key away.
func KeyID(key string) string {
	sum := sha256.Sum256([]byte("inngest event key\x00" + key))
	return hex.EncodeToString(sum[:8])
}

// A Batch is the events of one POST to Inngest's event API.
type Batch struct {
	Destination
	Seed        inngest.Seed // of the first event
	Body        []byte       // JSON array; not changed and not kept
	Count       int          // events in Body, > 0
	Traceparent string       // may be empty
	Tracestate  string       // may be empty

	// Doubtful says that batches like it were taken while this one got no clear
	// answer. What is answered to it says nothing about the environment then.
	Doubtful bool
}

// A Range is the events from From up to but not including To, counted from 0
// in the batch that was given to [Client.Send].
type Range struct{ From, To int }

// A Refusal is one event that Inngest refused when it came alone: to send it
// again is no use.
type Refusal struct {
	Index   int    // in the batch, from 0
	Status  int    // of Inngest's answer
	Message string // Inngest's own words
}

// A Result is what became of a batch. Every event that is neither in Refused
// nor in Left was taken by Inngest.
type Result struct {
	Refused    []Refusal     // in order
	Left       []Range       // not delivered, or nobody knows; in order; to be sent again later
	RetryAfter time.Duration // the earliest time that makes sense for Left; 0: nothing is known
	Err        error         // why Left is not empty, else nil

	// IDs is nil unless Inngest gave other ids than the seed does, because it
	// ignores seeds: then by index, empty where none is known.
	IDs []string
}

// Errors of a Result, told apart with errors.Is. A [StatusError] and errors of
// the network are the others.
var (
	// ErrDown says that nothing was sent because the last attempts to reach
	// the environment failed.
	ErrDown = errors.New("event API is down")
	// ErrHeld says that nothing was sent because Inngest has asked to wait.
	ErrHeld = errors.New("event API asked to wait")
	// ErrKeyUnknown says that no key is known for the batch's KeyID.
	ErrKeyUnknown = errors.New("event key is not known")
	// ErrKeyRefused says that Inngest took none of the keys.
	ErrKeyRefused = errors.New("event key is refused by Inngest")
)

// A StatusError is an answer that says nothing about the events.
type StatusError struct {
	Status  int
	Message string // the start of the answer
}

func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("event API answered %d", e.Status)
	}
	return fmt.Sprintf("event API answered %d: %s", e.Status, e.Message)
}

// Part returns the batch of some of b's events, with the ids that they have in
// b. It is nil if the body is not what b says.
func (b *Batch) Part(r Range) *Batch {
	if r == (Range{0, b.Count}) {
		return b
	}
	events, err := cut(b.Body, b.Count)
	if err != nil || r.From < 0 || r.To > b.Count || r.From >= r.To {
		return nil
	}
	p := *b
	p.Seed, p.Body, p.Count = b.Seed.From(r.From+1), part(b.Body, events, r), r.To-r.From
	return &p
}
