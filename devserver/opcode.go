package devserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// opNone is the op of an element without one: it asks for nothing.
const opNone inngest.Opcode = "None"

// titleOf is the name that the program gave the step.
func titleOf(op *inngest.GeneratorOp) string {
	if op.DisplayName != "" {
		return op.DisplayName
	}
	if op.Name != "" {
		return op.Name
	}
	return op.ID
}

// lazy ops ride along with others and are no steps.
func lazy(op *inngest.GeneratorOp) bool {
	return op.Op == inngest.OpDeferAdd || op.Op == inngest.OpDeferAbort
}

// plans tells whether the server finishes the step later.
func plans(op *inngest.GeneratorOp) bool {
	switch op.Op {
	case inngest.OpAIGateway, inngest.OpGateway, inngest.OpInvokeFunction, inngest.OpSleep, inngest.OpStepPlanned,
		inngest.OpWaitForEvent, inngest.OpWaitForSignal:
		return true
	}
	return false
}

// outputOf is how the outcome of a step is kept and carried.
func outputOf(op *inngest.GeneratorOp) json.RawMessage {
	switch op.Op {
	case inngest.OpStepError, inngest.OpStepFailed:
		return errorOutput(op.Error)
	case inngest.OpStepRun:
		return marshal(map[string]any{"data": orNull(op.Data)})
	}
	return orNull(op.Data)
}

// errorOutput keeps of an error what the server keeps: SDKs' own marks are
// lost (recordings 56 and 57).
func errorOutput(e *inngest.UserError) json.RawMessage {
	kept := inngest.UserError{Name: "Error", Message: "unknown error"}
	if e != nil {
		kept = *e
		kept.Serialized, kept.ServerText = false, ""
	}
	return marshal(map[string]any{"error": kept})
}

func orNull(b json.RawMessage) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage(`null`)
	}
	return b
}

// errEmptyAnswer is a 206 without a body.
var errEmptyAnswer = errors.New("no response data")

// maxStepOutput bounds what one step may return.
const maxStepOutput = 4 << 20

// parseOps reads a 206: a list of ops or a single one. One that the server
// does not know makes all of it unreadable.
func parseOps(body []byte, noRetry bool) ([]*inngest.GeneratorOp, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errEmptyAnswer
	}
	ops, err := inngest.ParseOps(body)
	if err != nil {
		return nil, fmt.Errorf("error reading generator opcode response: %w", err)
	}
	var kept []*inngest.GeneratorOp
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Op == opNone || op.Op == "":
			continue
		case !op.Op.Known():
			return nil, fmt.Errorf("error reading generator opcode response: %w", errUnknownOp(op.Op))
		case op.Op == inngest.OpStepError && op.Error == nil:
			return nil, errors.New("OpcodeStepError received without Error field set")
		case len(outputOf(op)) > maxStepOutput:
			return nil, fmt.Errorf("step %s: output size is greater than the limit", op.ID)
		}
		if op.Op == inngest.OpStepError {
			op.Error.NoRetry = noRetry
		}
		kept = append(kept, op)
	}
	return kept, nil
}

// errUnknownOp has the server's text (recording 139).
type errUnknownOp inngest.Opcode

func (e errUnknownOp) Error() string { return string(e) + " does not belong to Opcode values" }

// byPriority puts waits and deferrals first: an event that another op of the
// same answer brings must find the wait, and the end of a run its deferrals.
func byPriority(ops []*inngest.GeneratorOp) []*inngest.GeneratorOp {
	var first, rest []*inngest.GeneratorOp
	for _, op := range ops {
		if op.Op == inngest.OpWaitForEvent || lazy(op) {
			first = append(first, op)
		} else {
			rest = append(rest, op)
		}
	}
	return append(first, rest...)
}

// A finalError fails the run at once, whatever attempts are left.
type finalError struct{ name, message string }

func (e *finalError) Error() string { return strings.TrimSpace(e.name + ": " + e.message) }

// errTryAgain tells that a step failed and its job is queued again.
var errTryAgain = errors.New("step is tried again")
