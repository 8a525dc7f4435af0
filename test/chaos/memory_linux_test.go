package chaos

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// peak is the most memory that a gateway's process had so far, in bytes.
func (g *gateway) peak() int64 {
	g.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.cmd.Process.Pid))
	if err != nil {
		g.tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	g.tb.Fatalf("no VmHWM in\n%s", text)
	return 0
}

// Many large calls come at once while their app is away, which parks as many of
// them as there is room for. What the process needs stays within limits.memory.
func TestGateway_outageWithMoreCallsThanFitIntoMemory(t *testing.T) {
	calls, size, memory := 300, 1<<20, 128
	if *long {
		calls, size, memory = 1000, 4<<20, 256
	}
	s := newServer(t)
	a := newApp(t, "shop", time.Millisecond)
	g := newGateway(t, s, []*app{a}, fmt.Sprintf("limits: {memory: %dMiB, memory_wait: 1s}", memory))
	g.start()
	idle := g.peak()

	b := fire(t, g.inngest, "/shop", calls, size)
	until(t, "calls that wait", func() bool { return g.metric("inngest_gateway_admission_parked_calls") > 1 })
	parked := g.metric("inngest_gateway_admission_parked_bytes")
	pass(time.Second)
	a.start()
	said := b.wait()
	got := g.peak()
	t.Logf("%d calls of %d MiB: %v; peak %d MiB, idle %d MiB, limits.memory %d MiB; parked early: %.0f MiB", calls, size>>20, said, got>>20, idle>>20, memory, parked/(1<<20))
	if got > int64(memory)<<20 {
		t.Errorf("peak of resident memory: %d MiB, limits.memory is %d MiB", got>>20, memory)
	}
	for _, r := range b.answers {
		switch {
		case r.err != nil:
			t.Fatalf("a caller got no answer: %v", r.err)
		case r.code != "" && (r.status != 503 || r.retryAfter == "" || r.sdk):
			t.Fatalf("a caller was refused by %+v", r)
		}
	}
	if said["206"] == 0 {
		t.Errorf("answers: %v; none is the app's", said)
	}
	if used := g.metric("inngest_gateway_budget_used_bytes"); used != 0 {
		t.Errorf("%v bytes are still charged", used)
	}
}

// Large calls that fill the memory keep no small one out: those of another app
// go on meanwhile, and the large ones are answered in turn.
func TestGateway_withLargeCallsBesideSmallOnes(t *testing.T) {
	const runsPerSecond, size = 50, 4 << 20
	large := 150
	if *long {
		large = 1000
	}
	s := newServer(t)
	huge, small := newApp(t, "shop", time.Millisecond), newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{huge, small}, "limits: {memory: 256MiB, memory_wait: 5m}")
	huge.start()
	small.start()
	g.start()
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")
	stop := steadily(t, s, "mail", runsPerSecond)
	until(t, "calls that are answered", func() bool { return small.did("answered") > runsPerSecond })
	began := time.Now()
	said := fire(t, g.inngest, "/shop", large, size).wait()
	took := time.Since(began)
	runs := stop()
	s.ended(runs)
	t.Logf("%d calls of %d MiB: %v in %v; beside them %d runs", large, size>>20, said, took, runs)
	if said["206"] != large {
		t.Errorf("large calls: %v, want all of %d answered by the app", said, large)
	}
	if got := s.tally("mail"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("small calls beside them: %+v; want %d runs completed and no attempt burned", got, runs)
	}
}
