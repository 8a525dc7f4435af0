package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Run is a run as the Go API and /dev/runs tell it.
type Run struct {
	ID       string                     `json:"id"`
	Function string                     `json:"function"`
	App      string                     `json:"app"`
	Status   Status                     `json:"status"`
	EventIDs []string                   `json:"eventIds"`
	Events   []json.RawMessage          `json:"events"`
	Created  time.Time                  `json:"created"`
	Began    time.Time                  `json:"began"`
	Ended    time.Time                  `json:"ended"`
	Output   json.RawMessage            `json:"output"` // null until the end
	Error    json.RawMessage            `json:"error,omitempty"`
	Steps    map[string]json.RawMessage `json:"steps"`
	Stack    []string                   `json:"stack"`
	Calls    []Call                     `json:"calls"`
}

// An App is an app as the Go API and /dev/apps tell it.
type App struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	URL       string     `json:"url"`
	SDK       string     `json:"sdk"`
	Framework string     `json:"framework"`
	SyncKind  string     `json:"syncKind"` // register or in_band
	Synced    time.Time  `json:"synced"`
	Functions []Function `json:"functions"`
}

// A Function is a registered function.
type Function struct {
	ID       string   `json:"id"`
	Slug     string   `json:"slug"`
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	Retries  int      `json:"retries"`
	Triggers []string `json:"triggers"`
}

// ErrUnknownRun is what WaitRun says of an id that no run has.
var ErrUnknownRun = errors.New("devserver: no such run")

// SendEvent sends an event as POST /e would and returns its id.
func (s *Server) SendEvent(_ context.Context, name string, data any) (string, error) {
	raw, err := json.Marshal(map[string]any{"name": name, "data": data})
	if err != nil {
		return "", fmt.Errorf("devserver: event %s: %w", name, err)
	}
	ev, err := s.parseEvent(raw)
	if err != nil {
		return "", fmt.Errorf("devserver: event %s: %w", name, err)
	}
	return s.accept(ev), nil
}

// Apps lists the registered apps by name.
func (s *Server) Apps() []App {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []App{}
	for _, a := range s.st.apps {
		one := App{ID: a.id, Name: a.name, URL: a.url, SDK: a.sdk, Framework: a.framework, SyncKind: a.kind, Synced: a.synced, Functions: []Function{}}
		for _, f := range a.functions {
			fn := Function{ID: f.id, Slug: f.slug, Name: f.name, URL: f.url, Retries: f.retries}
			for _, t := range f.config.Triggers {
				fn.Triggers = append(fn.Triggers, t.Event+t.Cron)
			}
			one.Functions = append(one.Functions, fn)
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Runs lists all runs, oldest first.
func (s *Server) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Run, len(s.st.order))
	for i, r := range s.st.order {
		out[i] = r.view()
	}
	return out
}

// FindRun returns one run.
func (s *Server) FindRun(id string) (Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.st.runs[id]
	if r == nil {
		return Run{}, false
	}
	return r.view(), true
}

// WaitRun waits until a run has ended.
func (s *Server) WaitRun(ctx context.Context, id string) (Run, error) {
	s.mu.Lock()
	r := s.st.runs[id]
	s.mu.Unlock()
	if r == nil {
		return Run{}, fmt.Errorf("%w: %s", ErrUnknownRun, id)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return Run{}, fmt.Errorf("devserver: wait for run %s: %w", id, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.view(), nil
}

// WaitRunsOf waits until an event, named by the id that its sender was told,
// has started at least one run and all of them have ended.
func (s *Server) WaitRunsOf(ctx context.Context, eventID string) ([]Run, error) {
	var out []Run
	err := s.wait(ctx, func() bool {
		out = nil
		for _, r := range s.st.byID[eventID] {
			if !r.status.Ended() {
				return false
			}
			out = append(out, r.view())
		}
		return len(out) > 0
	})
	if err != nil {
		return nil, fmt.Errorf("devserver: wait for runs of event %s: %w", eventID, err)
	}
	return out, nil
}

// WaitFor waits until a condition on the apps and runs holds.
func (s *Server) WaitFor(ctx context.Context, holds func([]App, []Run) bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds(s.Apps(), s.Runs()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait waits until a condition holds, which is asked with the lock held.
func (s *Server) wait(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		ok := holds()
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// view copies a run for the outside. The caller holds the lock.
func (r *run) view() Run {
	v := Run{
		ID: r.id, Function: r.fn.slug, App: r.fn.app.name, Status: r.status, Created: r.created, Began: r.began, Ended: r.ended,
		Output: orNull(r.output), Error: r.failure, Steps: r.memo(), Stack: slices.Clone(r.stack), Calls: slices.Clone(r.calls),
	}
	for _, e := range r.events {
		v.EventIDs = append(v.EventIDs, e.internal)
		v.Events = append(v.Events, marshal(e.inCall()))
	}
	return v
}

// logCall adds a line to a run's timeline.
func (s *Server) logCall(r *run, c Call) {
	r.calls = append(r.calls, c)
	s.log.Debug("call", "run", r.id, "function", r.fn.slug, "step", c.Step, "op", c.Op, "attempt", c.Attempt,
		"status", c.Status, "ms", c.Ms, "err", c.Error)
}

// tell hands a line to the observer.
func (s *Server) tell(j *job, op string, o *inngest.GeneratorOp, took time.Duration, failure string) {
	e := StepEvent{
		At: s.opts.Clock.Now(), Run: j.run.id, Function: j.run.fn.slug, App: j.run.fn.app.name, Op: op,
		Attempt: j.attempt, Duration: took, Error: failure, StepID: j.step, Step: j.stepName,
	}
	if o != nil {
		e.Step, e.StepID = titleOf(o), o.ID
	}
	s.watch.tell(e)
}
