package gateway

import (
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestBodiesOf_isWhatTheProcessLeaves(t *testing.T) {
	for name, c := range map[string]struct{ total, own, want int64 }{
		"much memory":             {1024, 64, 960},
		"a process that needs it": {256, 120, 136},
		"half in any case":        {64, 60, 32},
	} {
		if got := bodiesOf(c.total, c.own); got != c.want {
			t.Errorf("%s: of %d MiB where the process needs %d, %d are for bodies; want %d", name, c.total, c.own, got, c.want)
		}
	}
}

// What is in use and no body's is found by a collection, and counts twice: as
// much garbage may pile up.
func TestProcessMemory_findsWhatIsNoBody(t *testing.T) {
	p := newProcessMemory()
	runtime.GC()
	before, _ := p.needs(0)
	const size = 96 << 20
	others := make([]byte, size)
	runtime.GC()
	with, files := p.needs(0)
	if with < 2*size || with < before+size {
		t.Errorf("with %d MiB in use the process needs %d MiB, before %d", size>>20, with>>20, before>>20)
	}
	if runtime.GOOS == "linux" && files == 0 {
		t.Error("no file of the program is in memory")
	}
	runtime.KeepAlive(others)

	bodies := make([]byte, size)
	runtime.GC()
	if held, _ := p.needs(size); held > with-size {
		t.Errorf("with %d MiB of bodies the process needs %d MiB beside them", size>>20, held>>20)
	}
	runtime.KeepAlive(bodies)
}

// A process of its own gives bodies less than limits.memory, tells the collector
// so while it runs, and takes that back.
func TestGateway_keepsItsProcessWithinLimitsMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	const total, ceiling = 512 << 20, 8 << 30
	cfg := load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", "limits: {memory: 512MiB}"))
	g := startWith(t, Options{Config: cfg, OwnProcess: true, HeapCeiling: ceiling})
	if got := g.bodies(); got > total-leastOwn || got < total/2 {
		t.Errorf("bodies may take %d MiB of %d", got>>20, total>>20)
	}
	over := time.After(patience)
	for debug.SetMemoryLimit(-1) > total {
		select {
		case <-over:
			t.Fatal("the collector was told nothing")
		default:
			runtime.Gosched()
		}
	}
	if err := g.stop(t); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetMemoryLimit(-1); got != ceiling {
		t.Errorf("afterwards the collector keeps to %d, want %d", got, ceiling)
	}
}

// What apps send and calls do not take each other's memory, whatever there is.
func TestDivide_leavesRoomForTheLargestBodies(t *testing.T) {
	g := &Gateway{cfg: load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", ""))}
	least := int64(g.cfg.Limits.LeastMemory())
	for _, total := range []int64{least, 2 * least, 1 << 30, 64 << 30} {
		bodies := bodiesOf(total, leastOwn)
		calls, reserve, apps := g.divide(bodies)
		if calls+apps != bodies {
			t.Errorf("of %d bytes calls get %d and apps %d", bodies, calls, apps)
		}
		body := int64(g.cfg.Limits.Body)
		if large := (calls - reserve) / 8 * 7; large < body || apps/8*7 < body {
			t.Errorf("of %d MiB large calls get %d and what apps send %d, less than one body", total>>20, large>>20, apps>>20)
		}
	}
}

func TestNew_refusesTooLittleMemory(t *testing.T) {
	cfg := load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", "limits: {memory: 1%, body: 1GiB, answer: 1GiB}"))
	_, err := New(Options{Config: cfg, LogTo: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "limits.memory is 1%") || !strings.Contains(err.Error(), "limits.body") {
		t.Errorf("New = %v, want that 1%% of the memory is too little", err)
	}
}
