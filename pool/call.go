package pool

import (
	"bytes"
	"errors"

	"github.com/inngest-gateway/inngest-gateway/call"
)

var (
	errMethod    = errors.New("the method of the call is no token")
	errTarget    = errors.New("the target of the call is not in origin form")
	errHeadEnd   = errors.New("the head of the call does not end with CRLF")
	errSignature = errors.New("the signature of the call has control characters")
)

// checkCall refuses what would end the request's head before its time. The
// lines of the head were validated by whoever made them.
func checkCall(cl *call.Call) error {
	if cl.Method == "" {
		return errMethod
	}
	for i := range len(cl.Method) {
		if !isToken(cl.Method[i]) {
			return errMethod
		}
	}
	switch {
	case !validTarget(cl.Target):
		return errTarget
	case len(cl.Head) > 0 && !bytes.HasSuffix(cl.Head, []byte("\r\n")):
		return errHeadEnd
	case !validValue(cl.Signature):
		return errSignature
	}
	return nil
}

// validTarget tells whether b is a path with perhaps a query.
func validTarget(b []byte) bool {
	if len(b) == 0 || b[0] != '/' {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}
