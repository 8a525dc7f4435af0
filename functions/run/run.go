// Package run holds the values that pass between the host of functions without
// an SDK (package functions) and the three ways to write such a function: an
// endpoint, a program of steps, a conversation; and the one reading of a
// backend's answer that the three share. It calls nobody.
package run

import (
	"context"
	"encoding/json"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Driver is one way to write a function. It is used by any number of calls at
// once and keeps nothing between them: what a run has done is in its Memo.
type Driver interface {
	// Advance tells what the function wants next, given what its run has done
	// so far. It is called again after each step that the host ran.
	Advance(ctx context.Context, r *Run) Outcome

	// Execute runs one step that Advance has returned with OpStepRun, and
	// returns its result. Input, if not nil, replaces what the step was found
	// with ("rerun from step").
	Execute(ctx context.Context, r *Run, s *Step, input json.RawMessage) Result
}

// A Run is what is known of a run when it is called.
type Run struct {
	Function    string          // id as registered: app id, "-", the function's own id
	ID          string          // run id
	Attempt     int             // from 0
	MaxAttempts int             // at least 1
	Event       json.RawMessage // the first, or only, event
	Events      json.RawMessage // array of all
	Memo        Memo            // what steps have given, by hashed id
	Target      string          // hashed id of the only step to run in this call; empty: any
	Traceparent string          // of the call, to pass on to backends; may be empty
	Tracestate  string
	Call        *call.Call // Inngest's, that is being answered; nil: none
	Own         any        // the driver's own, kept between its Advances while the call lasts
}

// Bind makes a call to a backend a part of the call that is being answered: it
// may be parked while the backend is away, for as long as Inngest waits.
func (r *Run) Bind(c *call.Call) {
	c.Waits = true
	if by := r.Call; by != nil {
		c.Received, c.Signed, c.Gone, c.Identity = by.Received, by.Signed, by.Gone, by.Identity
	}
}

// A Memo holds what steps have given, by hashed id.
type Memo map[string]Memoised

// Memoised is what one step has given: exactly one of Data and Error is set
// where Done; Input alone means that the step is to run again with that input. A
// step that gave nothing (a sleep, a wait that timed out) has the Data null.
type Memoised struct {
	Done  bool
	Data  json.RawMessage
	Error *Failure
	Input json.RawMessage
}

// A Step is something that a run wants done.
type Step struct {
	ID       string           // hashed, as in inngest.HashStepID
	Name     string           // as written, for people
	Userland inngest.Userland // what ID is the hash of, where that is not Name alone: a step that is repeated
	Op       inngest.Opcode   // OpStepRun: by the driver's Execute; any other: by the server
	Text     string           // the op's name member where it has a meaning (a sleep's duration or time, an event's name)
	Opts     any              // of the op, JSON; for OpStepRun what the step's trace shows as its input, may be nil
	Data     json.RawMessage  // of the op where the protocol has one besides opts; mostly nil
	Own      any              // the driver's own: what Execute needs
}

// An Outcome is one of: steps to do, a value, a failure of the function.
type Outcome struct {
	Steps   []Step          // in the order found; more than one: parallel
	Data    json.RawMessage // the function's result where Steps is empty and Failure nil
	Failure *Failure
}

// A Result is what one step gave.
type Result struct {
	Data    json.RawMessage
	Failure *Failure
}

// A Failure is why a function or a step did not succeed.
type Failure struct {
	Name       string          `json:"name"`
	Message    string          `json:"message"`
	Stack      string          `json:"stack,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	NoRetry    bool            `json:"-"` // another attempt would not help
	RetryAfter time.Duration   `json:"-"` // 0: as the server thinks fit
	Code       inngest.Code    `json:"-"` // X-Gateway-Error; empty for the backend's own errors
}

// Error returns name and message.
func (f *Failure) Error() string { return f.Name + ": " + f.Message }
