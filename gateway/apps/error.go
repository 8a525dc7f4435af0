package apps

import (
	"fmt"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An Error says why the gateway refuses what an app sent or answered.
type Error struct {
	Code inngest.Code
	Err  error // one clause that people may read; of OpenAnswer and SealAnswer: about the answer, without naming it first
	Log  error // what they may not; nil: nothing more is known
}

func (e *Error) Error() string {
	if e.Log == nil {
		return fmt.Sprintf("%s: %v", e.Code, e.Err)
	}
	return fmt.Sprintf("%s: %v: %v", e.Code, e.Err, e.Log)
}

// Unwrap returns Err and, if there is one, Log.
func (e *Error) Unwrap() []error {
	if e.Log == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Log}
}

func refuse(code inngest.Code, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}
