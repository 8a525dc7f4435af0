package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An exchange is one call and its answer.
type exchange struct {
	host     *Host
	function *hosted
	began    time.Time
	gone     func() bool // the caller hung up; may be nil
	step     string      // of the query: the step to run, inngest.TargetAny for none in particular

	req    *callRequest
	held   int64 // bytes of the budget, for state that was fetched
	run    *run.Run
	failed *run.Failure // what went wrong with the function or a step
}

// How a call ended, for the metric.
const (
	callComplete = "complete"
	callSteps    = "steps"
	callFailed   = "failed"
	callStale    = "stale"
	callCut      = "cut"
)

// answer reads the call, runs the function as far as it may, and answers.
func (x *exchange) answer(ctx context.Context, c *call.Call) (*call.Answer, error) {
	a, outcome := x.respond(ctx, c)
	x.host.opts.Budget.Release(x.held)
	if ctx.Err() != nil && outcome == callFailed {
		// The gateway ends, and what failed did so for that: not the
		// function's fault. Steps that ended before are known to Inngest.
		outcome, a, x.failed = callCut, nil, nil
	}
	x.count(outcome)
	if a == nil {
		return nil, fmt.Errorf("function %s: %w", x.function.Config.ID, context.Cause(ctx))
	}
	return a, nil
}

func (x *exchange) count(outcome string) {
	x.host.opts.Metrics.Calls.WithLabelValues(x.host.opts.App, x.function.Config.ID, outcome).Inc()
}

func (x *exchange) respond(ctx context.Context, c *call.Call) (*call.Answer, string) {
	req, err := parseCall(c.Body)
	if err == nil && req.UseAPI {
		x.held, err = x.host.state.hydrate(ctx, req)
	}
	if err != nil {
		return x.fail(&run.Failure{Name: "EventError", Message: sentence(err), Code: inngest.CodeFunctionEvent}), callFailed
	}
	target := ""
	if x.step != inngest.TargetAny {
		target = x.step
	}
	x.req, x.run = req, req.run(&x.function.Config, target, c)
	return x.advance(ctx)
}

// advance asks the driver what comes next, and does it, until there is
// something to tell the server.
func (x *exchange) advance(ctx context.Context) (*call.Answer, string) {
	for {
		next := x.next(ctx)
		switch {
		case x.run.Target != "":
			return x.targeted(ctx, &next)
		case next.Failure != nil:
			return x.fail(next.Failure), callFailed
		case len(next.Steps) == 0:
			return x.complete(next.Data)
		case len(next.Steps) > 1, x.req.Ctx.DisableImmediateExecution, next.Steps[0].Op != inngest.OpStepRun:
			return x.plan(next.Steps)
		}
		op, failure := x.execute(ctx, &next.Steps[0])
		switch {
		case failure != nil:
			return x.stepFailed(op, failure)
		case !x.mayGoOn():
			return x.reply(op), callSteps
		}
		switch x.host.checkpoint(ctx, x, op) {
		case checkpointStale:
			return x.stale(), callStale
		case checkpointRefused:
			return x.reply(op), callSteps
		}
		if x.isGone() {
			return x.reply(op), callSteps // nobody hears it, and the step is known
		}
		x.run.Memo[op.ID] = run.Memoised{Done: true, Data: op.Data}
	}
}

// next asks the driver, and checks what it wants.
func (x *exchange) next(ctx context.Context) (o run.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = run.Outcome{Failure: x.panicked(p)}
		}
	}()
	o = x.function.Driver.Advance(ctx, x.run)
	if o.Failure == nil {
		if f := x.checkSteps(o.Steps); f != nil {
			return run.Outcome{Failure: f}
		}
	}
	return o
}

// execute runs a step of a backend's. The op is a StepRun; where there is a
// failure it lacks result and kind.
func (x *exchange) execute(ctx context.Context, s *run.Step) (inngest.GeneratorOp, *run.Failure) {
	op := opOf(s)
	input := x.run.Memo[s.ID].Input
	if input != nil {
		op.Opts = inputOpts(input)
	}
	began := x.host.opts.Now()
	result := x.driven(ctx, s, input)
	took := x.host.opts.Now().Sub(began)
	x.host.opts.Metrics.StepSeconds.WithLabelValues(x.host.opts.App, x.function.Config.ID).Observe(took.Seconds())
	op.Timing = &inngest.Timing{Start: began.UnixNano(), Duration: int64(took)}
	if result.Failure == nil {
		op.Data = orNull(result.Data)
		if len(op.Data) > maxStepOutput {
			result.Failure = final(run.Invalid("The result of step %q has %d bytes, the limit is %d.", s.Name, len(op.Data), maxStepOutput))
		} else if !json.Valid(op.Data) {
			result.Failure = run.Invalid("The result of step %q is no JSON.", s.Name)
		}
	}
	if result.Failure != nil {
		op.Data = nil
		return op, result.Failure
	}
	x.countStep(op.Op, "ok")
	return op, nil
}

