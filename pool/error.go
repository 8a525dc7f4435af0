package pool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// ErrTimeout is why a call ended that had a [call.Call].Timeout.
var ErrTimeout = errors.New("the time of the call is over")

// An Error says why a call has no answer.
type Error struct {
	Code     inngest.Code
	Endpoint string    // as configured; empty where no endpoint was tried
	Since    time.Time // CodeUpstreamOpen: when the last endpoint was taken out
	Sent     bool      // the app may have worked on the call
	Err      error

	answered bool // a byte of an answer came
}

// Error returns the code and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Endpoint != "" {
		b.WriteString(": ")
		b.WriteString(e.Endpoint)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
