package devserver

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// eventCancelled is one more event that the server makes.
const eventCancelled = "inngest/function.cancelled"

// finish ends a run: nothing is called any more, who invoked it learns the
// outcome, its events go out and its deferred runs begin. The caller holds
// the lock.
func (s *Server) finish(r *run, status Status, o *outcome) {
	if r.status.Ended() {
		return
	}
	r.status, r.ended, r.output = status, s.opts.Clock.Now(), o.output
	if o.err != "" {
		r.failure = marshal(o.standardError())
	}
	for j := range r.jobs {
		s.queue.stop(j.timer)
		delete(s.st.jobs, j.ref)
	}
	for _, t := range r.timers {
		s.queue.stop(t)
	}
	s.st.waits.dropRun(r)
	s.leave(r)
	s.st.countEnd(r)
	close(r.done)
	s.watch.tell(StepEvent{
		At: r.ended, Run: r.id, Function: r.fn.slug, App: r.fn.app.name, Error: errorText(o),
		Op: map[Status]string{Completed: "RunCompleted", Failed: "RunFailed", Cancelled: "RunCancelled"}[status],
	})
	s.log.Info("run ended", "run", r.id, "function", r.fn.slug, "status", string(status), "err", errorText(o))
	s.finishEvents(r, o)
	s.deferredRuns(r)
	s.notify()
}

func errorText(o *outcome) string {
	if o.err == "" {
		return ""
	}
	return o.message()
}

// finishEvents sends inngest/function.finished and its like for the first
// event and for each that invoked the function. Runs that such an event
// started send none, or they would go on for ever.
func (s *Server) finishEvents(r *run, o *outcome) {
	events := make([]any, len(r.events))
	for i, e := range r.events {
		events[i] = e.stored()
	}
	statusName := map[Status]string{Completed: "Completed", Failed: "Failed", Cancelled: "Cancelled"}[r.status]
	for i, e := range r.events {
		if e.name == inngest.EventFunctionFailed || e.name == inngest.EventFunctionFinished {
			continue
		}
		correlation := e.meta("correlation_id")
		if i > 0 && correlation == "" {
			continue
		}
		data := map[string]any{
			"_inngest": map[string]any{"status": statusName}, "function_id": r.fn.slug, "run_id": r.id,
			"event": e.inCall(), "events": events,
		}
		if o.err != "" {
			data["error"] = o.standardError()
		}
		if o.output != nil && string(o.output) != "null" {
			data["result"] = o.output
		}
		if correlation != "" {
			data["correlation_id"] = correlation
			s.resumeInvoke(correlation, o)
		}
		s.send(s.ownEvent(inngest.EventFunctionFinished, s.newID(), data, e.sessions))
		switch r.status {
		case Failed:
			// Its id is the run's (recording 64).
			s.send(s.ownEvent(inngest.EventFunctionFailed, r.id, data, e.sessions))
		case Cancelled:
			s.send(s.ownEvent(eventCancelled, r.id, data, e.sessions))
		}
	}
}

// ownEvent makes an event of the server's.
func (s *Server) ownEvent(name, id string, data map[string]any, sessions map[string]string) *event {
	var plain map[string]any
	// Through JSON, so that expressions and calls see what an app would see.
	if err := json.Unmarshal(marshal(data), &plain); err != nil {
		s.log.Error("event of the server", "name", name, "err", err)
	}
	now := s.opts.Clock.Now()
	return &event{id: id, name: name, data: plain, ts: now.UnixMilli(), sessions: sessions, received: now}
}

// deferredRuns sends an event for each run that was put off until now.
func (s *Server) deferredRuns(r *run) {
	for _, id := range slices.Sorted(maps.Keys(r.defers)) {
		d := r.defers[id]
		if d.aborted {
			continue
		}
		data := map[string]any{}
		_ = json.Unmarshal(d.input, &data) // checked when it was added
		data["_inngest"] = map[string]any{
			"fn_slug": d.slug, "parent_app_id": r.fn.app.id, "parent_fn_id": r.fn.id, "parent_fn_slug": r.fn.slug,
			"parent_run_id": r.id, "parent_defer_span": map[string]any{
				"dsid": spanID(), "dstp": "00-" + r.trace + "-" + spanID() + "-00", "tp": "00-" + r.trace + "-" + spanID() + "-00", "ts": "",
			},
		}
		s.send(s.ownEvent(inngest.EventDeferredSchedule, deferredID(r.id, id), data, nil))
	}
}

// deferredID is the same for the same deferral of a run, and has the run's
// time (recording 82).
func deferredID(run, step string) string {
	parsed, err := ulid.ParseStrict(run)
	if err != nil {
		parsed = ulid.MustNew(ulid.Timestamp(time.Unix(0, 0)), nil)
	}
	sum := sha256.Sum256([]byte(run + "\x00" + step))
	_ = parsed.SetEntropy(sum[:10]) // ten bytes are what it wants
	return parsed.String()
}
