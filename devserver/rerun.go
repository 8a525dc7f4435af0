package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// ErrEnded is what Cancel says of a run that has ended.
var ErrEnded = errors.New("devserver: the run has ended")

// Cancel ends a run early.
func (s *Server) Cancel(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.st.runs[id]
	switch {
	case r == nil:
		return fmt.Errorf("%w: %s", ErrUnknownRun, id)
	case r.status.Ended():
		return fmt.Errorf("%w: %s", ErrEnded, id)
	}
	s.cancel(r, "by hand")
	return nil
}

// Rerun starts an ended run's function once more, from one of its steps, which
// gets other arguments: input is a JSON list. The steps that finished before
// are kept, and the call names the step and carries {"input": ...} for it
// (recordings 87 to 89). It returns the new run's id.
func (s *Server) Rerun(id, step string, input json.RawMessage) (string, error) {
	var list []any
	if err := json.Unmarshal(input, &list); err != nil {
		return "", fmt.Errorf("devserver: rerun %s: the input is no list: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.st.runs[id]
	if old == nil {
		return "", fmt.Errorf("%w: %s", ErrUnknownRun, id)
	}
	at := slices.Index(old.stack, step)
	if at < 0 {
		return "", fmt.Errorf("devserver: rerun %s: no step %s has finished in it", id, step)
	}
	r := s.newRun(old.fn, old.events, s.newID())
	for _, before := range old.stack[:at] {
		s.saveStep(r, before, old.steps[before])
	}
	r.inputs[step] = marshal(map[string]any{"input": list})
	r.durable = old.durable
	s.watchRun(r)
	s.enqueue("start", s.opts.Clock.Now(), &job{run: r, after: lastOf(r.stack), step: step})
	return r.id, nil
}
