package chaos

import (
	"strconv"
	"testing"
	"time"
)

// What still waits for its app at the end of a drain is shed, and told to come
// back at once: another gateway is there. It holds the calls until the app is.
func TestGateways_outageDuringADrain(t *testing.T) {
	const callers, runs = 50, 50
	s := newServer(t)
	a := newApp(t, "shop", time.Millisecond)
	more := "drain: {delay: 200ms, calls: 1s}"
	old, other := newGateway(t, s, []*app{a}, more), newGateway(t, s, []*app{a}, more)
	old.start()
	other.start()
	b := newBalancer(t, old, other)
	s.register("shop", "t/shop", "http://"+b.address+"/shop")

	calls := fire(t, old.inngest, "/shop", callers, 100)
	s.begin("shop", runs)
	held := func(g *gateway) int { return int(g.metric("inngest_gateway_admission_parked_calls")) }
	until(t, "calls that wait", func() bool { return held(old) > callers && held(old)+held(other) == callers+runs })
	ofRuns := held(old) - callers
	old.stop()

	said := calls.wait()
	if said["draining"] != callers {
		t.Errorf("callers were told %v, want all draining", said)
	}
	for _, r := range calls.answers {
		if wait, err := strconv.Atoi(r.retryAfter); r.status != 503 || r.sdk || err != nil || wait < 1 || wait > 10 {
			t.Fatalf("a caller was told %+v; want 503 and a short Retry-After", r)
		}
	}
	until(t, "the runs' calls at the other gateway", func() bool { return held(other) == runs })
	a.start()
	s.ended(runs)
	if got := s.tally("shop"); got.Completed != runs || got.Other != 0 || got.Burned != ofRuns {
		t.Errorf("%+v; want %d runs completed, and %d attempts burned by the drain", got, runs, ofRuns)
	}
}

// One gateway at a time, as a Deployment with one replica and maxSurge: 1 has it:
// the next one is there before the one before it goes. No call fails.
func TestGateway_replacedByItsSuccessorWhileCallsRun(t *testing.T) {
	const rounds = 3
	s := newServer(t)
	a := newApp(t, "shop", 5*time.Millisecond)
	more := "drain: {delay: 1s}" // much longer than the balancer needs to notice
	now, next := newGateway(t, s, []*app{a}, more), newGateway(t, s, []*app{a}, more)
	a.start()
	now.start()
	next.start()
	b := newBalancer(t, now, next)
	next.stop()
	s.register("shop", "t/shop", "http://"+b.address+"/shop")
	stop := keepBusy(t, s, "shop", 50)
	for range rounds {
		next.start()
		until(t, "both gateways behind the balancer", func() bool { return b.size() == 2 })
		now.stop()
		before := a.did("call")
		until(t, "calls by the new gateway", func() bool { return a.did("call") > before+100 })
		now, next = next, now
	}
	begun := stop()
	if got := s.tally("shop"); got.Completed != begun || got.Other != 0 || got.Burned != 0 {
		t.Errorf("of %d runs: %+v; want all completed and no attempt burned", begun, got)
	}
	if steps, again := a.repeated(); steps != begun*appSteps || again != 0 {
		t.Errorf("%d steps were executed, %d times too often", steps, again)
	}
}
