package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
)

const (
	memoryInterval = 100 * time.Millisecond
	memoryStep     = 4 << 20  // by which a limit must differ to be set anew
	leastOwn       = 64 << 20 // what the process needs itself, at least, garbage included
	leastOthers    = 16 << 20 // of which is in use on the heap
)

// bodiesOf is what is left of limits.memory for bodies where the process needs
// so much itself. Half of it they always have: little memory is better
// overdrawn than refused to every call.
func bodiesOf(total, own int64) int64 { return max(total-own, total/2) }

// newBudgets bounds the bytes of bodies: of calls with their answers, and of what
// apps send.
func (g *Gateway) newBudgets() error {
	total := g.cfg.Limits.Memory.Of(0)
	if total == 0 { // it is a percentage
		available, err := availableMemory()
		if err != nil {
			return err
		}
		total = g.cfg.Limits.Memory.Of(available)
		if least := int64(g.cfg.Limits.LeastMemory()); total < least {
			return fmt.Errorf("limits.memory is %s, %d bytes of %d, want at least %d: %s", g.cfg.Limits.Memory, total, available, least, config.WhyLeastMemory)
		}
	}
	bodies := total
	if g.memory != nil {
		g.memory.total = total
		bodies = bodiesOf(total, leastOwn)
	}
	calls, reserve, apps := g.divide(bodies)
	var err error
	if g.budget, err = g.newBudget("inngest", calls, reserve); err != nil {
		return err
	}
	g.appsBudget, err = g.newBudget("apps", apps, 0)
	return err
}

func (g *Gateway) newBudget(listener string, most, reserve int64) (*budget.Budget, error) {
	return budget.New(budget.Options{
		Listener: listener, Max: most, Reserve: reserve, Wait: g.cfg.Limits.MemoryWait, Metrics: g.metrics.Budget,
	})
}

// divide divides what bodies may take. A quarter, and enough for two of them, is
// for what apps send: while Inngest is slow that takes nothing from calls, and
// calls take nothing from the checkpoints that they wait for. reserve is the part
// of calls that only answers may use.
func (g *Gateway) divide(bodies int64) (calls, reserve, apps int64) {
	apps = max(bodies/4, min(2*int64(g.cfg.Limits.Body), bodies/2))
	calls = bodies - apps
	return calls, min(g.cfg.Limits.AnswerReserve.Of(calls), calls*9/10), apps
}

// resizeBudgets changes what bodies may take.
func (g *Gateway) resizeBudgets(bodies int64) {
	calls, reserve, apps := g.divide(bodies)
	if err := errors.Join(g.budget.Resize(calls, reserve), g.appsBudget.Resize(apps, 0)); err != nil {
		g.log.Error("limits.memory cannot be kept", slog.Any("err", err))
	}
}

// newLobby bounds what waits before all apps: half of what calls may take before
// they are answered, so that those of apps that are well find memory, and three
// quarters of the connections.
func (g *Gateway) newLobby() *admission.Lobby {
	calls, reserve, _ := g.divide(g.bodies())
	return admission.NewLobby(max(g.cfg.Limits.Connections*3/4, 1), max((calls-reserve)/2, 1))
}

// bodies is what bodies may take now.
func (g *Gateway) bodies() int64 { return g.budget.Max() + g.appsBudget.Max() }

// availableMemory returns the bytes that this process may use: its cgroup's
// limit where there is one, else what the host has.
func availableMemory() (int64, error) {
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && limit < 1<<62 {
		return int64(limit), nil
	}
	limit, err := memlimit.FromSystem()
	if err != nil {
		return 0, fmt.Errorf("limits.memory: how much memory there is: %w; give a size such as 512MiB instead", err)
	}
	return int64(limit), nil
}

// processMemory knows what a process needs beside bodies.
type processMemory struct {
	total   int64 // limits.memory
	samples []metrics.Sample

	collections int64 // that there were when others was found
	held        int64 // by bodies at the look before
	others      int64 // in use on the heap and no body's
}

// What the runtime tells about its memory, in the order of the samples.
const (
	heapLive     = iota // after the last collection
	heapObjects         // with what is garbage by now
	heapFree            // not in use
	heapReleased        // not in use, given back to the system
	heapUnused          // of spans that are in use in part
	memoryTotal
	collections
	samplesCount
)

func newProcessMemory() *processMemory {
	samples := make([]metrics.Sample, samplesCount)
	for i, name := range [samplesCount]string{
		heapLive: "/gc/heap/live:bytes", heapObjects: "/memory/classes/heap/objects:bytes", heapFree: "/memory/classes/heap/free:bytes",
		heapReleased: "/memory/classes/heap/released:bytes", heapUnused: "/memory/classes/heap/unused:bytes",
		memoryTotal: "/memory/classes/total:bytes", collections: "/gc/cycles/total:gc-cycles",
	} {
		samples[i].Name = name
	}
	return &processMemory{samples: samples}
}

// needs is what the process needs beside bodies now: its program, what the
// runtime needs beside the heap, what else is in use there, and as much again
// for garbage. files is the part of it that the collector does not know.
func (p *processMemory) needs(held int64) (own, files int64) {
	metrics.Read(p.samples)
	of := func(i int) int64 { return int64(p.samples[i].Value.Uint64()) }
	if n := of(collections); n != p.collections {
		// Bodies come and go since the last look; who takes too many of them for
		// living ones gives away too little.
		p.collections, p.others = n, of(heapLive)-max(held, p.held)
	}
	p.held = held
	others := max(p.others, leastOthers)
	beside := of(memoryTotal) - of(heapObjects) - of(heapFree) - of(heapReleased)
	files = residentFiles()
	return max(2*others+beside+files, leastOwn), files
}

// residentFiles returns the bytes of files, the program's above all, that the
// process has in memory; 0 where no system tells.
func residentFiles() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// watchMemory keeps the process within limits.memory: what it needs itself comes
// off what bodies may take, and the garbage collector runs before the rest is
// used up. By its own rule it lets as much garbage pile up as is in use. ceiling
// is the most that the collector is told; 0: nothing, GOMEMLIMIT has told it.
func (g *Gateway) watchMemory(ctx context.Context, ceiling int64) {
	p := g.memory
	every := time.NewTicker(memoryInterval)
	defer every.Stop()
	if ceiling > 0 {
		defer debug.SetMemoryLimit(ceiling)
	}
	differs := func(a, b int64) bool { return a-b > memoryStep || b-a > memoryStep }
	for set := int64(0); ; {
		own, files := p.needs(g.budget.Held() + g.appsBudget.Held())
		bodies := bodiesOf(p.total, own)
		if differs(bodies, g.bodies()) {
			g.resizeBudgets(bodies)
		}
		if limit := min(max(p.total, bodies+own)-p.total/32-files, ceiling); ceiling > 0 && differs(limit, set) {
			debug.SetMemoryLimit(limit)
			set = limit
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}
