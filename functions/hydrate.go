package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// HydratorOptions configures a Hydrator. All but the metrics and the log are as
// in Options.
type HydratorOptions struct {
	App         string
	API         api
	APITimeout  time.Duration
	APIAttempts int
	APIBackoff  time.Duration
	Metrics     *metrics.Functions
	Log         *slog.Logger
}

// A Hydrator puts into calls what they were too large to carry (use_api): the
// events and the steps of their runs. A host does so for its own functions; for
// an app whose SDK does not, the gateway can.
type Hydrator struct {
	asker
	metrics *metrics.Functions
	log     *slog.Logger
}

// NewHydrator builds a hydrator.
func NewHydrator(o HydratorOptions) (*Hydrator, error) {
	switch {
	case o.App == "":
		return nil, errors.New("hydrator: App is missing")
	case o.API == nil:
		return nil, errors.New("hydrator: API is missing")
	case o.APITimeout <= 0 || o.APIAttempts <= 0 || o.APIBackoff < 0:
		return nil, fmt.Errorf("hydrator: %d attempts of %v with %v between them are none", o.APIAttempts, o.APITimeout, o.APIBackoff)
	case o.Metrics == nil || o.Log == nil:
		return nil, errors.New("hydrator: Metrics or Log is missing")
	}
	return &Hydrator{asker{o.App, o.API, o.APITimeout, o.APIAttempts, o.APIBackoff}, o.Metrics, o.Log}, nil
}

// Hydrate returns a call with its state, as canonical JSON: it has to be signed
// anew. A call that carries its state comes back as it is.
func (h *Hydrator) Hydrate(ctx context.Context, body []byte) ([]byte, error) {
	r, err := parseCall(body)
	if err != nil || !r.UseAPI {
		return body, err
	}
	if err := h.hydrate(ctx, r); err != nil {
		return nil, err
	}
	var call, inner map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(body, &call), json.Unmarshal(call["ctx"], &inner)); err != nil {
		return nil, fmt.Errorf("the call cannot be read: %w", err)
	}
	no := json.RawMessage("false")
	inner["use_api"], call["use_api"] = no, no
	call["event"], call["events"] = r.Event, r.Events
	if call["ctx"], err = encode(inner); err != nil {
		return nil, err
	}
	if call["steps"], err = encode(r.Steps); err != nil {
		return nil, err
	}
	text, err := encode(call)
	if err != nil {
		return nil, err
	}
	return signature.Canonical(text)
}

// hydrate fetches the events and the steps of a call, both at once.
func (h *Hydrator) hydrate(ctx context.Context, r *callRequest) error {
	err := h.fetchState(ctx, r)
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	h.metrics.Hydrations.WithLabelValues(h.app, outcome).Inc()
	return err
}

func (h *Hydrator) fetchState(ctx context.Context, r *callRequest) error {
	if h.api == nil {
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
	r.Event, r.Events = events[0], joined(events)
	r.Steps = finished(steps, r.Ctx.Stack.Stack)
	return nil
}

// fetch reads one part of a run's state.
func (h *Hydrator) fetch(ctx context.Context, runID, part string, into any) error {
	path := "/v0/runs/" + url.PathEscape(runID) + "/" + part
	status, answer, err := h.ask(ctx, http.MethodGet, path, nil)
	switch {
	case err != nil:
		// The cause may name hosts, and the message is for everybody.
		h.log.Warn("state of a run not read", "app", h.app, "run", runID, "part", part, "err", err)
		return fmt.Errorf("the run's state could not be read: Inngest's API did not answer %s", path)
	case status != http.StatusOK:
		return fmt.Errorf("the run's state could not be read from Inngest's API: %s answered %d", path, status)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the run's state could not be read from Inngest's API: the answer of %s is no JSON of it: %w", path, err)
	}
	return nil
}

// joined makes a list of what is JSON already.
func joined(list []json.RawMessage) json.RawMessage {
	parts := make([][]byte, len(list))
	for i, part := range list {
		parts[i] = part
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]"))
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
