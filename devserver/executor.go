package devserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// enqueue puts a job on the queue, unless one with that key was ever put there
// for this run: so a step that is reported twice runs once. The caller holds
// the lock.
func (s *Server) enqueue(key string, at time.Time, j *job) bool {
	r := j.run
	if r.seen[key] || r.status.Ended() {
		return false
	}
	r.seen[key] = true
	j.id = jobID(r.id, key)
	j.ref = base64.StdEncoding.EncodeToString([]byte(j.id + "::default"))
	r.jobs[j] = true
	s.st.jobs[j.ref] = j
	j.timer = s.at(at, func() { s.dispatch(j) })
	return true
}

// jobID looks like the recorded ones: a hash in base 36.
func jobID(run, key string) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%s", run, key)
	return strconv.FormatUint(h.Sum64(), 36)
}

// discover queues the call that follows a step: the app is asked what comes
// next. It waits while steps of a parallel plan are pending, unless they race.
func (s *Server) discover(r *run, key, after string) {
	if len(r.pending) > 0 && !r.racing[after] {
		return
	}
	if r.version >= 2 {
		r.planOnly = false
	}
	s.enqueue(key, s.opts.Clock.Now(), &job{run: r, after: after})
}

// dispatch calls the app for a job, or parks it until its function may run
// more. The caller holds the lock.
func (s *Server) dispatch(j *job) {
	r := j.run
	j.timer = nil
	if r.status.Ended() || s.begin == nil {
		return
	}
	if !s.takeSlots(j) {
		return // queued at the limit, and dispatched when a slot is free
	}
	if r.status == Scheduled {
		r.status, r.began = Running, s.opts.Clock.Now()
		s.beginTimeout(r)
		s.tell(j, "RunStarted", nil, 0, "")
		s.notify()
	}
	j.generation++
	j.calling = true
	j.sent = time.Now()
	req, err := s.callRequest(j)
	if err != nil {
		s.settle(j, nil, err)
		return
	}
	s.begin(func(ctx context.Context) {
		ans, err := s.exchange(ctx, req)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil && ctx.Err() != nil {
			s.retryLater(j, s.opts.Clock.Now()) // the server stops: no attempt of the app's
			return
		}
		s.settle(j, ans, err)
	})
}

// settle acts on the outcome of a call. The caller holds the lock.
func (s *Server) settle(j *job, a *answer, err error) {
	r := j.run
	j.calling = false
	s.releaseSlots(j)
	line := Call{At: s.opts.Clock.Now(), Ms: time.Since(j.sent).Milliseconds(), Attempt: j.attempt,
		Generation: j.generation, Step: j.stepName, StepID: j.step}
	defer s.notify()
	if r.status.Ended() || s.st.runs[r.id] != r {
		return
	}
	if err == nil {
		line.Status = a.status
	}
	switch {
	case err != nil:
		line.Error = err.Error()
		s.logCall(r, line)
		s.failAttempt(j, &outcome{err: err.Error()})
	case a.status == http.StatusPartialContent:
		s.settleOps(j, a, line)
	default:
		s.settleResult(j, a, line)
	}
}

// settleResult acts on an answer that is no list of opcodes: the function's
// result, or an error.
func (s *Server) settleResult(j *job, a *answer, line Call) {
	o := resultOf(a)
	if o.err == "" {
		line.Op = "Result"
		s.logCall(j.run, line)
		s.finish(j.run, Completed, o)
		return
	}
	line.Error = o.message()
	s.logCall(j.run, line)
	s.failAttempt(j, o)
}

// failAttempt has a job tried again or fails its run.
func (s *Server) failAttempt(j *job, o *outcome) {
	r := j.run
	s.tell(j, "Error", nil, 0, o.message())
	if o.noRetry || j.attempt+1 > r.fn.retries {
		s.finish(r, Failed, o)
		return
	}
	s.retry(j, o.retryAt)
}

