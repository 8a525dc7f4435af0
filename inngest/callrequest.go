package inngest

import (
	"bytes"
	"encoding/json"
)

// TargetAny is the step id of a call that targets no step.
const TargetAny = "step"

// A CallRequest is the body of a call of the server to an app. On the wire it
// is canonical JSON (RFC 8785).
type CallRequest struct {
	Ctx     CallContext                `json:"ctx"`
	Defers  map[string]Defer           `json:"defers"`
	Event   *Event                     `json:"event"`  // the first of Events
	Events  []Event                    `json:"events"` // empty if too large, see UseAPI
	Steps   map[string]json.RawMessage `json:"steps"`  // hashed id → what the step left, see ParseStepValue
	UseAPI  bool                       `json:"use_api"`
	Version int                        `json:"version"` // -1: unknown, at the start of a run
}

// CallContext says which piece of work a call is.
type CallContext struct {
	Attempt                   int        `json:"attempt"` // from 0
	DisableImmediateExecution bool       `json:"disable_immediate_execution"`
	Env                       string     `json:"env"`
	FunctionID                string     `json:"fn_id"` // the server's UUID
	GenerationID              int        `json:"generation_id"`
	JobID                     string     `json:"job_id"`
	MaxAttempts               int        `json:"max_attempts"`
	QueueItemID               string     `json:"qi_id"`
	RequestID                 string     `json:"request_id"`
	RunID                     string     `json:"run_id"`
	Stack                     StackState `json:"stack"`
	StepID                    string     `json:"step_id"` // TargetAny, or the hashed id of a step
	UseAPI                    bool       `json:"use_api"` // state must be read with GET /v0/runs/{id}/actions and batch
}

// StackState is the order in which the steps of a run finished.
type StackState struct {
	Current int      `json:"current"` // number of steps
	Stack   []string `json:"stack"`   // hashed ids
}

// A Defer is a deferred function of the run.
type Defer struct {
	Abortable bool `json:"abortable"`
}

// Identity returns what ScanIdentity finds in the request's canonical form.
func (r *CallRequest) Identity() Identity {
	return Identity{
		RunID:       r.Ctx.RunID,
		FunctionID:  r.Ctx.FunctionID,
		JobID:       r.Ctx.JobID,
		RequestID:   r.Ctx.RequestID,
		StepID:      r.Ctx.StepID,
		Generation:  r.Ctx.GenerationID,
		Attempt:     r.Ctx.Attempt,
		MaxAttempts: r.Ctx.MaxAttempts,
		UseAPI:      r.Ctx.UseAPI,
	}
}

// A StepShape is which of the shapes a value of CallRequest.Steps has.
type StepShape string

// The shapes of a value in CallRequest.Steps.
const (
	ShapeData  StepShape = "data"  // {"data":…}: the result; or the event that was waited for, as it is
	ShapeError StepShape = "error" // {"error":…}: a UserError to throw
	ShapeInput StepShape = "input" // {"input":…}: run the step again with these arguments
	ShapeNull  StepShape = "null"  // a finished sleep, a timed-out wait
)

// ParseStepValue tells the shape of a value of CallRequest.Steps and what it
// holds: the data, the error or the input.
func ParseStepValue(value json.RawMessage) (StepShape, json.RawMessage) {
	value = bytes.TrimSpace(value)
	if string(value) == "null" {
		return ShapeNull, value
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err == nil && len(members) == 1 {
		for _, shape := range []StepShape{ShapeData, ShapeError, ShapeInput} {
			if held, ok := members[string(shape)]; ok {
				return shape, held
			}
		}
	}
	return ShapeData, value
}
