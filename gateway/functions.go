package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/functions/spec"
	"github.com/inngest-gateway/inngest-gateway/gateway/inbound"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Times of hosted functions that are nobody's to choose.
const (
	apiTimeout  = 10 * time.Second       // of a checkpoint, and of a read of state
	apiAttempts = 5                      // for a checkpoint, as SDKs
	apiBackoff  = 100 * time.Millisecond // before the second
)

// A hosted is a function app: the gateway in the place of an app with an SDK.
type hosted struct {
	config.FunctionApp
	in       *environment
	host     *functions.Host
	backends map[string]*backend // by origin
	build    func(spec.Function) ([]functions.Function, error)
	looked   chan struct{} // closed when backends were asked for functions for the first time

	mu        sync.Mutex
	published map[string][]spec.Function // by URL of Discover.URLs
	heard     map[string]heard           // by URL too
}

// newHosted builds the function apps. It comes after the event plane, which
// their functions send events through.
func (g *Gateway) newHosted() error {
	for _, a := range g.cfg.FunctionApps {
		h, err := g.newHostedApp(a)
		if err != nil {
			return fmt.Errorf("function app %s: %w", a.ID, err)
		}
		g.hosted = append(g.hosted, h)
	}
	return nil
}

func (g *Gateway) newHostedApp(a config.FunctionApp) (*hosted, error) {
	h := &hosted{FunctionApp: a, in: g.environments[a.Inngest], backends: map[string]*backend{}, published: map[string][]spec.Function{}, heard: map[string]heard{}, looked: make(chan struct{})}
	if h.in == nil {
		return nil, fmt.Errorf("no environment is called %q", a.Inngest)
	}
	h.build = func(f spec.Function) ([]functions.Function, error) { return g.drivers(h, f) }
	if err := g.newBackends(h); err != nil {
		return nil, err
	}
	g.readPublished(h)
	list, err := g.functionsOf(h)
	if err != nil {
		return nil, err
	}
	h.host, err = functions.New(functions.Options{
		App:         a.ID,
		Version:     g.version,
		Functions:   list,
		API:         h.in.client,
		APITimeout:  apiTimeout,
		APIAttempts: apiAttempts,
		APIBackoff:  apiBackoff,
		Yield:       a.Checkpoint.MaxRuntime,
		MaxAnswer:   int(g.cfg.Limits.Answer),
		MaxState:    int(g.cfg.Limits.Body),
		Budget:      g.budget,
		RetryAfter: func(attempt, most int) time.Duration {
			return inbound.RetryAfter(attempt, most, a.OutageBudget)
		},
		Inspection: inngest.Introspection{
			HasEventKey:           !h.in.EventKey.IsZero(),
			HasSigningKey:         !h.in.SigningKey.IsZero(),
			HasSigningKeyFallback: !h.in.SigningKeyFallback.IsZero(),
		},
		Metrics: g.metrics.Functions,
		Log:     g.log,
		Now:     g.now,
	})
	return h, err
}

// functionsOf returns all functions of an app, those of the file first. What a
// backend publishes under an id that is taken, or that cannot be served, is told
// of and left out: it keeps nobody else from being served.
func (g *Gateway) functionsOf(h *hosted) (list []functions.Function, err error) {
	taken := map[string]string{}
	for _, f := range g.cfg.FunctionsOf(h.ID) {
		parts, err := h.build(f)
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			taken[part.Config.ID] = "the configuration"
		}
		list = append(list, parts...)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, base := range h.Discover.URLs {
		for _, f := range h.published[base] {
			parts, err := h.build(f)
			for _, part := range parts {
				if other, ok := taken[part.Config.ID]; ok && err == nil {
					err = fmt.Errorf("%s has a function of the id %s", other, part.Config.ID)
				}
			}
			if err != nil {
				g.log.Error("a published function is left out", "app", h.ID, "function", f.ID, "backend", base, "err", err)
				continue
			}
			for _, part := range parts {
				taken[part.Config.ID] = base
			}
			list = append(list, parts...)
		}
	}
	return list, nil
}

// drivers returns what is registered for a function, each with what makes it go.
func (g *Gateway) drivers(h *hosted, f spec.Function) ([]functions.Function, error) {
	configs := f.Register(h.ID, "")
	var list []functions.Function
	for i, part := range f.Parts(h.ID) {
		one := functions.Function{
			Config:     configs[i],
			Kind:       string(part.Body.Kind()),
			Backends:   part.Body.Origins(),
			Checkpoint: h.Checkpoint.Enabled,
		}
		var err error
		switch b := part.Body; {
		case b.Endpoint != nil:
			var to functions.Backend
			if to, err = g.backend(h, b.Endpoint); err == nil {
				one.Driver, err = functions.NewEndpoint(to)
			}
		case b.Conversation != nil:
			var to functions.Backend
			if to, err = g.backend(h, b.Conversation); err == nil {
				one.Driver, err = functions.NewConversation(functions.ConversationOptions{Backend: to, Send: g.sendFor(h.in)})
			}
		default:
			one.Driver, err = b.Steps.Driver(program.Options{
				Call: func(ctx context.Context, origin string, c *call.Call) (*call.Answer, error) {
					return h.backends[origin].Do(ctx, c)
				},
				Send:    g.sendFor(h.in),
				Sign:    g.signFor(h),
				Timeout: h.Backends.AnswerTimeout,
				Limits:  program.Limits{Steps: h.Limits.Steps, Moves: h.Limits.Statements, Bytes: int(h.Limits.Value)},
				Now:     g.now,
			})
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.ID, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// backend is where an endpoint or a conversation is, and how it is asked.
func (g *Gateway) backend(h *hosted, b *spec.Backend) (functions.Backend, error) {
	origin, target, err := originOf(b.URL)
	if err != nil {
		return functions.Backend{}, err
	}
	to := functions.Backend{
		App:     h.ID,
		Callee:  h.backends[origin],
		Target:  target,
		Timeout: h.Backends.AnswerTimeout,
		Sign:    g.signFor(h),
		Now:     g.now,
	}
	if b.Timeout > 0 {
		to.Timeout = b.Timeout
	}
	for _, header := range b.Headers {
		to.Header = append(to.Header, functions.Header(header))
	}
	return to, nil
}

// signFor returns what signs requests to the backends of an app; nil: nothing.
func (g *Gateway) signFor(h *hosted) func([]byte) []byte {
	if h.Backends.SigningKey.IsZero() {
		return nil
	}
	key, err := signature.ParseKey(h.Backends.SigningKey.Reveal())
	if err != nil {
		return nil // the configuration was checked
	}
	return func(body []byte) []byte { return signature.AppendSign(nil, key, body, g.now()) }
}
