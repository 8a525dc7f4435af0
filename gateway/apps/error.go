package apps

import (
	"fmt"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An Error says why the gateway does not pass on what an app answered.
type Error struct {
	Code inngest.Code
	Err  error // what was wrong with it, in words that may be shown to people
}

func (e *Error) Error() string { return fmt.Sprintf("answer of the app: %v", e.Err) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code inngest.Code, format string, args ...any) *Error {
	return &Error{code, fmt.Errorf(format, args...)}
}
