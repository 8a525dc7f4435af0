package devserver

import (
	"encoding/json"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// accept takes an event: it gets its ids, and is looked at as soon as the loop
// runs. It returns the id that the sender is told.
func (s *Server) accept(ev *event) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev.internal == "" {
		ev.internal = s.newID()
	}
	if ev.id == "" {
		ev.id = ev.internal
	}
	s.st.count(ev)
	s.send(ev)
	return ev.internal
}

// send is accept for the server's own events. The caller holds the lock.
func (s *Server) send(ev *event) {
	if ev.internal == "" {
		ev.internal = ev.id
	}
	s.st.events = append(s.st.events, ev)
	s.st.trim(s.opts.Keep)
	s.at(s.opts.Clock.Now(), func() { s.route(ev) })
	s.notify()
}

// route looks for what an event concerns: runs that wait for it or that it
// cancels, and functions that it starts. The caller holds the lock.
func (s *Server) route(ev *event) {
	s.resumeByEvent(ev)
	if ev.name == inngest.EventFunctionInvoked {
		if f := s.functionBySlug(ev.meta("fn_id")); f != nil {
			s.trigger(f, ev)
		}
		return
	}
	for _, a := range s.st.apps {
		for _, f := range a.functions {
			if f.triggeredBy(s.match, ev) {
				s.trigger(f, ev)
			}
		}
	}
}

func (f *function) triggeredBy(m *matcher, ev *event) bool {
	for _, t := range f.config.Triggers {
		if t.Event != "" && nameMatches(t.Event, ev.name) && m.matches(t.Expression, ev, nil) {
			return true
		}
	}
	return false
}

// An event starts a function only once for so long: by its own id, if it has
// one (the key of Schedule in the server's runner); where events are gathered
// in batches by the id that the sender was told (its batch manager).
const (
	rememberStarts  = 24 * time.Hour
	rememberBatched = 30 * time.Minute
)

// trigger starts a function for an event, as far as its flow control lets it.
func (s *Server) trigger(f *function, ev *event) {
	now := s.opts.Clock.Now()
	id, remember := ev.id, rememberStarts
	if f.gathers(s.match, ev) {
		id, remember = ev.internal, rememberBatched
	}
	if at, ok := s.st.started[id][f.id]; ok && now.Sub(at) < remember {
		return
	}
	if s.st.started[id] == nil {
		s.st.started[id] = map[string]time.Time{}
	}
	s.st.started[id][f.id] = now
	if s.putInBatch(f, ev) || s.putOff(f, ev) {
		return
	}
	s.start(f, []*event{ev})
}

// start creates a run, unless a rate limit or a singleton forbids it, and
// queues its first call.
func (s *Server) start(f *function, events []*event) *run {
	if s.overRate(f, events[0]) || s.blockedBySingleton(f, events[0]) {
		return nil
	}
	r := s.newRun(f, events, s.newID())
	s.watchRun(r)
	s.enqueue("start", s.startTime(f, events[0]), &job{run: r})
	return r
}

// newRun puts a run into the store.
func (s *Server) newRun(f *function, events []*event, id string) *run {
	r := &run{
		id: id, fn: f, events: events, status: Scheduled, steps: map[string]json.RawMessage{},
		inputs: map[string]json.RawMessage{}, pending: map[string]bool{}, racing: map[string]bool{}, defers: map[string]*deferred{},
		seen: map[string]bool{}, jobs: map[*job]bool{}, version: -1, created: s.opts.Clock.Now(),
		trace: randomHex(16), spans: randomHex(16), done: make(chan struct{}),
	}
	for _, e := range events {
		r.stateBytes += len(marshal(e.stored()))
		s.st.byID[e.internal] = append(s.st.byID[e.internal], r)
	}
	s.st.runs[r.id] = r
	s.st.order = append(s.st.order, r)
	s.st.countRun(r)
	s.st.trim(s.opts.Keep)
	s.join(r)
	s.notify()
	return r
}

// watchRun sets up what may cancel a run before its end.
func (s *Server) watchRun(r *run) {
	for _, c := range r.fn.config.Cancel {
		s.waitToCancel(r, c)
	}
	if t := r.fn.config.Timeouts; t != nil && t.Start != "" {
		r.timers = append(r.timers, s.after(lasting(t.Start), func() {
			if r.status == Scheduled {
				s.cancel(r, "start timeout")
			}
		}))
	}
}

// beginTimeout starts the clock of timeouts.finish, at a run's first call.
func (s *Server) beginTimeout(r *run) {
	if t := r.fn.config.Timeouts; t != nil && t.Finish != "" {
		r.timers = append(r.timers, s.after(lasting(t.Finish), func() { s.cancel(r, "finish timeout") }))
	}
}

// cancel ends a run early.
func (s *Server) cancel(r *run, why string) {
	s.finish(r, Cancelled, &outcome{err: "function cancelled", output: marshal(map[string]string{
		"name": "FunctionCancelled", "message": "function cancelled: " + why,
	})})
}

// startCrons schedules an app's crons. The caller holds the lock.
func (s *Server) startCrons(a *app) {
	for _, f := range a.functions {
		for _, t := range f.config.Triggers {
			if t.Cron == "" {
				continue
			}
			if schedule, err := cron.ParseStandard(t.Cron); err == nil {
				i := len(f.crons)
				f.crons = append(f.crons, nil)
				s.scheduleCron(f, i, t.Cron, schedule)
			}
		}
	}
}

// scheduleCron has a cron fire at its next time and from then on. Its jitter
// is accepted and not applied.
func (s *Server) scheduleCron(f *function, i int, text string, schedule cron.Schedule) {
	at := schedule.Next(s.opts.Clock.Now())
	if at.IsZero() {
		return
	}
	f.crons[i] = s.at(at, func() {
		stamp := at.UTC().Format(time.RFC3339)
		ev := &event{ // as in recording 71
			internal: s.newID(), id: stamp, name: inngest.EventScheduledTimer, ts: at.UnixMilli(), received: at,
			data: map[string]any{"cron": text, "fireAt": stamp, "scheduledAt": stamp},
		}
		s.st.events = append(s.st.events, ev)
		s.trigger(f, ev)
		s.scheduleCron(f, i, text, schedule)
	})
}

// stopCrons takes an app's crons off the queue.
func (s *Server) stopCrons(a *app) {
	for _, f := range a.functions {
		for _, t := range f.crons {
			s.queue.stop(t)
		}
		f.crons = nil
	}
}
