package chaos

import (
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// Two gateways behind a balancer are replaced one after the other, several times
// over, under load: not one call fails.
func TestGateways_replacedWhileCallsRun(t *testing.T) {
	const rounds = 2
	s := newServer(t)
	a := newApp(t, "shop", 5*time.Millisecond)
	// The delay is much longer than the balancer needs to notice.
	more := "drain: {delay: 1s}"
	gateways := []*gateway{newGateway(t, s, []*app{a}, more), newGateway(t, s, []*app{a}, more)}
	a.start()
	for _, g := range gateways {
		g.start()
	}
	b := newBalancer(t, gateways...)
	s.register("shop", "t/shop", "http://"+b.address+"/shop")

	stop := keepBusy(t, s, "shop", 50)
	for range rounds {
		for _, g := range gateways {
			before := a.did("call")
			until(t, "calls", func() bool { return a.did("call") > before+100 })
			g.stop()
			before = a.did("call")
			until(t, "calls by the other gateway", func() bool { return a.did("call") > before+100 })
			g.start()
			until(t, "both gateways behind the balancer", func() bool { return b.size() == 2 })
		}
	}
	begun := stop()

	got := s.tally("shop")
	if got.Completed != begun || got.Other != 0 || got.Burned != 0 {
		t.Errorf("of %d runs: %+v; want all completed and no attempt burned", begun, got)
	}
	if steps, again := a.repeated(); steps != begun*appSteps || again != 0 {
		t.Errorf("%d steps were executed, want %d; %d executions too many", steps, begun*appSteps, again)
	}
	t.Logf("%d runs, %d gateways replaced", begun, rounds*len(gateways))
}

// A gateway that is killed takes the calls with it that it had in its hands, and
// no others; the one that takes its place goes on.
func TestGateway_killedWhileCallsRun(t *testing.T) {
	const runs = 200
	s := newServer(t)
	a := newApp(t, "shop", 5*time.Millisecond)
	g := newGateway(t, s, []*app{a}, "")
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.begin("shop", runs)
	for round := range 2 {
		until(t, "steps that ran", func() bool { return a.did("step") >= (round+1)*runs })
		g.kill()
		g.start()
	}
	s.ended(runs)
	got := s.tally("shop")
	if got.Completed != runs || got.Other != 0 {
		t.Errorf("runs: %+v", got)
	}
	if steps, again := a.repeated(); steps != runs*appSteps || again > got.Burned {
		t.Errorf("%d steps were executed, want %d; %d executions too many for %d failed attempts", steps, runs*appSteps, again, got.Burned)
	}
}

// Inngest takes requests with events and says nothing. Callers of events wait for
// the spool; calls to apps do not notice.
func TestGateway_callsWhileInngestIsSilentAboutEvents(t *testing.T) {
	const runs, events = 100, 500
	s := newServer(t)
	newSink(t, s)
	a := newApp(t, "shop", time.Millisecond)
	g := newGateway(t, s, []*app{a}, "events: {delivery: {timeout: 1s, backoff_min: 20ms, backoff_max: 300ms, breaker: {open_for: 100ms}}}")
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.FaultEvents(devserver.AlwaysFault(devserver.EventFault{Ending: devserver.Silent, Take: 1}))
	b := send(t, g.apps, 64, events, 1000)
	until(t, "a request that hangs", func() bool { return s.EventTotals().Faults > 0 })
	s.begin("shop", runs)
	until(t, "all runs", func() bool { return s.tally("shop").Completed == runs })
	if got := s.tally("shop"); got.Other != 0 || got.Burned != 0 {
		t.Errorf("%+v; want %d runs completed and no attempt burned", got, runs)
	}
	b.wait()
	s.FaultEvents(nil)
	b.settled(s, g.backlog)
	b.judge(s)
}
