package gateway

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	heapInterval = 250 * time.Millisecond
	leastHeap    = 16 << 20 // what is no body, at least
	heapStep     = 8 << 20  // by which the limit must differ to be set anew
)

// What the runtime tells about its memory, in the order of the samples.
const (
	heapLive     = iota // after the last collection
	heapObjects         // with what is garbage by now
	heapFree            // not in use
	heapReleased        // not in use, given back to the system
	heapUnused          // in use in part
	memoryTotal
	heapSamples
)

// watchHeap has the garbage collector run before garbage takes more than what is
// no body takes itself. By its own rule it lets as much pile up as is in use:
// then all bodies together would take twice what limits.memory says. ceiling is
// where the memory of the process ends.
func (g *Gateway) watchHeap(ctx context.Context, ceiling int64) {
	samples := make([]metrics.Sample, heapSamples)
	for i, name := range [heapSamples]string{
		heapLive: "/gc/heap/live:bytes", heapObjects: "/memory/classes/heap/objects:bytes", heapFree: "/memory/classes/heap/free:bytes",
		heapReleased: "/memory/classes/heap/released:bytes", heapUnused: "/memory/classes/heap/unused:bytes", memoryTotal: "/memory/classes/total:bytes",
	} {
		samples[i].Name = name
	}
	every := time.NewTicker(heapInterval)
	defer every.Stop()
	for set := int64(0); ; {
		metrics.Read(samples)
		if want := min(g.heapLimit(samples), ceiling); want-set > heapStep || set-want > heapStep {
			debug.SetMemoryLimit(want)
			set = want
		}
		select {
		case <-ctx.Done():
			debug.SetMemoryLimit(ceiling)
			return
		case <-every.C:
		}
	}
}

// heapLimit is what all bodies may take, twice what else is in use, and what the
// runtime needs beside the heap.
func (g *Gateway) heapLimit(samples []metrics.Sample) int64 {
	of := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	others := max(of(heapLive)-g.budget.Held(), leastHeap)
	beside := of(memoryTotal) - of(heapObjects) - of(heapFree) - of(heapReleased) - of(heapUnused)
	return g.budget.Max() + 2*others + beside
}
