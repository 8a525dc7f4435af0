package gateway

import (
	"context"
	"path/filepath"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// shedTime is how long answers to parked calls may take at the end of a drain.
const shedTime = time.Second

// A waited is an app whose calls may have to wait.
type waited struct {
	app    string
	names  admission.Names // of its settings
	callee interface {
		Do(context.Context, *call.Call) (*call.Answer, error)
	}
	health      *pool.Upstream // nil: the callee is always there
	wait        config.Wait
	concurrency config.Concurrency
	guard       config.Guard
	tolerance   time.Duration // how long the app believes the caller's own signature; 0: it sees none
	kept        bool          // pauses and what was learnt, over a restart
}

// newAppRoom is newRoom for an app as a whole, which people can pause.
func (g *Gateway) newAppRoom(w waited) (*admission.Room, error) {
	w.kept = true
	room, err := g.newRoom(w)
	if err == nil {
		g.rooms[w.app] = room
	}
	return room, err
}

// newRoom puts a waiting room before an app, or a backend of one.
func (g *Gateway) newRoom(w waited) (*admission.Room, error) {
	o := admission.Options{
		App:    w.app,
		Names:  w.names,
		Callee: w.callee,
		Wait: admission.Wait{
			Auto:     w.wait.Max.Auto,
			Max:      w.wait.Max.For,
			MaxCalls: w.wait.MaxCalls,
			MaxBytes: w.wait.MaxBytes.Of(g.bodies()),
		},
		Lobby:       g.lobby,
		Concurrency: admission.Concurrency{Min: w.concurrency.Min, Max: w.concurrency.Max, Adaptive: w.concurrency.Adaptive},
		Guard: admission.Guard{
			Off:         !w.guard.Enabled,
			Replay:      w.guard.Replay,
			ReplayBytes: int64(w.guard.ReplayBytes),
			MaxAnswer:   int(g.cfg.Limits.Answer),
		},
		Tolerance: w.tolerance,
		Budget:    g.budget,
		Now:       g.now,
		Metrics:   g.metrics.Admission,
		Log:       g.log,
	}
	if w.health != nil {
		o.Health = w.health
	}
	if g.cfg.StateDir != "" && w.kept {
		o.Store = admission.NewFolder(filepath.Join(g.cfg.StateDir, "admission"), g.now).App(w.app)
	}
	return admission.New(o)
}

// roomOf puts a waiting room before an app with an SDK.
func (g *Gateway) roomOf(a config.App, u *pool.Upstream) (*admission.Room, error) {
	w := waited{
		app: appID(a), callee: u, health: u,
		names: admission.Names{Wait: "apps[].wait", Concurrency: "apps[].concurrency.max", Connections: "apps[].upstream.connections.max"},
		wait:  a.Wait, concurrency: a.Concurrency, guard: a.Guard,
	}
	if a.Signing == config.SigningPassthrough && !g.cfg.InsecureSkipVerify {
		w.tolerance = g.cfg.Environment(a).SignatureTolerance
	}
	return g.newAppRoom(w)
}

// hostedNames are what the settings of a function app's room are called.
func hostedNames(concurrency string) admission.Names {
	const connections = "function_apps[].backends.connections.max"
	return admission.Names{Wait: "function_apps[].wait", Concurrency: concurrency, Connections: connections}
}

// roomOfHosted puts one before functions that the gateway hosts.
func (g *Gateway) roomOfHosted(h *hosted) (*admission.Room, error) {
	return g.newAppRoom(waited{
		app: h.ID, callee: h.host, names: hostedNames("function_apps[].concurrency.max"),
		wait: h.Wait, concurrency: h.Concurrency, guard: h.Guard,
	})
}
