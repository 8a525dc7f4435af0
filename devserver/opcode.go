package devserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Opcodes that an app may answer with.
const (
	opNone             = "None"
	opStep             = "Step"
	opStepRun          = "StepRun"
	opStepError        = "StepError"
	opStepFailed       = "StepFailed"
	opStepPlanned      = "StepPlanned"
	opSleep            = "Sleep"
	opWaitForEvent     = "WaitForEvent"
	opWaitForSignal    = "WaitForSignal"
	opInvokeFunction   = "InvokeFunction"
	opAIGateway        = "AIGateway"
	opGateway          = "Gateway"
	opRunComplete      = "RunComplete"
	opSyncRunComplete  = "SyncRunComplete"
	opDiscoveryRequest = "DiscoveryRequest"
	opDeferAdd         = "DeferAdd"
	opDeferAbort       = "DeferAbort"
)

// known tells whether the server takes an opcode at all.
func known(op string) bool {
	switch op {
	case opNone, opStep, opStepRun, opStepError, opStepFailed, opStepPlanned, opSleep, opWaitForEvent, opWaitForSignal,
		opInvokeFunction, opAIGateway, opGateway, opRunComplete, opSyncRunComplete, opDiscoveryRequest, opDeferAdd, opDeferAbort:
		return true
	}
	return false
}

// An opcode is one operation of a 206 or of a checkpoint.
type opcode struct {
	Op          string          `json:"op"`
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	DisplayName *string         `json:"displayName"`
	Opts        json.RawMessage `json:"opts"`
	Data        json.RawMessage `json:"data"`
	Error       *stepError      `json:"error"`
}

// A stepError is an error as steps carry it: what else an SDK wrote is lost
// (recordings 56 and 57).
type stepError struct {
	Name    string          `json:"name"`
	Message string          `json:"message"`
	Stack   string          `json:"stack,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	NoRetry bool            `json:"noRetry,omitempty"`
	Cause   json.RawMessage `json:"cause,omitempty"`
}

// UnmarshalJSON refuses opcodes that the server does not know, and with them
// everything they came with. The text is the server's (recording 139).
func (o *opcode) UnmarshalJSON(b []byte) error {
	type plain opcode
	if err := json.Unmarshal(b, (*plain)(o)); err != nil {
		return err
	}
	if o.Op == "" {
		o.Op = opNone
	}
	if !known(o.Op) {
		return fmt.Errorf("%s does not belong to Opcode values", o.Op)
	}
	return nil
}

// title is the name that the program gave the step.
func (o *opcode) title() string {
	if o.DisplayName != nil {
		return *o.DisplayName
	}
	if o.Name != "" {
		return o.Name
	}
	return o.ID
}

// lazy ops ride along with others and are no steps.
func (o *opcode) lazy() bool { return o.Op == opDeferAdd || o.Op == opDeferAbort }

// plans tells whether the server finishes the step later.
func (o *opcode) plans() bool {
	switch o.Op {
	case opAIGateway, opGateway, opInvokeFunction, opSleep, opStepPlanned, opWaitForEvent, opWaitForSignal:
		return true
	}
	return false
}

// async tells whether an op cannot be checkpointed without a call to follow.
func (o *opcode) async() bool {
	switch o.Op {
	case opStep, opStepRun, opStepPlanned, opRunComplete, opSyncRunComplete, opStepFailed, opDeferAdd, opDeferAbort:
		return false
	}
	return true
}

// options decodes the op's options into what the caller names.
func (o *opcode) options(into any) error {
	if len(o.Opts) == 0 || string(o.Opts) == "null" {
		return nil
	}
	if err := json.Unmarshal(o.Opts, into); err != nil {
		return fmt.Errorf("options of %s: %w", o.Op, err)
	}
	return nil
}

// output is how the step's outcome is kept and carried.
func (o *opcode) output() json.RawMessage {
	switch o.Op {
	case opStepError, opStepFailed:
		return marshal(map[string]any{"error": o.Error})
	case opStepRun:
		return marshal(map[string]any{"data": orNull(o.Data)})
	}
	return orNull(o.Data)
}

func orNull(b json.RawMessage) json.RawMessage {
	if len(b) == 0 {
		return json.RawMessage("null")
	}
	return b
}

// errEmptyAnswer is a 206 without a body.
var errEmptyAnswer = errors.New("no response data")

// maxStepOutput bounds what one step may return.
const maxStepOutput = 4 << 20

// parseOps reads a 206: a list of opcodes or a single one.
func parseOps(body []byte, noRetry bool) ([]*opcode, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, errEmptyAnswer
	}
	var ops []*opcode
	var err error
	switch body[0] {
	case '{':
		var one opcode
		err = json.Unmarshal(body, &one)
		ops = []*opcode{&one}
	case '[':
		err = json.Unmarshal(body, &ops)
	default:
		err = errors.New("expected JSON object or array")
	}
	if err != nil {
		return nil, fmt.Errorf("error reading generator opcode response: %w", err)
	}
	kept := ops[:0]
	for _, op := range ops {
		switch {
		case op == nil:
			return nil, errors.New("error validating generator opcode: opcode cannot be null")
		case op.Op == opStepError && op.Error == nil:
			return nil, errors.New("OpcodeStepError received without Error field set")
		case len(op.output()) > maxStepOutput:
			return nil, fmt.Errorf("step %s: output size is greater than the limit", op.ID)
		}
		if op.Op == opStepError {
			op.Error.NoRetry = noRetry
		}
		if op.Op != opNone {
			kept = append(kept, op)
		}
	}
	return kept, nil
}

// byPriority puts waits and deferrals first: an event that another op of the
// same answer brings must find the wait, and the end of a run its deferrals.
func byPriority(ops []*opcode) []*opcode {
	first, rest := []*opcode{}, []*opcode{}
	for _, op := range ops {
		if op.Op == opWaitForEvent || op.lazy() {
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
