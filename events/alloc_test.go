//go:build !race

package events

import (
	"context"
	"testing"
)

// What a request of 20 events costs does not depend on its number of events: one
// for what intake reads, one for the body, one for the answer, the rest for its
// batch of its own and the worker.
func TestAccept_allocatesForARequestNotForItsEvents(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Sender = taker{} })
	for _, events := range []int{1, 20, 100} {
		q := request(benchArray(events))
		if n := testing.AllocsPerRun(200, func() {
			if a := r.Accept(context.Background(), q); a.Status != 200 {
				t.Fatalf("answer = %d %s", a.Status, a.Body)
			}
		}); n > 20 {
			t.Errorf("%v allocations for a request of %d events, want at most 20", n, events)
		}
	}
}
