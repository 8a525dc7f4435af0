package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// A backend is a host that functions call, behind a room of its own: a step
// whose backend restarts waits there and burns no attempt. The call that the
// step belongs to is in the room of its app meanwhile, which never waits for this
// one: it is Inngest's call that has the place there.
type backend struct {
	upstream *pool.Upstream
	room     *admission.Room
}

// Do makes a call in its turn. The error is a [*pool.Error], as that of an
// upstream.
func (b *backend) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	a, err := b.room.Do(ctx, c)
	var turnedAway *admission.Error
	if errors.As(err, &turnedAway) {
		return nil, &pool.Error{Code: turnedAway.Code, Endpoint: turnedAway.Endpoint, Err: turnedAway}
	}
	return a, err
}

// newBackends makes a backend of each host that a function may call: those of the
// configuration, and those that publish functions, which may call themselves.
func (g *Gateway) newBackends(h *hosted) error {
	for _, f := range g.cfg.FunctionsOf(h.ID) {
		for _, origin := range f.Origins() {
			if err := g.newBackend(h, origin); err != nil {
				return err
			}
		}
	}
	for _, base := range h.Discover.URLs {
		origin, _, err := originOf(base)
		if err != nil {
			return err
		}
		if err := g.newBackend(h, origin); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) newBackend(h *hosted, origin string) error {
	if h.backends[origin] != nil {
		return nil
	}
	b := h.Backends
	u, err := g.newUpstream(config.App{ID: h.ID, Upstream: config.Upstream{
		Endpoints:     []string{origin},
		DialTimeout:   b.DialTimeout,
		AnswerTimeout: b.AnswerTimeout,
		Connections:   b.Connections,
		Breaker:       b.Breaker,
		Probe:         b.Probe,
		TLS:           b.TLS,
	}})
	if err != nil {
		return fmt.Errorf("backend %s: %w", origin, err)
	}
	room, err := g.newRoom(waited{
		app: h.ID + " " + origin, callee: u, health: u, wait: h.Wait, names: hostedNames("function_apps[].backends.connections.max"),
		concurrency: config.Concurrency{Min: b.Connections.Max, Max: b.Connections.Max},
	})
	if err != nil {
		return fmt.Errorf("backend %s: %w", origin, err)
	}
	h.backends[origin] = &backend{u, room}
	g.upstreams = append(g.upstreams, upstream{h.ID, u})
	return nil
}

// allRooms returns the rooms of apps and those of backends.
func (g *Gateway) allRooms() []*admission.Room {
	var list []*admission.Room
	for _, app := range slices.Sorted(maps.Keys(g.rooms)) {
		list = append(list, g.rooms[app])
	}
	for _, h := range g.hosted {
		for _, origin := range slices.Sorted(maps.Keys(h.backends)) {
			list = append(list, h.backends[origin].room)
		}
	}
	return list
}
