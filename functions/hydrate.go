package functions

import (
	"bytes"
	"cmp"
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

	"github.com/inngest-gateway/inngest-gateway/budget"
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
	MaxState    int
	Budget      *budget.Budget
	Metrics     *metrics.Functions
	Log         *slog.Logger
}

// A Hydrator puts into calls what they were too large to carry (use_api): the
// events and the steps of their runs. A host does so for its own functions; for
// an app whose SDK does not, the gateway can.
type Hydrator struct {
	asker
	most    int // bytes of a run's state
	budget  *budget.Budget
	metrics *metrics.Functions
	log     *slog.Logger
}

var errNoMemory = fmt.Errorf("the run's state could not be read: there is no memory for it (limits.memory): %w", budget.ErrExhausted)

// NewHydrator builds a hydrator.
func NewHydrator(o HydratorOptions) (*Hydrator, error) {
	switch {
	case o.App == "":
		return nil, errors.New("hydrator: App is missing")
	case o.API == nil:
		return nil, errors.New("hydrator: API is missing")
	case o.APITimeout <= 0 || o.APIAttempts <= 0 || o.APIBackoff < 0:
		return nil, fmt.Errorf("hydrator: %d attempts of %v with %v between them are none", o.APIAttempts, o.APITimeout, o.APIBackoff)
	case o.MaxState <= 0:
		return nil, fmt.Errorf("hydrator: MaxState is %d, must be above 0", o.MaxState)
	case o.Budget == nil || o.Metrics == nil || o.Log == nil:
		return nil, errors.New("hydrator: Budget, Metrics or Log is missing")
	}
	return newHydrator(o), nil
}

func newHydrator(o HydratorOptions) *Hydrator {
	return &Hydrator{
		asker: asker{o.App, o.API, o.APITimeout, o.APIAttempts, o.APIBackoff},
		most:  o.MaxState, budget: o.Budget, metrics: o.Metrics, log: o.Log,
	}
}

// Hydrate writes a call with its state, as canonical JSON: it has to be signed
// anew. Of a call that carries its state nothing is written. An error that wraps
// [budget.ErrTooLarge] or [budget.ErrExhausted] says that there was no room for
// the state.
func (h *Hydrator) Hydrate(ctx context.Context, body []byte, into *budget.Buffer) error {
	r, err := parseCall(body)
	if err != nil || !r.UseAPI {
		return err
	}
	state, err := h.hydrate(ctx, r)
	if err != nil {
		return err
	}
	defer h.budget.Release(state)
	work := 2 * (int64(len(body)) + state) // as it is spliced, and in order
	if h.budget.Acquire(ctx, work) != nil {
		return errNoMemory
	}
	defer h.budget.Release(work)
	whole, err := splice(body, r)
	if err != nil {
		return err
	}
	return into.Write(ctx, whole)
}

// splice puts the events and the steps of r into its call.
func splice(body []byte, r *callRequest) ([]byte, error) {
	var call, inner map[string]json.RawMessage
	err := errors.Join(json.Unmarshal(body, &call), json.Unmarshal(call["ctx"], &inner))
	if err != nil {
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

// hydrate fetches the events and the steps of a call, both at once. What they
// take is charged to the budget: the caller gives it back.
func (h *Hydrator) hydrate(ctx context.Context, r *callRequest) (charged int64, err error) {
	charged, err = h.fetchState(ctx, r)
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	h.metrics.Hydrations.WithLabelValues(h.app, outcome).Inc()
	return charged, err
}

func (h *Hydrator) fetchState(ctx context.Context, r *callRequest) (int64, error) {
	if h.api == nil {
		return 0, errors.New("the call is too large to carry the run's state (use_api), and the gateway has no Inngest API to read it from")
	}
	var events []json.RawMessage
	var steps map[string]json.RawMessage
	var eventBytes, stepBytes int64
	var eventsErr, stepsErr error
	var both sync.WaitGroup
	both.Go(func() { eventBytes, eventsErr = h.fetch(ctx, r.Ctx.RunID, "batch", &events) })
	both.Go(func() { stepBytes, stepsErr = h.fetch(ctx, r.Ctx.RunID, "actions", &steps) })
	both.Wait()
	charged := eventBytes + stepBytes
	err := cmp.Or(eventsErr, stepsErr) // one is enough for people
	switch {
	case err != nil:
	case charged > int64(h.most):
		err = h.tooLarge()
	case len(events) == 0:
		err = errors.New("Inngest's API knows no event of the run")
	}
	if err != nil {
		h.budget.Release(charged)
		return 0, err
	}
	r.Event, r.Events = events[0], joined(events)
	r.Steps = finished(steps, r.Ctx.Stack.Stack)
	return charged, nil
}

func (h *Hydrator) tooLarge() error {
	return fmt.Errorf("the run's state could not be read: it has more than %d bytes (limits.body): %w", h.most, budget.ErrTooLarge)
}

// fetch reads one part of a run's state. What it returns is charged to the
// budget.
func (h *Hydrator) fetch(ctx context.Context, runID, part string, into any) (charged int64, err error) {
	path := "/v0/runs/" + url.PathEscape(runID) + "/" + part
	text := h.budget.Request(h.most)
	defer text.Free()
	status, err := h.read(ctx, path, &text)
	switch {
	case errors.Is(err, budget.ErrTooLarge):
		return 0, h.tooLarge()
	case errors.Is(err, budget.ErrExhausted):
		return 0, errNoMemory
	case err != nil:
		// The cause may name hosts, and the message is for everybody.
		h.log.Warn("state of a run not read", "app", h.app, "run", runID, "part", part, "err", err)
		return 0, fmt.Errorf("the run's state could not be read: Inngest's API did not answer %s", path)
	case status != http.StatusOK:
		return 0, fmt.Errorf("the run's state could not be read from Inngest's API: %s answered %d", path, status)
	}
	charged = int64(text.Len())
	if h.budget.Acquire(ctx, charged) != nil {
		return 0, errNoMemory
	}
	if err := json.Unmarshal(text.Bytes(), into); err != nil {
		h.budget.Release(charged)
		return 0, fmt.Errorf("the run's state could not be read from Inngest's API: the answer of %s is no JSON of it: %w", path, err)
	}
	return charged, nil
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
