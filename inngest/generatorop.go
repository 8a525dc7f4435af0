package inngest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// RunCompleteID is the id of a RunComplete op: HashStepID("complete", 0).
const RunCompleteID = "0737c22d3bfae812339732d14d8c7dbd6dc4e09c"

// A GeneratorOp is one operation of a 206 answer or of a checkpoint. A 206 is
// an array of them or, from a durable endpoint, one alone: see ParseOps.
type GeneratorOp struct {
	ID          string          `json:"id"` // HashStepID of userland.id
	Op          Opcode          `json:"op"`
	Mode        string          `json:"mode,omitempty"` // in checkpoints of JS: sync or async
	Name        string          `json:"name,omitempty"` // of JS: the duration of a sleep, the event of a wait
	DisplayName string          `json:"displayName,omitempty"`
	Opts        json.RawMessage `json:"opts,omitempty"` // {} and null mean none
	Userland    *Userland       `json:"userland,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"` // null is a result too
	Error       *UserError      `json:"error,omitempty"`
	Timing      *Timing         `json:"timing,omitempty"`
}

// Userland is the step's id as the program has it.
type Userland struct {
	ID    string `json:"id"`
	Index int    `json:"index,omitempty"` // of a repeated id, from 1
}

// Timing says when a step ran, in nanoseconds.
type Timing struct {
	Start    int64 `json:"a"` // Unix time
	Duration int64 `json:"b"`
}

// A UserError is an error of the user's code: in a StepError or StepFailed, in
// the steps of a call, and as the body of an answer with status 400 or 500.
type UserError struct {
	Name       string          `json:"name"`
	Message    string          `json:"message"`
	Stack      string          `json:"stack,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	Cause      json.RawMessage `json:"cause,omitempty"`
	NoRetry    bool            `json:"noRetry,omitempty"`
	ServerText string          `json:"error,omitempty"` // added by the server to errors of invoked functions
	Serialized bool            `json:"__serialized,omitempty"`
}

// Error returns name and message.
func (e *UserError) Error() string {
	if e.Name == "" {
		return e.Message
	}
	return e.Name + ": " + e.Message
}

// Options of the opcodes that have some.
type (
	// SleepOpts are those of a Sleep of the Go SDK.
	SleepOpts struct {
		Duration string `json:"duration"`
	}
	// WaitForEventOpts are those of a WaitForEvent. Event is empty in JS: see
	// GeneratorOp.WaitEvent.
	WaitForEventOpts struct {
		Event   string `json:"event,omitempty"`
		Timeout string `json:"timeout"`
		If      string `json:"if,omitempty"`
	}
	// InvokeOpts are those of an InvokeFunction.
	InvokeOpts struct {
		FunctionID string        `json:"function_id"` // app id, "-", function id
		Payload    InvokePayload `json:"payload"`
		Timeout    string        `json:"timeout,omitempty"`
	}
	// InvokePayload is the event that an invoked function gets, but for what
	// the server adds: name, id and time.
	InvokePayload struct {
		Data json.RawMessage `json:"data,omitempty"`
		User json.RawMessage `json:"user,omitempty"`
		V    string          `json:"v,omitempty"`
	}
	// WaitForSignalOpts are those of a WaitForSignal.
	WaitForSignalOpts struct {
		Signal   string `json:"signal"`
		Timeout  string `json:"timeout"`
		Conflict string `json:"conflict,omitempty"` // ConflictFail or ConflictReplace
	}
	// GatewayOpts are those of a Gateway: step.fetch. Headers and body may
	// hold a third party's credentials.
	GatewayOpts struct {
		URL     string            `json:"url"`
		Method  string            `json:"method,omitempty"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    string            `json:"body,omitempty"`
	}
	// AIGatewayOpts are those of an AIGateway: step.ai.infer. AuthKey is the
	// key of the model's provider, in clear.
	AIGatewayOpts struct {
		Type    string            `json:"type,omitempty"`
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers,omitempty"`
		AuthKey string            `json:"auth_key"`
		Format  string            `json:"format"`
		Body    json.RawMessage   `json:"body"`
	}
	// DeferAddOpts are those of a DeferAdd.
	DeferAddOpts struct {
		FunctionSlug string          `json:"fn_slug"`
		Input        json.RawMessage `json:"input,omitempty"`
	}
	// DeferAbortOpts are those of a DeferAbort.
	DeferAbortOpts struct {
		TargetHashedID string `json:"target_hashed_id"`
		FunctionSlug   string `json:"fn_slug,omitempty"`
		ID             string `json:"id,omitempty"`
	}
	// RunOpts are those of a StepRun, StepError or StepPlanned.
	RunOpts struct {
		Type   string          `json:"type,omitempty"`   // step.sendSignal, ...
		Signal string          `json:"signal,omitempty"` // of step.sendSignal
		Input  json.RawMessage `json:"input,omitempty"`  // arguments that a rerun changed
	}
)

// What a WaitForSignal wants if another run waits for the signal already.
const (
	ConflictFail    = "fail"
	ConflictReplace = "replace"
)

// ParseOpts reads the op's options into into, one of the Opts types. Absent
// options leave it as it is.
func (op *GeneratorOp) ParseOpts(into any) error {
	if len(op.Opts) == 0 {
		return nil
	}
	if err := json.Unmarshal(op.Opts, into); err != nil {
		return fmt.Errorf("opts of %s %q: %w", op.Op, op.Name, err)
	}
	return nil
}

// SleepText returns how long, or until when, a Sleep lasts: JS says it in the
// name, Go in the options.
func (op *GeneratorOp) SleepText() string {
	var opts SleepOpts
	if err := op.ParseOpts(&opts); err == nil && opts.Duration != "" {
		return opts.Duration
	}
	return op.Name
}

// WaitEvent returns the event name that a WaitForEvent waits for: JS says it
// in the name, Go in the options.
func (op *GeneratorOp) WaitEvent() string {
	var opts WaitForEventOpts
	if err := op.ParseOpts(&opts); err == nil && opts.Event != "" {
		return opts.Event
	}
	return op.Name
}

// ParseOps reads the body of a 206: an array of ops, or one op.
func ParseOps(body []byte) ([]GeneratorOp, error) {
	var ops []GeneratorOp
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		ops = make([]GeneratorOp, 1)
		if err := json.Unmarshal(trimmed, &ops[0]); err != nil {
			return nil, fmt.Errorf("opcode: %w", err)
		}
		return ops, nil
	}
	if err := json.Unmarshal(body, &ops); err != nil {
		return nil, fmt.Errorf("opcodes: %w", err)
	}
	return ops, nil
}
