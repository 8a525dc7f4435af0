package devserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A wait is a step that something from outside finishes, or a cancellation.
type wait struct {
	run    *run
	step   string // hashed id; empty: the event cancels the run
	expr   string // over event (the run's) and async (the one that came)
	timer  *timer
	signal string
	invoke string // correlation id
	event  string
}

// waits finds the steps that an event, a signal or the end of an invoked run
// concerns.
type waits struct {
	byEvent  map[string][]*wait
	bySignal map[string]*wait
	byInvoke map[string]*wait
}

func newWaits() waits {
	return waits{byEvent: map[string][]*wait{}, bySignal: map[string]*wait{}, byInvoke: map[string]*wait{}}
}

func (ws *waits) drop(w *wait) {
	if w.event != "" {
		ws.byEvent[w.event] = slices.DeleteFunc(ws.byEvent[w.event], func(o *wait) bool { return o == w })
		if len(ws.byEvent[w.event]) == 0 {
			delete(ws.byEvent, w.event)
		}
	}
	if ws.bySignal[w.signal] == w {
		delete(ws.bySignal, w.signal)
	}
	if ws.byInvoke[w.invoke] == w {
		delete(ws.byInvoke, w.invoke)
	}
}

// dropRun forgets every wait of a run. Their timers look at the run.
func (ws *waits) dropRun(r *run) {
	for _, list := range ws.byEvent {
		for _, w := range slices.Clone(list) {
			if w.run == r {
				ws.drop(w)
			}
		}
	}
	for _, w := range ws.bySignal {
		if w.run == r {
			ws.drop(w)
		}
	}
	for _, w := range ws.byInvoke {
		if w.run == r {
			ws.drop(w)
		}
	}
}

// await sets a wait up, unless the step is known already, and has it end with
// that outcome at its timeout.
func (s *Server) await(w *wait, timeout time.Duration, late json.RawMessage) {
	r := w.run
	if r.seen[w.step] || r.status.Ended() {
		return
	}
	r.seen[w.step] = true
	switch {
	case w.event != "":
		s.st.waits.byEvent[w.event] = append(s.st.waits.byEvent[w.event], w)
	case w.signal != "":
		s.st.waits.bySignal[w.signal] = w
	case w.invoke != "":
		s.st.waits.byInvoke[w.invoke] = w
	}
	w.timer = s.after(timeout, func() { s.resume(w, late) })
	r.timers = append(r.timers, w.timer)
}

// resume ends a wait: the step has its outcome and the app is called.
func (s *Server) resume(w *wait, output json.RawMessage) {
	s.st.waits.drop(w)
	s.queue.stop(w.timer)
	if w.run.status.Ended() {
		return
	}
	s.saveStep(w.run, w.step, output)
	s.discover(w.run, w.step+"-resumed", w.step)
	s.notify()
}

// waitForEvent ends with the event as it is, or with null (recordings 14, 17
// and 73). No timeout at all ends it at once, as an SDK's negative one.
func (s *Server) waitForEvent(r *run, op *inngest.GeneratorOp) error {
	var opts inngest.WaitForEventOpts
	if err := op.ParseOpts(&opts); err != nil {
		return err
	}
	timeout, err := s.untilText(opts.Timeout)
	if err != nil {
		return fmt.Errorf("timeout of %q: %w", titleOf(op), err)
	}
	if timeout > inngest.MaxWait {
		return &finalError{"InngestErrTimeoutTooLong", fmt.Sprintf("timeout %q of %q ends more than a year ahead", opts.Timeout, titleOf(op))}
	}
	if opts.If != "" {
		if err := s.match.check(opts.If); err != nil {
			return &finalError{"CompileError", err.Error()}
		}
	}
	s.await(&wait{run: r, step: op.ID, event: op.WaitEvent(), expr: opts.If}, timeout, orNull(nil))
	return nil
}

// resumeByEvent resumes and cancels the runs that wait for an event.
func (s *Server) resumeByEvent(ev *event) {
	for _, w := range slices.Clone(s.st.waits.byEvent[ev.name]) {
		if !s.match.matches(w.expr, w.run.events[0], ev) {
			continue
		}
		if w.step == "" {
			s.st.waits.drop(w)
			s.cancel(w.run, "event "+ev.name)
			continue
		}
		s.resume(w, marshal(ev.inCall()))
	}
}

