package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Errors of checkpoints, with the server's texts.
var (
	errNoRun      = errors.New("metadata not found") // also of a run that has ended
	errAsyncSteps = errors.New("cannot checkpoint async steps")
	errTooMuch    = errors.New("step output too large")
)

// A staleError is a checkpoint of a generation that is no longer the job's.
type staleError struct{ have, want int }

func (e *staleError) Error() string {
	if e.want == 0 {
		return "stale dispatch: queue item not found"
	}
	return fmt.Sprintf("stale dispatch: dispatch generation %d does not match queue item generation %d", e.have, e.want)
}

// handleNewRun is POST /v1/checkpoint (recording 126).
func (s *Server) handleNewRun(w http.ResponseWriter, r *http.Request) {
	jsonType(w)
	var q newRunRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, inngest.MaxAnswerBytes)).Decode(&q); err != nil {
		s.apiError(w, http.StatusBadRequest, "Invalid request body")
		return
	}
	if _, err := ulid.ParseStrict(q.RunID); err != nil || !q.Event.Data.validDomain() {
		s.apiError(w, http.StatusBadRequest, "Invalid request body")
		return
	}
	run, err := s.newDurable(&q)
	if err != nil {
		s.apiError(w, http.StatusConflict, "Run already exists")
		return
	}
	answer := struct {
		FnID          string `json:"fn_id"`
		AppID         string `json:"app_id"`
		RunID         string `json:"run_id"`
		Token         string `json:"token,omitempty"`
		RealtimeToken string `json:"realtime_token,omitempty"`
	}{FnID: run.fn.id, AppID: run.fn.app.id, RunID: run.id}
	if len(q.Steps) > 0 {
		answer.Token = s.runToken(run.id)
	}
	answer.RealtimeToken = s.subscribeToken([]topic{{Kind: "run", Channel: run.id, Name: "$stream"}}, streamLife)
	s.writeData(w, http.StatusOK, answer)
}

var errRunExists = errors.New("the run exists")

// newDurable creates the run of a durable endpoint: the app is running it
// already, so there is no job to call it.
func (s *Server) newDurable(q *newRunRequest) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.runs[q.RunID] != nil {
		return nil, errRunExists
	}
	ev := q.event(s.opts.Clock.Now().UnixMilli())
	ev.internal = s.newID()
	if ev.id == "" {
		ev.id = ev.internal
	}
	ev.received = s.opts.Clock.Now()
	s.st.events = append(s.st.events, ev)
	run := s.newRun(q.function(), []*event{ev}, q.RunID)
	run.durable = q.call()
	run.status, run.began = Running, s.opts.Clock.Now()
	if q.RequestVersion != nil {
		run.version = *q.RequestVersion
	}
	if err := s.checkpointSync(run, q.Steps); err != nil {
		s.log.Error("checkpoint of a new run", "run", run.id, "err", err)
	}
	return run, nil
}

// handleSteps is POST /v1/checkpoint/{run}/steps: what an app did for a
// durable endpoint. It always answers 200 once its body could be read: errors
// show in the server's log alone (seen on server 1.43).
func (s *Server) handleSteps(w http.ResponseWriter, r *http.Request) {
	jsonType(w)
	var in struct {
		RunID string                `json:"run_id"`
		Steps []inngest.GeneratorOp `json:"steps"`
	}
	if !s.readCheckpoint(w, r, &in, &in.Steps) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errNoRun
	if run := s.st.runs[in.RunID]; run != nil && !run.status.Ended() {
		err = s.checkpointSync(run, in.Steps)
	}
	if err != nil {
		s.log.Error("checkpoint", "run", in.RunID, "err", err)
	}
	s.notify()
}

// checkpointSync takes what was done for a durable endpoint. An op that the
// server must finish makes it call the endpoint again.
func (s *Server) checkpointSync(r *run, steps []inngest.GeneratorOp) error {
	ops := make([]*inngest.GeneratorOp, len(steps))
	complete := false
	for i := range steps {
		ops[i] = &steps[i]
		complete = complete || ops[i].Op == inngest.OpRunComplete
	}
	s.plan(r, ops)
	j := &job{run: r}
	for _, op := range byPriority(ops) {
		s.logCheckpoint(r, op)
		switch op.Op {
		case inngest.OpStep, inngest.OpStepRun:
			if len(outputOf(op)) > maxStepOutput {
				return errTooMuch
			}
			if !complete { // the state of a run that is over is of no use
				s.saveStep(r, op.ID, outputOf(op))
			}
		case inngest.OpStepError:
			if r.fn.retries == 0 || op.Error == nil || op.Error.NoRetry {
				s.stepFailed(r, op)
				continue
			}
			s.enqueue(op.ID+"-sync-retry", s.opts.Clock.Now().Add(s.opts.Backoff(1)), &job{run: r, attempt: 1})
		case inngest.OpRunComplete, inngest.OpSyncRunComplete:
			s.finish(r, Completed, &outcome{output: orNull(op.Data)})
		default:
			if err := s.apply(j, op, &answer{}); err != nil && !errors.Is(err, errTryAgain) {
				s.log.Error("checkpoint", "run", r.id, "op", string(op.Op), "err", err)
			}
		}
	}
	return nil
}