// driven has the driver run a step.
func (x *exchange) driven(ctx context.Context, s *run.Step, input json.RawMessage) (r run.Result) {
	defer func() {
		if p := recover(); p != nil {
			r = run.Result{Failure: x.panicked(p)}
		}
	}()
	return x.function.Driver.Execute(ctx, x.run, s, input)
}

func (x *exchange) panicked(p any) *run.Failure {
	x.host.opts.Log.Error("panic in a function", "app", x.host.opts.App, "function", x.function.Config.ID,
		"run", x.req.Ctx.RunID, "err", p, "stack", string(debug.Stack()))
	return &run.Failure{Name: "RuntimeError", Message: "The gateway failed while it ran the function; its log says more.", Code: inngest.CodeFunctionRuntime}
}

// mayGoOn tells whether a call may begin another step after the one that it
// has just run. From attempt 1 on it may not: see the package's documentation.
func (x *exchange) mayGoOn() bool {
	return x.function.Checkpoint && x.host.opts.API != nil && x.run.Attempt == 0 && !x.host.leaves.Load() &&
		x.host.opts.Now().Sub(x.began) < x.host.opts.Yield
}

func (x *exchange) isGone() bool { return x.gone != nil && x.gone() }

// targeted runs the one step that the server asked for.
func (x *exchange) targeted(ctx context.Context, next *run.Outcome) (*call.Answer, string) {
	if next.Failure != nil {
		return x.fail(next.Failure), callFailed
	}
	for i := range next.Steps {
		s := &next.Steps[i]
		if s.ID != x.run.Target {
			continue
		}
		if s.Op != inngest.OpStepRun {
			return x.plan([]run.Step{*s})
		}
		op, failure := x.execute(ctx, s)
		if failure != nil {
			return x.stepFailed(op, failure)
		}
		return x.reply(op), callSteps
	}
	return x.fail(run.Invalid("The function does not ask for the step with the id %.60q now: it was changed while the run was under way.", x.run.Target)), callFailed
}

// complete answers with the function's result.
func (x *exchange) complete(data json.RawMessage) (*call.Answer, string) {
	data = orNull(data)
	if !json.Valid(data) {
		return x.fail(run.Invalid("The result of the function is no JSON.")), callFailed
	}
	if len(data) > maxStepOutput {
		return x.fail(final(run.Invalid("The result of the function has %d bytes, the limit is %d.", len(data), maxStepOutput))), callFailed
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte(`"{`)) {
		// As the answer itself the server would take it for the object that
		// the text may hold.
		return x.reply(inngest.GeneratorOp{ID: inngest.RunCompleteID, Op: inngest.OpRunComplete, Data: data}), callComplete
	}
	// Not RunComplete: the server's API shows no result of a run that ended so.
	return x.host.speak(http.StatusOK, data), callComplete
}

// plan answers with steps that others do: the server, or a later call.
func (x *exchange) plan(steps []run.Step) (*call.Answer, string) {
	ops := make([]inngest.GeneratorOp, len(steps))
	for i := range steps {
		ops[i] = opOf(&steps[i])
		if ops[i].Op == inngest.OpStepRun {
			ops[i].Op = inngest.OpStepPlanned
		}
	}
	a := x.reply(ops...)
	if x.failed != nil {
		return a, callFailed
	}
	for i := range ops {
		x.countStep(ops[i].Op, "ok")
	}
	return a, callSteps
}

// reply answers with operations.
func (x *exchange) reply(ops ...inngest.GeneratorOp) *call.Answer {
	a, err := x.host.steps(ops)
	switch {
	case err != nil:
		return x.fail(run.Invalid("The steps of the function cannot be written as JSON: %v.", err))
	case len(a.Body) > x.host.opts.MaxAnswer:
		return x.fail(final(run.Invalid("The answer has %d bytes, the limit is %d.", len(a.Body), x.host.opts.MaxAnswer)))
	}
	return a
}

// stale answers the call of a dispatch that another one has replaced. Whatever
// happens to the answer, it must not end the run: so it forbids no retry,
// though SDKs do.
func (x *exchange) stale() *call.Answer {
	x.host.opts.Log.Info("another dispatch of the call has taken over", "app", x.host.opts.App,
		"function", x.function.Config.ID, "run", x.req.Ctx.RunID, "generation", x.req.Ctx.GenerationID)
	return x.host.fail(http.StatusInternalServerError, &run.Failure{
		Name: "StaleDispatchError", Code: inngest.CodeFunctionStale,
		Message: "Another dispatch of this call has taken over; this one has stopped.",
	})
}
