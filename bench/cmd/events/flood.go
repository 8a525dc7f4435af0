package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// A flood is what became of a gateway that got more events at once than its
// events.memory holds, while the event API took its time for each request.
type flood struct {
	Memory  string `json:"events_memory"`
	Offered int64  `json:"offered_bytes"` // at once, by all senders
	Events  int64  `json:"events"`        // acknowledged, and arrived
	Refused int64  `json:"refused_requests"`
	IdleRSS int64  `json:"idle_rss_bytes"`
	PeakRSS int64  `json:"peak_rss_bytes"`
}

const (
	floodSenders = 1024
	floodArray   = 200
	floodDelay   = 100 * time.Millisecond
)

// runFlood floods a gateway in mode hybrid for two slices of time.
func runFlood(ctx context.Context, s settings, memory, dir string) (f flood, err error) {
	s.contenders, s.cost, s.delay, s.rate = []string{"hybrid"}, 0, floodDelay, 0
	s.set = "memory: " + memory
	a, err := open(ctx, s, floodArray, floodSenders, dir)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	c := a.contenders[0]
	f.Memory = memory
	if f.IdleRSS, err = c.gateway.RSS(); err != nil {
		return f, err
	}
	form := load.EventForm{Host: c.gateway.Apps, Key: rig.EventKey, Array: floodArray, Flood: true}
	size, err := form.Size()
	if err != nil {
		return f, err
	}
	f.Offered = int64(size) * floodSenders
	l, err := load.New(load.Options{Address: c.gateway.Apps, Form: form, Callers: floodSenders, Limit: time.Minute})
	if err != nil {
		return f, err
	}
	defer l.Close()
	result, err := l.Run(ctx, 2*s.slice)
	if err == nil {
		f.Events, f.Refused = result.Calls*floodArray, result.Refused
		err = a.await(ctx, f.Events)
	}
	if err != nil {
		return f, fmt.Errorf("%w%s", err, c.lastWords())
	}
	if _, arrived, err := a.arrived(ctx); err != nil || arrived != f.Events {
		return f, errors.Join(err, fmt.Errorf("%d events acknowledged, %d arrived", f.Events, arrived))
	}
	f.PeakRSS, err = c.gateway.PeakRSS()
	return f, err
}

func (r *report) floods(w io.Writer) {
	if len(r.Floods) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d senders of %d events a request, the event API takes %s for each:\n\n"+
		"| events.memory | offered at once MiB | events taken, and arrived | requests refused | RSS MiB idle | at most |\n|---|---:|---:|---:|---:|---:|\n",
		floodSenders, floodArray, floodDelay)
	for _, f := range r.Floods {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d |\n", f.Memory, f.Offered>>20, f.Events, f.Refused, f.IdleRSS>>20, f.PeakRSS>>20)
	}
}