// retry queues a job's next attempt.
func (s *Server) retry(j *job, at time.Time) {
	j.attempt++
	if at.IsZero() {
		at = s.opts.Clock.Now().Add(s.opts.Backoff(j.attempt))
	}
	s.retryLater(j, at)
}

// retryLater queues a job again as it is.
func (s *Server) retryLater(j *job, at time.Time) {
	j.calling = false
	if j.run.status.Ended() {
		return
	}
	j.timer = s.at(at, func() { s.dispatch(j) })
}

// drop forgets a job that is done.
func (s *Server) drop(j *job) {
	s.queue.stop(j.timer)
	delete(j.run.jobs, j)
	delete(s.st.jobs, j.ref)
}

// errNotSDK is what the server says of a 2xx without x-inngest-sdk.
const errNotSDK = said("The response did not come from an Inngest SDK")

// settleOps acts on a 206.
func (s *Server) settleOps(j *job, a *answer, line Call) {
	r := j.run
	ops, err := parseOps(a.body, a.noRetry)
	if err == nil && !a.fromSDK {
		err = errNotSDK
	}
	if err != nil {
		line.Error = err.Error()
		s.logCall(r, line)
		s.failAttempt(j, &outcome{err: err.Error(), retryAt: a.retryAt, noRetry: a.noRetry})
		return
	}
	if r.version == -1 {
		r.version = a.version
	}
	if len(ops) == 0 {
		// An empty list is called again at once, without end and without an
		// attempt (seen on server 1.43: 7 a second).
		line.Op = "None"
		s.logCall(r, line)
		s.drop(j)
		s.enqueue("again-"+s.newID(), s.opts.Clock.Now(), &job{run: r, after: lastOf(r.stack)})
		return
	}
	for _, op := range ops {
		l := line
		l.Op, l.Step, l.StepID = string(op.Op), titleOf(op), op.ID
		if op.Error != nil {
			l.Error = op.Error.Message
		}
		s.logCall(r, l)
		s.tell(j, string(op.Op), op, time.Since(j.sent), l.Error)
	}
	s.plan(r, ops)
	again := false
	for _, op := range byPriority(ops) {
		err := s.apply(j, op, a)
		if errors.Is(err, errTryAgain) {
			again = true
			continue
		}
		if err != nil {
			s.refuseOp(j, err, a)
			return
		}
		if r.status.Ended() {
			return
		}
	}
	if !again {
		s.drop(j)
	}
}

// refuseOp is what becomes of an opcode that cannot be done: some errors fail
// the run at once, the others the attempt.
func (s *Server) refuseOp(j *job, err error, a *answer) {
	o := &outcome{err: err.Error(), retryAt: a.retryAt, noRetry: a.noRetry}
	var final *finalError
	if errors.As(err, &final) {
		o.noRetry = true
		o.err = final.name
		o.output = marshal(map[string]string{"error": final.Error(), "name": final.name, "message": final.message})
	}
	s.failAttempt(j, o)
}

// plan notes which steps of a parallel answer are pending and asks the SDK to
// plan only from now on, as server 1.43 does for several ops at once.
func (s *Server) plan(r *run, ops []*inngest.GeneratorOp) {
	var ids []string
	waiting := false
	for _, op := range ops {
		if lazy(op) {
			continue
		}
		ids = append(ids, op.ID)
		waiting = waiting || plans(op)
	}
	if len(ids) < 2 {
		return
	}
	r.planOnly = true
	for _, op := range ops {
		var opts struct {
			Mode string `json:"parallelMode"`
		}
		if op.ParseOpts(&opts) == nil && opts.Mode == "race" {
			r.racing[op.ID] = true
		}
	}
	if !waiting || r.version < 2 {
		return
	}
	for _, id := range ids {
		if !slices.Contains(r.stack, id) {
			r.pending[id] = true
		}
	}
}

func lastOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}
