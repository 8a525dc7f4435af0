package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// A contender is one way to the app.
type contender struct {
	name    string
	process *rig.Process // nil: there is nothing in between
	load    *load.Load

	turns     []turn
	latencies *hdrhistogram.Histogram
}

// A turn is what one slice of time gave.
type turn struct {
	calls      int64
	perSecond  float64
	p50        float64 // µs
	p99        float64 // µs
	cpuPerCall float64 // µs of the process in between
	bytes      int64   // of the answers' bodies
}

// arena is what runs in one case: the app and all contenders at once.
type arena struct {
	app        *rig.Process
	address    string       // of the app
	gateway    *rig.Gateway // the contender of that name
	contenders []*contender
	others     []*rig.Process // in between
}

// settle is the time for what a slice left behind: threads going to sleep, on
// whose switches the kernel's counters wait.
const settle = 10 * time.Millisecond

// compete gives the contender a slice of time and, if it counts, notes it.
func (a *arena) compete(ctx context.Context, c *contender, slice time.Duration, counts bool) error {
	arrived, err := a.arrived(ctx)
	if err != nil {
		return err
	}
	cpu, err := c.cpu()
	if err != nil {
		return err
	}
	result, err := c.load.Run(ctx, slice)
	if err != nil {
		return fmt.Errorf("%s: %w%s", c.name, err, c.lastWords())
	}
	time.Sleep(settle)
	cpuAfter, err := c.cpu()
	if err != nil {
		return err
	}
	arrivedAfter, err := a.arrived(ctx)
	if err != nil {
		return err
	}
	if arrivedAfter-arrived != result.Calls || result.Calls == 0 {
		return fmt.Errorf("%s: %d calls answered, %d arrived at the app", c.name, result.Calls, arrivedAfter-arrived)
	}
	if !counts {
		return nil
	}
	c.latencies.Merge(result.Latencies)
	c.turns = append(c.turns, turn{
		calls:      result.Calls,
		perSecond:  float64(result.Calls) / result.Took.Seconds(),
		p50:        float64(result.Latencies.ValueAtQuantile(50)) / 1e3,
		p99:        float64(result.Latencies.ValueAtQuantile(99)) / 1e3,
		cpuPerCall: float64((cpuAfter - cpu).Nanoseconds()) / 1e3 / float64(arrivedAfter-arrived),
		bytes:      result.Bytes,
	})
	return nil
}

func (c *contender) cpu() (time.Duration, error) {
	if c.process == nil {
		return 0, nil
	}
	return c.process.CPU()
}

func (c *contender) lastWords() string {
	if c.process == nil {
		return ""
	}
	return "\n" + c.process.Output()
}

func (a *arena) arrived(ctx context.Context) (int64, error) {
	text, err := rig.Get(ctx, "http://"+a.address+app.ArrivedPath)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// open starts the app and what is to be compared.
func open(ctx context.Context, s settings, form load.Form, keyText, dir string) (a *arena, err error) {
	a = &arena{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.app, err = rig.StartRole("app", "127.0.0.1:0"); err != nil {
		return a, err
	}
	if a.address, err = a.app.Address(ctx); err != nil {
		return a, err
	}
	for _, name := range s.contenders {
		c := &contender{name: name, latencies: load.NewHistogram()}
		address := ""
		if c.process, address, err = a.enter(ctx, s, name, keyText, dir); c.process != nil {
			a.others = append(a.others, c.process)
		}
		if err != nil {
			return a, err
		}
		form.Host = address
		c.load, err = load.New(load.Options{Address: address, Form: form, Callers: s.callers, Rate: s.rate, Limit: time.Minute})
		if err != nil {
			return a, err
		}
		a.contenders = append(a.contenders, c)
	}
	return a, nil
}

// enter starts what is in between for a contender and returns where it listens.
func (a *arena) enter(ctx context.Context, s settings, name, keyText, dir string) (*rig.Process, string, error) {
	switch name {
	case "direct":
		return nil, a.address, nil
	case "nginx":
		return startNginx(ctx, dir, a.address)
	case "reverseproxy":
		p, err := rig.StartRole("reverseproxy", "127.0.0.1:0", a.address)
		if err != nil {
			return nil, "", err
		}
		address, err := p.Address(ctx)
		return p, address, err
	case "gateway", "before":
		binary := s.gateway
		if name == "before" {
			binary = s.before
		}
		g, err := rig.StartGateway(ctx, rig.GatewayOptions{
			Binary: binary, File: filepath.Join(dir, name+".yaml"), App: a.address, Path: app.Path, Key: keyText,
		})
		if err != nil {
			return nil, "", err
		}
		if name == "gateway" {
			a.gateway = g
		}
		return g.Process, g.Inngest, nil
	}
	return nil, "", fmt.Errorf("unknown contender %q", name)
}

// close ends all processes of the arena.
func (a *arena) close() error {
	const limit = 10 * time.Second
	var errs []error
	for _, c := range a.contenders {
		c.load.Close()
	}
	for _, p := range a.others {
		errs = append(errs, p.Stop(limit))
	}
	if a.app != nil {
		errs = append(errs, a.app.Stop(limit))
	}
	return errors.Join(errs...)
}
