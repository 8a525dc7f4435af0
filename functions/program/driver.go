package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Options says what a Driver reaches.
type Options struct {
	// Call makes a call to the backend with that origin (one of
	// [Program.Origins]), as pool.Upstream.Do does, Timeout included.
	Call func(ctx context.Context, origin string, c *call.Call) (*call.Answer, error)
	// Send sends events, a JSON array, and returns their ids, a JSON array. A
	// *run.Failure as its error is the step's failure as it stands.
	Send func(ctx context.Context, events json.RawMessage) (ids json.RawMessage, err error)
	// Sign returns the signature of a body for X-Inngest-Signature; nil: calls
	// to backends are not signed.
	Sign func(body []byte) []byte

	Timeout time.Duration // of an HTTP step that sets none, > 0
	Limits  Limits
	Now     func() time.Time
}

// Limits bound what one run of a program does. All are > 0.
type Limits struct {
	Steps int // steps of a run; the server takes 1000
	Moves int // statements that one interpretation executes, loops counted each time round
	Bytes int // of one value as JSON: a step's result, a variable, a request body, the function's result
}

func (o *Options) check() error {
	switch {
	case o.Call == nil:
		return errors.New("program: Call is missing")
	case o.Send == nil:
		return errors.New("program: Send is missing")
	case o.Now == nil:
		return errors.New("program: Now is missing")
	case o.Timeout <= 0:
		return fmt.Errorf("program: Timeout is %v, must be above 0", o.Timeout)
	case o.Limits.Steps <= 0 || o.Limits.Moves <= 0 || o.Limits.Bytes <= 0:
		return fmt.Errorf("program: Limits are %+v, all must be above 0", o.Limits)
	}
	return nil
}

// A Driver runs a program. It implements run.Driver and is safe for concurrent
// use by different runs.
type Driver struct {
	program *Program
	opts    Options
}

// Driver returns a driver of the program.
func (p *Program) Driver(o Options) (*Driver, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Driver{program: p, opts: o}, nil
}

// Advance interprets the program from its start over what the run's steps have
// given, and returns what it wants next.
func (d *Driver) Advance(ctx context.Context, r *run.Run) run.Outcome {
	i := &interpretation{
		ctx: ctx, run: r, limits: d.opts.Limits, seen: map[string]*step{}, counts: map[occurrence]int{}, read: readingOf(r),
	}
	switch out := d.program.body.run(i, i.frame()); out.state {
	case waiting:
		return run.Outcome{Steps: i.pending}
	case returned:
		return run.Outcome{Data: out.value}
	case passed:
		return run.Outcome{Data: json.RawMessage("null")}
	default:
		return run.Outcome{Failure: out.failure}
	}
}

// Execute runs a step that Advance has found: it calls a backend, or it sends
// events. An input replaces the body or the events: the first item of a list, as
// it stands in the step's trace, or the value itself.
func (d *Driver) Execute(ctx context.Context, r *run.Run, s *run.Step, input json.RawMessage) run.Result {
	var result run.Result
	switch own := s.Own.(type) {
	case *request:
		made := *own
		if input != nil && made.hasBody {
			made.setBody(firstItem(input))
		}
		result = d.request(ctx, r, s, &made)
	case *events:
		list := own.list
		if input != nil {
			var err error
			if list, err = run.IdentifyEvents(firstItem(input), r.ID, s.ID); err != nil {
				return run.Result{Failure: run.Invalid("The step's new input cannot be sent: %v.", err)}
			}
		}
		result = d.send(ctx, list)
	default:
		return run.Result{Failure: run.Invalid("The step %q is not one that the gateway runs.", s.Name)}
	}
	if most := d.opts.Limits.Bytes; len(result.Data) > most {
		f := run.Invalid("The step's result has %d bytes, the limit is %d.", len(result.Data), most)
		f.NoRetry = true
		return run.Result{Failure: f}
	}
	return result
}

// firstItem returns what a rerun's input has for the step: inputs are lists of
// arguments, and a step has one.
func firstItem(input json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(input, &list) == nil && len(list) == 1 {
		return list[0]
	}
	return input
}

// send sends events. The result is what SDKs make of it.
func (d *Driver) send(ctx context.Context, events json.RawMessage) run.Result {
	ids, err := d.opts.Send(ctx, events)
	if err != nil {
		var failure *run.Failure
		if errors.As(err, &failure) {
			return run.Result{Failure: failure}
		}
		return run.Result{Failure: &run.Failure{Name: "EventError", Message: err.Error(), Code: inngest.CodeFunctionEvent}}
	}
	data, err := json.Marshal(map[string]json.RawMessage{"ids": ids})
	if err != nil {
		return run.Result{Failure: run.Invalid("The ids of the events are no JSON.")}
	}
	return run.Result{Data: data}
}
