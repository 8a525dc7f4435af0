package sdk

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// soakFor is set by make soak.
var soakFor = flag.Duration("soak", 0, "how long the soak test loads a gateway; 0: not at all")

// Everything in one process for as long as it is told: no call may fail, and
// neither memory nor goroutines may grow with the number of calls.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("make soak runs it")
	}
	const workers = 8
	var failed, done atomic.Int64
	load := func(t *testing.T, until time.Time) {
		// A server keeps every run it ever had: a fresh one for each round, so
		// that what grows is the gateway's.
		s := startServer(t, devserver.Register, productionKey)
		_, gw := startBehindGateway(t, s, sdks()["go"], "resign")
		syncSigned(t, s, gw)
		names := []string{"simple", "text", "parallel", "many", "echo", "wobbly"}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; time.Now().Before(until); i++ {
					name := names[i%len(names)]
					k := kinds()[name]
					if r := s.run(t, name, k.data, 1); r.Status != k.status {
						failed.Add(1)
						t.Errorf("%s = %s\n%s", name, r.Status, timeline([]devserver.Run{r}))
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
	}
	var goroutines, heap []uint64
	measure := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		goroutines, heap = append(goroutines, uint64(runtime.NumGoroutine())), append(heap, m.HeapAlloc)
		t.Logf("%d runs, %d failed, %d goroutines, %d KiB of heap", done.Load(), failed.Load(), runtime.NumGoroutine(), m.HeapAlloc>>10)
	}
	end := time.Now().Add(*soakFor)
	for round := 0; time.Now().Before(end); round++ {
		t.Run("round", func(t *testing.T) {
			until := time.Now().Add(min(30*time.Second, time.Until(end)))
			load(t, until)
		})
		measure()
	}
	first, last := 0, len(heap)-1
	if last > 0 && heap[last] > 2*heap[first]+(32<<20) {
		t.Errorf("the heap grew from %d to %d KiB", heap[first]>>10, heap[last]>>10)
	}
	if last > 0 && goroutines[last] > goroutines[first]+100 {
		t.Errorf("goroutines grew from %d to %d", goroutines[first], goroutines[last])
	}
}
