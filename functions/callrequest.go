package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A callRequest is a call as the host reads it: what goes to backends stays as
// it was written. Nothing in it belongs to the call.
type callRequest struct {
	Ctx    inngest.CallContext        `json:"ctx"`
	Event  json.RawMessage            `json:"event"`
	Events json.RawMessage            `json:"events"`
	Steps  map[string]json.RawMessage `json:"steps"`
	UseAPI bool                       `json:"use_api"`
}

func parseCall(body []byte) (*callRequest, error) {
	var r callRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the call is no JSON of a call request: %w", err)
	}
	if r.Ctx.RunID == "" {
		return nil, errors.New("the call names no run (ctx.run_id)")
	}
	r.UseAPI = r.UseAPI || r.Ctx.UseAPI
	return &r, nil
}

// run makes what a driver is told. target is the only step to run, empty for
// any. A server that does not say how many
// attempts there are has them from the registration.
func (r *callRequest) run(f *inngest.Function, target string, c *call.Call) *run.Run {
	attempts := r.Ctx.MaxAttempts
	if attempts <= 0 {
		attempts = f.EffectiveRetries() + 1
	}
	out := &run.Run{
		Function: f.ID, ID: r.Ctx.RunID, Attempt: r.Ctx.Attempt, MaxAttempts: attempts,
		Event: r.Event, Events: r.Events, Memo: make(run.Memo, len(r.Steps)), Target: target,
		Traceparent: headValue(c.Head, inngest.HeaderTraceparent), Tracestate: headValue(c.Head, inngest.HeaderTracestate),
		Call: c,
	}
	if len(out.Event) == 0 {
		out.Event = json.RawMessage("null")
	}
	if len(out.Events) == 0 {
		out.Events = json.RawMessage("[]")
	}
	for id, value := range r.Steps {
		out.Memo[id] = memoised(value)
	}
	return out
}

// memoised reads what a step left, in any of its four shapes.
func memoised(value json.RawMessage) run.Memoised {
	shape, held := inngest.ParseStepValue(value)
	switch shape {
	case inngest.ShapeInput:
		return run.Memoised{Input: held}
	case inngest.ShapeError:
		return run.Memoised{Done: true, Error: thrown(held)}
	case inngest.ShapeNull:
		return run.Memoised{Done: true, Data: json.RawMessage("null")}
	}
	return run.Memoised{Done: true, Data: held}
}

// thrown reads the error that a step left.
func thrown(held json.RawMessage) *run.Failure {
	var e inngest.UserError
	if err := json.Unmarshal(held, &e); err != nil {
		var text string
		if json.Unmarshal(held, &text) != nil {
			text = string(held)
		}
		e = inngest.UserError{Message: text}
	}
	if e.Name == "" {
		e.Name = "Error"
	}
	if e.Message == "" {
		e.Message = e.ServerText
	}
	return &run.Failure{Name: e.Name, Message: e.Message, Stack: e.Stack, Data: e.Data}
}

// headValue returns the value of a field in a call's head, copied.
func headValue(head []byte, name string) string {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
