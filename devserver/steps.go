package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// apply does what an op asks for. Ops that the server finishes later leave a
// wait or a timer behind. The caller holds the lock.
func (s *Server) apply(j *job, op *opcode, a *answer) error {
	r := j.run
	switch op.Op {
	case opStep, opStepRun:
		s.saveStep(r, op.ID, op.output())
		s.discover(r, op.ID, op.ID)
	case opStepError:
		return s.stepError(j, op, a)
	case opStepFailed:
		s.stepFailed(r, op)
	case opStepPlanned:
		s.enqueue(op.ID+"-plan", s.opts.Clock.Now(), &job{run: r, after: j.after, step: op.ID, stepName: op.title()})
	case opSleep:
		return s.sleep(r, op)
	case opWaitForEvent:
		return s.waitForEvent(r, op)
	case opWaitForSignal:
		return s.waitForSignal(r, op)
	case opInvokeFunction:
		return s.invoke(r, op)
	case opGateway, opAIGateway:
		return s.gateway(r, op)
	case opDeferAdd, opDeferAbort:
		return s.deferral(r, op)
	case opRunComplete:
		s.finish(r, Completed, &outcome{output: orNull(op.Data)})
	case opSyncRunComplete:
		return s.completeSync(r, op)
	case opDiscoveryRequest:
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
func (s *Server) stepError(j *job, op *opcode, a *answer) error {
	if !op.Error.NoRetry && j.attempt+1 <= j.run.fn.retries {
		s.retry(j, a.retryAt)
		return errTryAgain
	}
	s.stepFailed(j.run, op)
	return nil
}

// stepFailed keeps a final error, which the program may catch.
func (s *Server) stepFailed(r *run, op *opcode) {
	if op.Error == nil {
		op.Error = &stepError{Name: "Error", Message: "unknown error"}
	}
	s.saveStep(r, op.ID, marshal(map[string]any{"error": op.Error}))
	s.discover(r, op.ID+"-failure", op.ID)
}

// maxWait bounds sleeps and waits.
const maxWait = 366 * 24 * time.Hour

// sleep ends with a call that carries the step as null (recording 13). The
// duration is the option of that name (Go) or the op's name (JS), or a date.
func (s *Server) sleep(r *run, op *opcode) error {
	var opts struct {
		Duration string `json:"duration"`
	}
	if err := op.options(&opts); err != nil {
		return err
	}
	if opts.Duration == "" {
		opts.Duration = op.Name
	}
	d, err := s.untilText(opts.Duration)
	if err != nil {
		return fmt.Errorf("sleep %q: %w", op.title(), err)
	}
	if d > maxWait {
		return &finalError{"InngestErrTimeoutTooLong", fmt.Sprintf("sleep %q ends more than a year ahead", opts.Duration)}
	}
	if r.seen[op.ID] || r.status.Ended() {
		return nil // reported again while it runs: the same sleep
	}
	r.seen[op.ID] = true
	r.timers = append(r.timers, s.after(d, func() {
		if r.status.Ended() {
			return
		}
		s.saveStep(r, op.ID, json.RawMessage("null"))
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
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return max(time.Until(t).Round(time.Second), 0), nil
		}
	}
	return parsePeriod(text)
}

// completeSync ends a run that began as a durable endpoint's request.
func (s *Server) completeSync(r *run, op *opcode) error {
	var result struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(op.Data, &result); err != nil || len(result.Data) == 0 {
		return errors.New("SyncRunComplete without data")
	}
	s.finish(r, Completed, &outcome{output: result.Data})
	return nil
}