// handleAsync is POST /v1/checkpoint/{run}/async: steps of a call that is
// still running.
func (s *Server) handleAsync(w http.ResponseWriter, r *http.Request) {
	jsonType(w)
	var in struct {
		RunID      string                `json:"run_id"`
		QueueItem  string                `json:"qi_id"`
		Generation int                   `json:"generation_id"`
		Started    int64                 `json:"request_started_at"`
		Steps      []inngest.GeneratorOp `json:"steps"`
	}
	if !s.readCheckpoint(w, r, &in, &in.Steps) {
		return
	}
	s.mu.Lock()
	err := errNoRun
	if run := s.st.runs[in.RunID]; run != nil && !run.status.Ended() {
		if err = s.fence(in.QueueItem, in.Generation, in.Started); err == nil {
			err = s.checkpointAsync(run, in.Steps)
		}
	}
	s.notify()
	s.mu.Unlock()
	var stale *staleError
	status := http.StatusBadRequest
	switch {
	case err == nil:
		return // 200 without a body (recordings 20 and 109)
	case errors.As(err, &stale):
		status = http.StatusConflict // recording 94
	case errors.Is(err, errTooMuch):
		status = http.StatusRequestEntityTooLarge
	}
	s.log.Warn("checkpoint refused", "run", in.RunID, "err", err)
	s.apiErrorData(w, status, err.Error(), map[string]any{"run_id": in.RunID})
}

// readCheckpoint reads a body and refuses it if it holds an opcode that the
// server does not know (recording 139).
func (s *Server) readCheckpoint(w http.ResponseWriter, r *http.Request, into any, steps *[]inngest.GeneratorOp) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4*inngest.MaxAnswerBytes)).Decode(into)
	for i := 0; err == nil && i < len(*steps); i++ {
		if op := (*steps)[i].Op; !op.Known() {
			err = errUnknownOp(op)
		}
	}
	if err != nil {
		s.apiError(w, http.StatusBadRequest, "invalid request body: "+err.Error())
	}
	return err == nil
}

// fence refuses the checkpoints of an old generation, where that is on: only
// once its call is older than 10 s (recording 94). Without the fence they
// count (recording 135).
func (s *Server) fence(ref string, generation int, started int64) error {
	if !s.opts.Fenced || generation == 0 {
		return nil
	}
	if age := time.Since(time.UnixMilli(started)); started != 0 && age >= 0 && age < s.opts.FenceAfter {
		return nil
	}
	j := s.st.jobs[ref]
	if j == nil {
		return &staleError{have: generation}
	}
	if j.generation != generation {
		return &staleError{have: generation, want: j.generation}
	}
	return nil
}

// checkpointAsync takes finished steps. A StepPlanned only tells that a step
// begins.
func (s *Server) checkpointAsync(r *run, steps []inngest.GeneratorOp) error {
	size := r.stateBytes
	for i := range steps {
		op := &steps[i]
		if !op.Op.Checkpointable() {
			return errAsyncSteps
		}
		size += len(outputOf(op))
	}
	if size > maxState {
		return fmt.Errorf("run state size limit exceeded: %w", errTooMuch)
	}
	for i := range steps {
		op := &steps[i]
		s.logCheckpoint(r, op)
		switch op.Op {
		case inngest.OpStep, inngest.OpStepRun:
			if len(outputOf(op)) > maxStepOutput {
				return fmt.Errorf("step %s: %w", op.ID, errTooMuch)
			}
			s.saveStep(r, op.ID, outputOf(op))
		case inngest.OpStepPlanned:
		case inngest.OpDeferAdd, inngest.OpDeferAbort:
			_ = s.deferral(r, op) // it logs its own errors
		default:
			return fmt.Errorf("cannot checkpoint opcode: %s", op.Op)
		}
	}
	return nil
}

// maxState bounds what the steps of a run may hold together.
const maxState = 32 << 20

func (s *Server) logCheckpoint(r *run, op *inngest.GeneratorOp) {
	line := Call{At: s.opts.Clock.Now(), Op: string(op.Op), Step: titleOf(op), StepID: op.ID, Checkpoint: true}
	if op.Timing != nil {
		line.Ms = time.Duration(op.Timing.Duration).Milliseconds()
	}
	if op.Error != nil {
		line.Error = op.Error.Message
	}
	s.logCall(r, line)
	s.watch.tell(StepEvent{
		At: line.At, Run: r.id, Function: r.fn.slug, App: r.fn.app.name, Step: line.Step, StepID: op.ID, Op: line.Op,
		Duration: time.Duration(line.Ms) * time.Millisecond, Error: line.Error,
	})
}
