package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// direct is the contender without a gateway.
const direct = "direct"

// A contender is one way of events to the event API.
type contender struct {
	name    string
	gateway *rig.Gateway // nil: there is none
	load    *load.Load

	turns     []turn
	latencies *hdrhistogram.Histogram
}

// A turn is what one slice of time gave.
type turn struct {
	events  float64 // acknowledged, and arrived
	taken   float64 // acknowledged a second
	arrived float64 // at the event API a second, until the last was there
	p50     float64 // µs
	posts   float64 // requests that the event API saw, per 1,000 events

	// Processor time, µs per event.
	senderCPU, gatewayCPU, sinkCPU float64
}

func (t turn) totalCPU() float64 { return t.senderCPU + t.gatewayCPU + t.sinkCPU }

// arena is what runs in one case: the event API and all contenders at once.
type arena struct {
	sink       *rig.Process
	address    string // of the sink
	contenders []*contender
}

// reading is what all counters say at one moment.
type reading struct {
	posts, events         int64
	sender, gateway, sink time.Duration
}

func (a *arena) read(ctx context.Context, c *contender) (r reading, err error) {
	if r.posts, r.events, err = a.arrived(ctx); err != nil {
		return r, err
	}
	if c.gateway != nil {
		if r.gateway, err = c.gateway.CPU(); err != nil {
			return r, err
		}
	}
	if r.sink, err = a.sink.CPU(); err != nil {
		return r, err
	}
	r.sender, err = rig.OwnCPU()
	return r, err
}

func (a *arena) arrived(ctx context.Context) (posts, events int64, err error) {
	text, err := rig.Get(ctx, "http://"+a.address+app.EventsPath)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(string(text), "%d %d", &posts, &events); err != nil {
		return 0, 0, fmt.Errorf("%s answered %q", app.EventsPath, text)
	}
	return posts, events, nil
}

const (
	// settle is the time for what a slice left behind: threads going to sleep, on
	// whose switches the kernel's counters wait.
	settle = 10 * time.Millisecond
	// catchUp is the most that the event API may lag behind the senders.
	catchUp = time.Minute
)

// compete gives the contender a slice of time and, if it counts, notes it.
func (a *arena) compete(ctx context.Context, c *contender, array int, slice time.Duration, counts bool) error {
	before, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	start := time.Now()
	result, err := c.load.Run(ctx, slice)
	if err != nil {
		return fmt.Errorf("%s: %w%s", c.name, err, c.lastWords())
	}
	events := result.Calls * int64(array)
	if err := a.await(ctx, before.events+events); err != nil {
		return fmt.Errorf("%s: %w%s", c.name, err, c.lastWords())
	}
	took := time.Since(start)
	time.Sleep(settle)
	after, err := a.read(ctx, c)
	if err != nil || !counts {
		return err
	}
	if got := after.events - before.events; got != events {
		return fmt.Errorf("%s: %d events acknowledged, %d arrived", c.name, events, got)
	}
	n := float64(events)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / n }
	c.latencies.Merge(result.Latencies)
	c.turns = append(c.turns, turn{
		events:     n,
		taken:      n / result.Took.Seconds(),
		arrived:    n / took.Seconds(),
		p50:        float64(result.Latencies.ValueAtQuantile(50)) / 1e3,
		posts:      float64(after.posts-before.posts) / n * 1e3,
		senderCPU:  each(after.sender - before.sender),
		gatewayCPU: each(after.gateway - before.gateway),
		sinkCPU:    each(after.sink - before.sink),
	})
	return nil
}

// await returns when so many events have arrived.
func (a *arena) await(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, events, err := a.arrived(ctx)
		if err != nil || events >= want {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d events of %d have arrived: %w", events, want, ctx.Err())
		case <-tick.C:
		}
	}
}

func (c *contender) lastWords() string {
	if c.gateway == nil {
		return ""
	}
	return "\n" + c.gateway.Output()
}

// open starts the event API and what is to be compared.
func open(ctx context.Context, s settings, array, senders int, dir string) (a *arena, err error) {
	a = &arena{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.sink, err = rig.StartRole("sink", "127.0.0.1:0", s.cost.String(), s.delay.String()); err != nil {
		return a, err
	}
	if a.address, err = a.sink.Address(ctx); err != nil {
		return a, err
	}
	for _, name := range s.contenders {
		c := &contender{name: name, latencies: load.NewHistogram()}
		a.contenders = append(a.contenders, c)
		address := a.address
		if name != direct {
			if c.gateway, err = a.enter(ctx, s, name, dir); err != nil {
				return a, err
			}
			address = c.gateway.Apps
		}
		c.load, err = load.New(load.Options{
			Address: address, Callers: senders, Rate: s.rate, Limit: time.Minute,
			Form: load.EventForm{Host: address, Key: rig.EventKey, Array: array, Seeds: s.seeds},
		})
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// enter starts the gateway of a contender, with a state_dir that is empty.
func (a *arena) enter(ctx context.Context, s settings, name, dir string) (*rig.Gateway, error) {
	o := rig.GatewayOptions{
		Binary: s.gateway, File: filepath.Join(dir, name+".yaml"), App: a.address, Path: app.Path, Key: s.key(), Events: s.set,
	}
	if strings.HasPrefix(name, "before-") {
		o.Binary = s.before
	}
	if mode := spoolModes()[name]; mode != "" {
		var err error
		if o.State, err = os.MkdirTemp(dir, name); err != nil {
			return nil, err
		}
		spool := "spool: {mode: " + mode + "}"
		if o.Events != "" {
			spool += ", "
		}
		o.Events = spool + o.Events
	}
	return rig.StartGateway(ctx, o)
}

// key is no secret: nothing is signed here.
func (settings) key() string { return "signkey-bench-" + strings.Repeat("0123456789abcdef", 4) }

// close ends all processes of the arena.
func (a *arena) close() error {
	const limit = 20 * time.Second
	var errs []error
	for _, c := range a.contenders {
		if c.load != nil {
			c.load.Close()
		}
		if c.gateway != nil {
			errs = append(errs, c.gateway.Stop(limit))
		}
	}
	if a.sink != nil {
		errs = append(errs, a.sink.Stop(limit))
	}
	return errors.Join(errs...)
}
