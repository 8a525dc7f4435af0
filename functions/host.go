package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Host is an app that the gateway itself serves: what Inngest asks of it goes
// to Do, as it goes to the upstream of an app with an SDK.
type Host struct {
	opts  Options
	sdk   string
	state *Hydrator
	set   atomic.Pointer[set]

	mu     sync.Mutex
	calls  int           // in Do
	idle   chan struct{} // closed when calls is 0 while Run waits for that
	leaves atomic.Bool   // calls hand back after the step that they are at
}

// A set is the functions of a time. A call reads it once and keeps it.
type set struct {
	list []*hosted
	byID map[string]*hosted
}

// hosted is a Function with what is known of it.
type hosted struct {
	Function
	stats *stats
}

// New builds a host. It starts nothing.
func New(o Options) (*Host, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Host{opts: o, sdk: "gateway:v" + strings.TrimPrefix(o.Version, "v")}
	h.state = newHydrator(HydratorOptions{
		App: o.App, API: o.API, APITimeout: o.APITimeout, APIAttempts: o.APIAttempts, APIBackoff: o.APIBackoff,
		MaxState: o.MaxState, Budget: o.Budget, Metrics: o.Metrics, Log: o.Log,
	})
	h.set.Store(&set{})
	if _, err := h.Swap(o.Functions); err != nil {
		return nil, err
	}
	return h, nil
}

// Swap puts other functions in the place of those that the host has. Calls that
// have begun end with what they began with. It tells whether Inngest has to
// hear of it: the registrations differ.
func (h *Host) Swap(functions []Function) (changed bool, err error) {
	next := &set{byID: make(map[string]*hosted, len(functions))}
	old := h.set.Load()
	for _, f := range functions {
		if err := f.check(); err != nil {
			return false, fmt.Errorf("functions: app %s: %w", h.opts.App, err)
		}
		if next.byID[f.Config.ID] != nil {
			return false, fmt.Errorf("functions: app %s: two functions have the id %s", h.opts.App, f.Config.ID)
		}
		g := &hosted{Function: f, stats: &stats{}}
		if before := old.byID[f.Config.ID]; before != nil {
			g.stats = before.stats
		}
		next.list = append(next.list, g)
		next.byID[f.Config.ID] = g
	}
	before, err := old.register("")
	if err != nil {
		return false, err
	}
	after, err := next.register("")
	if err != nil {
		return false, fmt.Errorf("functions: app %s: %w", h.opts.App, err)
	}
	h.set.Store(next)
	return !inngest.SameFunctions(before, after), nil
}

// register returns the functions as a registration lists them.
func (s *set) register(base string) ([]json.RawMessage, error) {
	list := make([]json.RawMessage, len(s.list))
	for i, f := range s.list {
		config := f.Config
		step := config.Steps[inngest.TargetAny]
		step.ID = inngest.TargetAny
		if step.Name == "" {
			step.Name = inngest.TargetAny
		}
		step.Runtime = inngest.Runtime{Type: "http", URL: callURL(base, config.ID)}
		config.Steps = map[string]inngest.Step{inngest.TargetAny: step}
		text, err := json.Marshal(config)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", config.ID, err)
		}
		list[i] = text
	}
	return list, nil
}

// callURL is where a function is called: the app's URL with the function in
// its query.
func callURL(base, id string) string {
	u, err := url.Parse(base)
	if err != nil {
		u = &url.URL{}
	}
	query := "fnId=" + url.QueryEscape(id) + "&stepId=" + inngest.TargetAny
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String()
}

// Run waits for the end of ctx. Then calls hand back to Inngest after the step
// that they are at, and Run returns when none is left.
func (h *Host) Run(ctx context.Context) error {
	<-ctx.Done()
	h.leaves.Store(true)
	h.mu.Lock()
	if h.calls == 0 {
		h.mu.Unlock()
		return nil
	}
	h.idle = make(chan struct{})
	idle := h.idle
	h.mu.Unlock()
	<-idle
	return nil
}

func (h *Host) enter() {
	h.mu.Lock()
	h.calls++
	h.mu.Unlock()
	h.opts.Metrics.InFlight.WithLabelValues(h.opts.App).Inc()
}

func (h *Host) leave() {
	h.opts.Metrics.InFlight.WithLabelValues(h.opts.App).Dec()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls--
	if h.calls == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// Do answers one request of Inngest. An error means that ctx ended before there
// was an answer.
func (h *Host) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	h.enter()
	defer h.leave()
	_, rawQuery, _ := bytes.Cut(c.Target, []byte("?"))
	query, err := url.ParseQuery(string(rawQuery))
	if err != nil {
		return h.refuse(http.StatusBadRequest, inngest.CodeFunctionInvalid, "The query cannot be read."), nil
	}
	switch {
	case c.Method == http.MethodPut:
		return h.sync(c), nil
	case c.Method == http.MethodGet:
		return h.introspect(), nil
	case c.Method != http.MethodPost:
		return h.refuse(http.StatusMethodNotAllowed, inngest.CodeFunctionInvalid, "The app takes GET, POST and PUT only."), nil
	case query.Has("probe"):
		return h.probe(query.Get("probe")), nil
	}
	return h.call(ctx, c, query)
}

// call answers a call request.
func (h *Host) call(ctx context.Context, c *call.Call, query url.Values) (*call.Answer, error) {
	id := query.Get("fnId")
	f := h.set.Load().byID[id]
	if f == nil {
		h.opts.Log.Warn("call of an unknown function", "app", h.opts.App, "function", id)
		return h.refuse(http.StatusInternalServerError, inngest.CodeFunctionConfiguration,
			fmt.Sprintf("The gateway has no function %q: it was renamed or removed, or the app was not synced since.", id)), nil
	}
	x := &exchange{host: h, function: f, began: h.opts.Now(), gone: c.Gone, step: query.Get("stepId")}
	answer, err := x.answer(ctx, c)
	f.stats.count(x, answer, h.opts.Now())
	return answer, err
}

// Status is what is known of a host.
type Status struct {
	App       string           `json:"app"`
	Calls     int              `json:"in_flight_calls"` // being answered
	Leaving   bool             `json:"leaving"`         // the context of Run has ended
	Functions []FunctionStatus `json:"functions"`
}

// A FunctionStatus is what is known of a function.
type FunctionStatus struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Triggers   []inngest.Trigger `json:"triggers"`
	Backends   []string          `json:"backends"`
	Checkpoint bool              `json:"checkpoint"`
	Calls      int64             `json:"calls"`                // answered since the gateway started
	Failures   int64             `json:"failures"`             // of them: the function or a step failed
	LastCall   time.Time         `json:"last_call,omitzero"`   // when the last one was answered; zero: none
	LastError  string            `json:"last_error,omitempty"` // name of the last failure
	LastFailed time.Time         `json:"last_failed,omitzero"`
}

// Status tells what the host serves.
func (h *Host) Status() Status {
	h.mu.Lock()
	s := Status{App: h.opts.App, Calls: h.calls, Leaving: h.leaves.Load()}
	h.mu.Unlock()
	for _, f := range h.set.Load().list {
		s.Functions = append(s.Functions, f.status())
	}
	return s
}
