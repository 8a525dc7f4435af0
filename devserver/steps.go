package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// apply does what an op asks for. Ops that the server finishes later leave a
// wait or a timer behind. The caller holds the lock.
func (s *Server) apply(j *job, op *inngest.GeneratorOp, a *answer) error {
	r := j.run
	switch op.Op {
	case inngest.OpStep, inngest.OpStepRun:
		s.saveStep(r, op.ID, outputOf(op))
		s.discover(r, op.ID, op.ID)
	case inngest.OpStepError:
		return s.stepError(j, op, a)
	case inngest.OpStepFailed:
		s.stepFailed(r, op)
	case inngest.OpStepPlanned:
		s.enqueue(op.ID+"-plan", s.opts.Clock.Now(), &job{run: r, after: j.after, step: op.ID, stepName: titleOf(op)})
	case inngest.OpSleep:
		return s.sleep(r, op)
	case inngest.OpWaitForEvent:
		return s.waitForEvent(r, op)
	case inngest.OpWaitForSignal:
		return s.waitForSignal(r, op)
	case inngest.OpInvokeFunction:
		return s.invoke(r, op)
	case inngest.OpGateway, inngest.OpAIGateway:
		return s.gateway(r, op)
	case inngest.OpDeferAdd, inngest.OpDeferAbort:
		return s.deferral(r, op)
	case inngest.OpRunComplete:
		s.finish(r, Completed, &outcome{output: orNull(op.Data)})
	case inngest.OpSyncRunComplete:
		return s.completeSync(r, op)
	case inngest.OpDiscoveryRequest:
		// Only once for an id: two of them with the same id left the run
		// waiting (seen on server 1.43).
		s.discover(r, op.ID, op.ID)
	default:
		return fmt.Errorf("unknown opcode: %s", op.Op)
	}
	return nil
}

// saveStep keeps a step's outcome. The first one counts.
func (s *Server) saveStep(r *run, id string, output json.RawMessage) {
	delete(r.pending, id)
	if _, ok := r.steps[id]; ok {
		return
	}
	r.steps[id] = output
	r.stack = append(r.stack, id)
	r.stateBytes += len(output)
	delete(r.inputs, id)
}

// stepError has the job tried again; after the last attempt, and when the app
// forbids another, the program gets to see the error.
func (s *Server) stepError(j *job, op *inngest.GeneratorOp, a *answer) error {
	if !op.Error.NoRetry && j.attempt+1 <= j.run.fn.retries {
		s.retry(j, a.retryAt)
		return errTryAgain
	}
	s.stepFailed(j.run, op)
	return nil
}

// stepFailed keeps a final error, which the program may catch.
func (s *Server) stepFailed(r *run, op *inngest.GeneratorOp) {
	s.saveStep(r, op.ID, errorOutput(op.Error))
	s.discover(r, op.ID+"-failure", op.ID)
}

// sleep ends with a call that carries the step as null (recording 13). The
// duration is the option of that name (Go) or the op's name (JS), or a date.
func (s *Server) sleep(r *run, op *inngest.GeneratorOp) error {
	text := op.SleepText()
	d, err := s.untilText(text)
	if err != nil {
		return fmt.Errorf("sleep %q: %w", titleOf(op), err)
	}
	if d > inngest.MaxWait {
		return &finalError{"InngestErrTimeoutTooLong", fmt.Sprintf("sleep %q ends more than a year ahead", text)}
	}
	if r.seen[op.ID] || r.status.Ended() {
		return nil // reported again while it runs: the same sleep
	}
	r.seen[op.ID] = true
	r.timers = append(r.timers, s.after(d, func() {
		if r.status.Ended() {
			return
		}
		s.saveStep(r, op.ID, orNull(nil))
		s.discover(r, op.ID+"-slept", op.ID)
		s.notify()
	}))
	return nil
}

// untilText reads a duration or a date. Dates come from the app's clock.
func (s *Server) untilText(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if t, ok := parseDate(text); ok {
		return max(time.Until(t).Round(time.Second), 0), nil
	}
	return inngest.ParseDuration(text)
}

// completeSync ends a run that began as a durable endpoint's request.
func (s *Server) completeSync(r *run, op *inngest.GeneratorOp) error {
	var result struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(op.Data, &result); err != nil || len(result.Data) == 0 {
		return errors.New("SyncRunComplete without data")
	}
	s.finish(r, Completed, &outcome{output: result.Data})
	return nil
}
