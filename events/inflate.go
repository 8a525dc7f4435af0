package events

import (
	"context"
	"runtime"
	"strings"
)

// inflating has a place for each body that is inflated at once. A body of 3 KB
// may become limits.request, and takes twice that and a window until it is known
// whether there is room for it: without this bound that would be memory that no
// setting bounds.
type inflating chan struct{}

// inflatedTimes is how much of limits.request the inflating of one body may use.
const inflatedTimes = 4

// newInflating makes as many places as fit into the memory for events. More than
// there are processors would not be faster.
func newInflating(o *Options) inflating {
	most := o.MaxMemory / int64(inflatedTimes*o.Limits.BodyBytes)
	return make(inflating, max(1, min(most, int64(runtime.GOMAXPROCS(0)))))
}

// enter waits for a place, if the coding needs one. When ok, leave gives it up.
func (c inflating) enter(ctx context.Context, coding string) (leave func(), ok bool) {
	if coding == "" || strings.EqualFold(coding, "identity") {
		return func() {}, true
	}
	select {
	case c <- struct{}{}:
		return func() { <-c }, true
	case <-ctx.Done():
		return nil, false
	}
}
