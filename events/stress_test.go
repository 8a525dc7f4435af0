package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Whatever Inngest and the disk do, an event that was acknowledged is at Inngest
// in the end, once, under the id that its caller was told; also when callers
// repeat themselves, give up, and the process ends in the middle.
func TestPlane_losesAndDoublesNothing(t *testing.T) {
	for name, c := range map[string]func(*Options){
		"hybrid":            func(*Options) {},
		"hybrid, scarce":    func(o *Options) { o.MaxMemory, o.Patience, o.InFlight, o.MaxEvents = 5000, 20*time.Millisecond, 1, 7 },
		"hybrid, by traces": func(o *Options) { o.Trace = TraceKeep },
		"hybrid, by ids":    dedupe,
		"durable":           func(o *Options) { o.Mode = ModeDurable },
		"without a spool":   none,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) { stress(t, rand.New(rand.NewPCG(seed, 1)), c) })
			}
		})
	}
}

func stress(t *testing.T, random *rand.Rand, change func(*Options)) {
	dir := t.TempDir()
	r := newRig(t, func(o *Options) { o.SeedDir = dir; change(o) })
	var mu sync.Mutex // of random
	chance := func(percent int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(100) < percent
	}
	r.inngest.delay = 2 * time.Millisecond
	r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
		switch {
		case chance(20): // nothing arrived
			return &deliver.Result{Left: []deliver.Range{{To: b.Count}}, Err: errors.New("connection refused")}
		case chance(20): // all arrived, the answer did not
			r.inngest.take(b)
			return &deliver.Result{Left: []deliver.Range{{To: b.Count}}, Err: errors.New("reset")}
		case chance(20) && b.Count > 2: // some arrived
			r.inngest.take(b.Part(deliver.Range{To: 1}))
			r.inngest.take(b.Part(deliver.Range{From: 2, To: b.Count}))
			return &deliver.Result{Left: []deliver.Range{{From: 1, To: 2}}, Err: errors.New("reset")}
		}
		r.inngest.down = chance(10)
		return nil
	}
	r.disk.before = func() {
		err := error(nil)
		if chance(5) {
			err = spool.ErrFull
		}
		r.disk.set(func(d *disk) { d.err = err })
	}
	acknowledged := map[string]string{}
	caller := func(n int) {
		var events []string
		for i := range 1 + n%4 {
			events = append(events, fmt.Sprintf(`{"name":"t/e","id":"%d-%d","data":{"n":%d}}`, n, i, n))
		}
		q := request("[" + strings.Join(events, ",") + "]")
		q.Seed = inngest.Seed{Millis: uint64(n), Entropy: [10]byte{1, byte(n)}}.String()
		q.Traceparent = fmt.Sprint(n % 3)
		for range 1 + n%2 { // some repeat themselves although there is no need
			for {
				ctx, cancel := context.WithCancel(t.Context())
				if chance(5) {
					ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
				}
				a := r.Accept(ctx, q)
				cancel()
				if a.Status == 200 {
					mu.Lock()
					for i, id := range read(t, a).IDs {
						acknowledged[id] = events[i]
					}
					mu.Unlock()
					break
				}
				if a.Code == inngest.CodeDraining {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	var group sync.WaitGroup
	for n := range 200 {
		at(time.Duration(n%50)*300*time.Microsecond, &group, func() { caller(n) })
	}
	time.Sleep(10 * time.Millisecond)
	if chance(50) { // the process ends, and another one takes over
		if err := r.end(); err != nil {
			t.Error(err)
		}
		group.Wait()
		r.start(t)
		for n := range 200 {
			at(time.Duration(n), &group, func() { caller(n) })
		}
	}
	group.Wait()
	if err := r.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	r.disk.drain(t, r.inngest)
	if len(acknowledged) != 500 {
		t.Errorf("%d ids were told for 500 events: some had several", len(acknowledged))
	}
	if len(r.inngest.events) != 500 {
		t.Errorf("Inngest has %d ids for 500 events", len(r.inngest.events))
	}
	for id, e := range acknowledged {
		if r.inngest.events[id] != e {
			t.Errorf("Inngest has %q under %s, want %q", r.inngest.events[id], id, e)
		}
	}
}
