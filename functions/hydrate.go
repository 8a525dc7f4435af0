package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// hydrate fetches the events and the steps of a call that was too large to
// carry them, both at once.
func (h *Host) hydrate(ctx context.Context, r *callRequest) error {
	err := h.fetchState(ctx, r)
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	h.opts.Metrics.Hydrations.WithLabelValues(h.opts.App, outcome).Inc()
	return err
}

func (h *Host) fetchState(ctx context.Context, r *callRequest) error {
	if h.opts.API == nil {
		return errors.New("the call is too large to carry the run's state (use_api), and the gateway has no Inngest API to read it from")
	}
	var events []json.RawMessage
	var steps map[string]json.RawMessage
	var eventsErr, stepsErr error
	var both sync.WaitGroup
	both.Go(func() { eventsErr = h.fetch(ctx, r.Ctx.RunID, "batch", &events) })
	both.Go(func() { stepsErr = h.fetch(ctx, r.Ctx.RunID, "actions", &steps) })
	both.Wait()
	if err := errors.Join(eventsErr, stepsErr); err != nil {
		return err
	}
	if len(events) == 0 {
		return errors.New("Inngest's API knows no event of the run")
	}
	all, err := encode(events)
	if err != nil {
		return fmt.Errorf("the events of the run cannot be read: %w", err)
	}
	r.Event, r.Events = events[0], all
	r.Steps = finished(steps, r.Ctx.Stack.Stack)
	return nil
}

// fetch reads one part of a run's state.
func (h *Host) fetch(ctx context.Context, runID, part string, into any) error {
	path := "/v0/runs/" + url.PathEscape(runID) + "/" + part
	status, answer, err := h.ask(ctx, http.MethodGet, path, nil)
	switch {
	case err != nil:
		// The cause may name hosts, and the message is for everybody.
		h.opts.Log.Warn("state of a run not read", "app", h.opts.App, "run", runID, "part", part, "err", err)
		return fmt.Errorf("the run's state could not be read: Inngest's API did not answer %s", path)
	case status != http.StatusOK:
		return fmt.Errorf("the run's state could not be read from Inngest's API: %s answered %d", path, status)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the run's state could not be read from Inngest's API: the answer of %s is no JSON of it: %w", path, err)
	}
	return nil
}

// finished keeps the steps that the call means: those on its stack, and those
// that are to run with another input. Others have ended since the call was
// made, and the server will call again for them.
func finished(steps map[string]json.RawMessage, stack []string) map[string]json.RawMessage {
	kept := make(map[string]json.RawMessage, len(steps))
	for id, value := range steps {
		shape, _ := inngest.ParseStepValue(value)
		if shape == inngest.ShapeInput || slices.Contains(stack, id) {
			kept[id] = value
		}
	}
	return kept
}