// waitToCancel has an event cancel a run.
func (s *Server) waitToCancel(r *run, c inngest.Cancel) {
	w := &wait{run: r, event: c.Event, expr: c.If}
	s.st.waits.byEvent[c.Event] = append(s.st.waits.byEvent[c.Event], w)
	if c.Timeout != "" {
		r.timers = append(r.timers, s.after(lasting(c.Timeout), func() { s.st.waits.drop(w) }))
	}
}

// waitForSignal ends with {"data": {"data", "signal"}} (recording 69) or null.
// A signal is waited for once: a second wait fails its run or takes over.
func (s *Server) waitForSignal(r *run, op *inngest.GeneratorOp) error {
	var opts inngest.WaitForSignalOpts
	if err := op.ParseOpts(&opts); err != nil {
		return err
	}
	if opts.Signal == "" {
		opts.Signal = op.Name
	}
	timeout, err := s.orYear(opts.Timeout)
	if err != nil {
		return fmt.Errorf("timeout of %q: %w", titleOf(op), err)
	}
	if other := s.st.waits.bySignal[opts.Signal]; other != nil && !(other.run == r && other.step == op.ID) {
		if opts.Conflict != inngest.ConflictReplace {
			return &finalError{"InngestErrSignalConflict", fmt.Sprintf("another run waits for signal %q", opts.Signal)}
		}
		s.st.waits.drop(other)
	}
	s.await(&wait{run: r, step: op.ID, signal: opts.Signal}, timeout, orNull(nil))
	return nil
}

// orYear is untilText with a year for an empty text.
func (s *Server) orYear(text string) (time.Duration, error) {
	if text == "" {
		return 365 * 24 * time.Hour, nil
	}
	return s.untilText(text)
}

// signal resumes the run that waits for a signal and returns its id.
func (s *Server) signal(name string, data json.RawMessage) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.st.waits.bySignal[name]
	if w == nil {
		return "", false
	}
	s.resume(w, marshal(map[string]any{"data": map[string]any{"data": orNull(data), "signal": name}}))
	return w.run.id, true
}

// invoke starts another function and waits for its end (recordings 17, 61 to
// 63). A function that does not exist is waited for until the timeout, as on
// the server.
func (s *Server) invoke(r *run, op *inngest.GeneratorOp) error {
	var opts struct {
		Function string `json:"function_id"`
		Payload  struct {
			Data map[string]any `json:"data"`
			User map[string]any `json:"user"`
			V    string         `json:"v"`
		} `json:"payload"`
		Timeout string `json:"timeout"`
	}
	if err := op.ParseOpts(&opts); err != nil {
		return err
	}
	timeout, err := s.orYear(opts.Timeout)
	if err != nil {
		return fmt.Errorf("timeout of %q: %w", titleOf(op), err)
	}
	if r.seen[op.ID] {
		return nil
	}
	correlation := r.id + "." + op.ID
	late := "Timed out waiting for invoked function to complete"
	s.await(&wait{run: r, step: op.ID, invoke: correlation}, timeout, marshal(map[string]any{"error": map[string]string{
		"error": "InngestInvokeTimeoutError: " + late, "message": late, "name": "InngestInvokeTimeoutError",
	}}))
	data := opts.Payload.Data
	if data == nil {
		data = map[string]any{}
	}
	data["_inngest"] = map[string]any{
		"correlation_id": correlation, "fn_id": opts.Function, "name": titleOf(op),
		"expire":        s.opts.Clock.Now().Add(timeout).UnixMilli(),
		"source_app_id": r.fn.app.id, "source_fn_id": r.fn.id, "source_fn_v": r.fn.version,
	}
	ev := s.ownEvent(inngest.EventFunctionInvoked, s.newID(), data, r.events[0].sessions)
	ev.user, ev.version = opts.Payload.User, opts.Payload.V
	s.send(ev)
	return nil
}

// resumeInvoke hands a run's outcome to the step that invoked it.
func (s *Server) resumeInvoke(correlation string, o *outcome) {
	w := s.st.waits.byInvoke[correlation]
	if w == nil {
		return
	}
	if o.err != "" {
		s.resume(w, marshal(map[string]any{"error": o.standardError()}))
		return
	}
	s.resume(w, marshal(map[string]any{"data": orNull(o.output)}))
}
