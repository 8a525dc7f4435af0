package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// contenderEvents are the events that start each contender's function.
func contenderEvents() map[string]string {
	return map[string]string{
		"hosted": "bench/hosted.checkpoints", "sdk": "bench/sdk.checkpoints",
		"hosted-plain": "bench/hosted", "sdk-plain": "bench/sdk",
	}
}

func names() []string {
	return []string{"sdk", "hosted", "sdk-plain", "hosted-plain"}
}

// A turn is what one slice of time gave.
type turn struct {
	perSecond   float64 // runs
	ms          float64 // median of a run, from its event to its end
	calls       float64 // a run
	checkpoints float64 // a run

	// Processor time, µs per run.
	gateway, app, backend, server float64
}

func (t turn) all() float64 { return t.gateway + t.app + t.backend }

// An arena is all that runs.
type arena struct {
	server  *devserver.Server
	backend *rig.Process
	app     *rig.Process
	gateway *rig.Gateway
	stop    func() error
}

// measure gives all contenders their turns: one that does not count, then the
// cycles, every second one in reverse order.
func measure(ctx context.Context, s settings, dir string) (r *report, err error) {
	if s.gateway == "" {
		if s.gateway, err = rig.BuildGateway(ctx, dir); err != nil {
			return nil, err
		}
	}
	a, err := open(ctx, s, dir)
	defer func() { err = errors.Join(err, a.close()) }()
	if err != nil {
		return nil, err
	}
	turns := map[string][]turn{}
	order := slices.Clone(s.contenders)
	for cycle := -1; cycle < s.cycles; cycle++ {
		for _, name := range order {
			t, err := a.compete(ctx, s, contenderEvents()[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, a.gateway.Output())
			}
			if cycle >= 0 {
				turns[name] = append(turns[name], t)
			}
		}
		slices.Reverse(order)
	}
	return newReport(s, turns), nil
}

// open starts everything and has the server learn the functions.
func open(ctx context.Context, s settings, dir string) (*arena, error) {
	a := &arena{stop: func() error { return nil }}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return a, err
	}
	key := "signkey-bench-" + hex.EncodeToString(secret[:])
	server, err := a.serve(ctx, key)
	if err != nil {
		return a, err
	}
	if a.backend, err = rig.StartRole("backend", "127.0.0.1:0"); err != nil {
		return a, err
	}
	backend, err := a.backend.Address(ctx)
	if err != nil {
		return a, err
	}
	free, err := rig.FreeAddresses(1)
	if err != nil {
		return a, err
	}
	a.gateway, err = rig.StartGateway(ctx, rig.GatewayOptions{
		Binary: s.gateway, File: filepath.Join(dir, "gateway.yaml"), App: free[0], Server: server, Path: sdkPath(false),
		Key: key, More: hosted(backend, free[0]),
	})
	if err != nil {
		return a, err
	}
	if a.app, err = rig.StartRole("sdk", free[0], a.gateway.Apps, backend, key); err != nil {
		return a, err
	}
	if _, err := a.app.Address(ctx); err != nil {
		return a, err
	}
	for _, path := range []string{sdkPath(false), sdkPath(true), "/api/hosted", "/api/hosted-checkpoints"} {
		if err := a.server.Sync(ctx, "http://"+a.gateway.Inngest+path, true); err != nil {
			return a, fmt.Errorf("sync %s: %w", path, err)
		}
	}
	return a, nil
}

// serve runs the Inngest server in this process.
func (a *arena) serve(ctx context.Context, key string) (address string, err error) {
	a.server, err = devserver.New(devserver.Options{SigningKey: key, EventKeys: []string{rig.EventKey}, Keep: 1000})
	if err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	server := &http.Server{Handler: a.server.Handler(), ReadHeaderTimeout: 30 * time.Second}
	var wg sync.WaitGroup
	var served, ran error
	wg.Go(func() { served = server.Serve(ln) })
	wg.Go(func() { ran = a.server.Run(ctx) })
	a.stop = func() error {
		cancel()
		err := server.Close()
		wg.Wait()
		if errors.Is(served, http.ErrServerClosed) {
			served = nil
		}
		return errors.Join(err, served, ran)
	}
	return ln.Addr().String(), nil
}

// cpu is the processor time that each has used.
type cpu struct{ gateway, app, backend, server time.Duration }

func (a *arena) cpu() (c cpu, err error) {
	for at, p := range map[*time.Duration]*rig.Process{&c.gateway: a.gateway.Process, &c.app: a.app, &c.backend: a.backend} {
		if *at, err = p.CPU(); err != nil {
			return c, err
		}
	}
	c.server, err = rig.OwnCPU()
	return c, err
}

// settle is the time for what a slice left behind.
const settle = 20 * time.Millisecond

// compete has runs of one function for a slice of time.
func (a *arena) compete(ctx context.Context, s settings, event string) (t turn, err error) {
	before, err := a.cpu()
	if err != nil {
		return t, err
	}
	start := time.Now()
	all := make([][]devserver.Run, s.runs)
	failures := make([]error, s.runs)
	var wg sync.WaitGroup
	for i := range s.runs {
		wg.Go(func() { all[i], failures[i] = a.work(ctx, event, start.Add(s.slice)) })
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(failures...); err != nil {
		return t, err
	}
	<-time.After(settle)
	after, err := a.cpu()
	if err != nil {
		return t, err
	}
	runs := slices.Concat(all...)
	n := float64(len(runs))
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / n }
	t = turn{
		perSecond: n / took.Seconds(),
		gateway:   each(after.gateway - before.gateway), app: each(after.app - before.app),
		backend: each(after.backend - before.backend), server: each(after.server - before.server),
	}
	var ms []float64
	for _, r := range runs {
		ms = append(ms, float64(r.Ended.Sub(r.Created).Microseconds())/1e3)
		for _, c := range r.Calls {
			switch {
			case c.Status > 0:
				t.calls++
			case c.Checkpoint:
				t.checkpoints++
			}
		}
	}
	t.calls, t.checkpoints = t.calls/n, t.checkpoints/n
	slices.Sort(ms)
	t.ms = ms[len(ms)/2]
	return t, nil
}

// work has one run after the other, one at least.
func (a *arena) work(ctx context.Context, event string, until time.Time) (runs []devserver.Run, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for first := true; first || time.Now().Before(until); first = false {
		order := fmt.Sprint("o-", time.Now().UnixNano())
		id, err := a.server.SendEvent(ctx, event, map[string]any{"order": order})
		if err != nil {
			return nil, err
		}
		ended, err := a.server.WaitRunsOf(ctx, id)
		if err != nil {
			return nil, err
		}
		var got message
		if len(ended) != 1 || json.Unmarshal(ended[0].Output, &got) != nil || got != (message{order, steps}) {
			return nil, fmt.Errorf("%d runs, want one that returns order %s and %d: %+v", len(ended), order, steps, ended)
		}
		runs = append(runs, ended[0])
	}
	return runs, nil
}

func (a *arena) close() error {
	const limit = 20 * time.Second
	var errs []error
	if a.gateway != nil {
		errs = append(errs, a.gateway.Stop(limit))
	}
	for _, p := range []*rig.Process{a.app, a.backend} {
		if p != nil {
			errs = append(errs, p.Stop(limit))
		}
	}
	return errors.Join(append(errs, a.stop())...)
}
