package chaos

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// Connections to the apps listener that say nothing, or too little, are ended
// after their time. Meanwhile apps send events and ask Inngest what they like,
// and calls lack nothing.
func TestGateway_withConnectionsOfAppsThatHang(t *testing.T) {
	const each, runs, events = 150, 100, 1000
	s := newServer(t)
	newSink(t, s)
	a, mail := newApp(t, "shop", time.Millisecond), newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{a, mail}, "limits: {head_timeout: 5s, connections: 2000}\noutbound: {body_timeout: 1s}")
	g.environ = append(g.environ, "GATEWAY_PUBLIC_URL=http://"+g.inngest)
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")
	crowd := newCrowd(t, g.apps, eventRequest("t/never"), each)
	asks := ask(t, g.apps, 4, askKinds())
	b := send(t, g.apps, 16, events, 300)
	s.begin("shop", runs)
	until(t, "all runs", func() bool { return s.tally("shop").Completed == runs })
	b.wait()
	asks.more(50, "Inngest's")
	crowd.judge()
	asks.stop()
	asks.judge()
	b.settled(s, g.backlog)
	b.judge(s)
	if len(b.tries) > 0 {
		t.Errorf("senders of events were told: %s", listed(b.tries))
	}
	if got := s.tally("shop"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("runs beside the connections: %+v; want %d completed and no attempt burned", got, runs)
	}
	t.Log(asks)
}

// More connections of apps than there may be are refused, and told so. An app
// that is connected goes on, calls do not notice, and when the others have had
// their time there is room again.
func TestGateway_withMoreConnectionsOfAppsThanItTakes(t *testing.T) {
	const limit, runs, events = 50, 25, 500
	s := newServer(t)
	newSink(t, s)
	a := newApp(t, "shop", time.Millisecond)
	g := newGateway(t, s, []*app{a}, fmt.Sprintf("limits: {head_timeout: 3s, connections: %d}", limit))
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	early := newTalk(t, g.apps)
	early.ask(eventRequest("t/sink.early"), 200)
	for range 4 * limit {
		c, err := net.Dial("tcp", g.apps)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	b := send(t, g.apps, 16, events, 300)
	until(t, "refusals", func() bool { return b.met("503 too_many_connections") > 0 })
	early.ask(eventRequest("t/sink.early"), 200)
	s.begin("shop", runs)
	until(t, "all runs", func() bool { return s.tally("shop").Completed == runs })
	b.wait()
	b.settled(s, g.backlog)
	b.judge(s)
	for what := range b.tries {
		if !strings.HasPrefix(what, "503 too_many_connections") {
			t.Errorf("senders of events were told: %s", listed(b.tries))
		}
	}
	if got := s.tally("shop"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("runs beside the connections: %+v; want %d completed and no attempt burned", got, runs)
	}
}

// Inngest is frozen: it takes connections and says nothing. What apps ask of it is
// refused after its time, what they send is kept, and calls go on as ever. When
// Inngest thaws, nothing is lost and nothing is left.
func TestGateway_whileInngestIsFrozen(t *testing.T) {
	const atOnce, runsPerSecond, events = 8, 50, 1000
	s := newServer(t)
	newSink(t, s)
	a, mail := newApp(t, "shop", time.Millisecond), newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{a, mail}, "limits: {memory: 128MiB, memory_wait: 1s}\noutbound: {answer_timeout: 2s, idle_timeout: 1s}\nsync: {timeout: 2s}\n"+
		"events: {"+strings.Replace(quick, "{", "{timeout: 1s, ", 1)+"}")
	g.environ = append(g.environ, "GATEWAY_PUBLIC_URL=http://"+g.inngest)
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")
	until(t, "an open spool", func() bool { return g.backlog() == 0 })
	before := g.holds()

	stop := steadily(t, s, "shop", runsPerSecond)
	asks := ask(t, g.apps, atOnce, askKinds())
	asks.more(10, "Inngest's")
	b := send(t, g.apps, 32, events, 300)
	b.until(events / 4)
	s.goAway()
	hole := openHole(t, s.address)
	answered, meanwhile := a.did("answered"), send(t, g.apps, 32, events, 300)
	// More than there is memory for what apps send.
	large := ask(t, g.apps, atOnce, map[string]askKind{"large checkpoint": askCheckpoint(3<<20, 100*time.Millisecond)})
	asks.more(2*atOnce, "50") // nearly all of these were asked while it was frozen
	large.more(2*atOnce, "50")
	until(t, "calls that are answered", func() bool { return a.did("answered") > answered+2*runsPerSecond })
	b.wait()
	meanwhile.wait()
	until(t, "requests that Inngest does not answer", func() bool { return hole.taken() > 0 })
	large.stop()
	hole.close()
	s.comeBack()
	asks.more(10, "Inngest's")
	asks.stop()
	begun := stop()
	until(t, "the end of all calls", func() bool { return s.tally("shop").Completed >= begun })
	for _, b := range []*senders{b, meanwhile} {
		b.settled(s, g.backlog)
		b.judge(s)
		if len(b.tries) > 0 {
			t.Errorf("senders of events were told: %s", listed(b.tries))
		}
	}

	asks.judge("502 inngest_unavailable", "503 inngest_unavailable")
	large.judge("502 inngest_unavailable", "503 memory_exhausted")
	if got := s.tally("shop"); got.Completed != begun || got.Burned != 0 {
		t.Errorf("of %d runs: %+v; want all completed and no attempt burned", begun, got)
	}
	until(t, "no request", func() bool { return g.metric("inngest_gateway_outbound_in_flight_requests") == 0 })
	until(t, "no memory in use", func() bool { return g.metric("inngest_gateway_budget_used_bytes") == 0 })
	until(t, fmt.Sprintf("what it held before, %d", before), func() bool { return g.holds() <= before+5 })
	t.Logf("%d runs beside %s; %s", begun, asks, large)
}

// holds counts the files and connections that the gateway has open, but those of
// its callers and to its apps.
func (g *gateway) holds() int {
	return int(g.metric("process_open_fds") - g.metric("inngest_gateway_inbound_open_connections") - g.metric("inngest_gateway_pool_connections"))
}
