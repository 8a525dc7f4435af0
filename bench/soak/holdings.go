package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// holdings are what a gateway has in its hands.
type holdings map[string]float64

const (
	heldGoroutines = "goroutines"
	heldFiles      = "open files"
)

// gauges are nought without a load.
var gauges = []string{
	"inngest_gateway_budget_used_bytes",
	"inngest_gateway_inbound_in_flight_requests",
	"inngest_gateway_inbound_open_connections",
	"inngest_gateway_pool_in_flight_calls",
}

func holdingsOf(ctx context.Context, g *rig.Gateway) (holdings, error) {
	goroutines, err := g.Goroutines(ctx)
	if err != nil {
		return nil, err
	}
	files, err := g.OpenFiles()
	if err != nil {
		return nil, err
	}
	metrics, err := g.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	h := holdings{heldGoroutines: float64(goroutines), heldFiles: float64(files)}
	for _, name := range gauges {
		h[name] = metrics[name] // none yet: nought
	}
	return h, nil
}

// spare is how many goroutines and files more than before the load may stay: a
// probe or a look at the metrics may be under way.
const spare = 4

// beyond names what h holds more than it did before.
func (h holdings) beyond(before holdings) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(h)) {
		most := before[name]
		if name == heldGoroutines || name == heldFiles {
			most += spare
		}
		if h[name] > most {
			errs = append(errs, fmt.Errorf("after the load %s = %g, before it %g", name, h[name], before[name]))
		}
	}
	return errors.Join(errs...)
}

// relax is the time for connections to the app to be closed as idle, and for
// workers without work to go.
const relax = time.Minute

// aftermath waits until the gateway holds no more than before the load, and
// looks at the most that it ever needed.
func (t *trial) aftermath(ctx context.Context, before holdings) []error {
	peak, err := t.gateway.PeakRSS()
	if err != nil {
		return []error{err}
	}
	var errs []error
	if peak > int64(t.memory)<<20 {
		errs = append(errs, fmt.Errorf("peak of resident memory: %d MiB, limits.memory is %d MiB", peak>>20, t.memory))
	}
	for end := time.Now().Add(relax); ; {
		h, err := holdingsOf(ctx, t.gateway)
		if err != nil {
			return append(errs, err)
		}
		excess := h.beyond(before)
		if excess == nil {
			fmt.Fprintf(t.out, "peak of resident memory %d MiB of %d; goroutines before and after: %g, %g; open files: %g, %g\n",
				peak>>20, t.memory, before[heldGoroutines], h[heldGoroutines], before[heldFiles], h[heldFiles])
			return errs
		}
		if time.Now().After(end) || !sleep(ctx, 250*time.Millisecond) {
			return append(errs, excess)
		}
	}
}
