package chaos

import (
	"testing"
	"time"
)

// pairRate is how many runs of each app of a pair begin in a second.
const pairRate = 20

// A pair is two apps under load behind a gateway, each on a host of its own.
type pair struct {
	t        *testing.T
	server   *server
	gateway  *gateway
	host     *host // of the app that is away now and then
	away     *app
	well     *app // the other one, which notices nothing
	stopAway func() int
	stopWell func() int
}

// newPair starts all of it. Numbers are of the hosts.
func newPair(t *testing.T, first, second int, step time.Duration) *pair {
	t.Helper()
	p := &pair{t: t, server: newServer(t), host: newHost(t, first)}
	p.away, p.well = p.host.newApp("shop", step), newHost(t, second).newApp("mail", time.Millisecond)
	p.away.forgets = true
	p.away.settings = "wait: {max: 4m}"
	p.gateway = newGateway(t, p.server, []*app{p.away, p.well}, "")
	p.away.start()
	p.well.start()
	p.gateway.start()
	for _, a := range []*app{p.away, p.well} {
		p.server.register(a.id, "t/"+a.id, "http://"+p.gateway.inngest+"/"+a.id)
	}
	p.stopAway = steadily(t, p.server, p.away.id, pairRate)
	p.stopWell = steadily(t, p.server, p.well.id, pairRate)
	return p
}

// vanish has the app's host vanish after it answered calls, and waits until
// further ones wait for it. From then on it gets none. It tells how many were
// sent to it and are not answered: those that the app has, and those that went
// where nobody is.
func (p *pair) vanish() (sent int) {
	p.t.Helper()
	until(p.t, "no call that waits", func() bool { return p.gateway.metric("inngest_gateway_admission_parked_calls") == 0 })
	before := p.away.did("answered")
	until(p.t, "calls that are answered", func() bool { return p.away.did("answered") > before+2*pairRate })
	p.host.vanish()
	until(p.t, "a breaker that opens", func() bool { return p.endpoint().Breaker != "closed" })
	until(p.t, "calls that wait", func() bool { return p.gateway.metric("inngest_gateway_admission_parked_calls") > 0 })
	return p.endpoint().Calls
}

// endpoint is what the gateway knows of the app's endpoint.
func (p *pair) endpoint() endpointStatus {
	for _, e := range p.gateway.endpoints() {
		if e.App == p.away.id {
			return e
		}
	}
	p.t.Fatal("the gateway says nothing of the app's endpoint")
	return endpointStatus{}
}

// judge ends the load and says what is wrong if not every run of both apps
// completed, or the app that was away burned or repeated more than that.
func (p *pair) judge(most int) {
	p.t.Helper()
	runs := map[*app]int{p.away: p.stopAway(), p.well: p.stopWell()}
	p.server.ended(runs[p.away] + runs[p.well])
	for a, want := range runs {
		most := most
		if a == p.well {
			most = 0
		}
		got := p.server.tally(a.id)
		steps, again := a.repeated()
		if got.Completed != want || got.Other != 0 || got.Burned > most || steps != want*appSteps || again > most {
			p.t.Errorf("%s, of %d runs: %+v; %d steps, %d executions too many; want all completed, and at most %d attempts burned", a.id, want, got, steps, again, most)
		}
		p.t.Logf("%s: %s", a.id, told(want, got, again, p.gateway))
	}
}

// The host of an app vanishes without a word under load. Another app, on another
// host, notices nothing.
func TestApp_outageOfItsHost(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	// What was sent is sent again by the systems until the host is back: not one
	// attempt is burned.
	t.Run("for a moment", func(t *testing.T) {
		t.Parallel()
		p := newPair(t, 10, 11, 20*time.Millisecond)
		for range outages().rounds {
			p.vanish()
			pass(time.Second)
			p.host.comeBack()
		}
		p.judge(0)
	})
	// The host is back, and knows nothing of the connections that it had: it
	// resets them when it is sent something. Only what was sent to it is lost.
	t.Run("which restarts", func(t *testing.T) {
		t.Parallel()
		p := newPair(t, 20, 21, 200*time.Millisecond)
		sent := p.vanish()
		p.away.process.kill()
		p.host.comeBack()
		p.away.start()
		until(t, "calls that are known to be lost", func() bool { return p.server.tally("shop").Burned > 0 })
		p.judge(sent)
	})
	// The host is not there when its first calls come.
	t.Run("from the start", func(t *testing.T) {
		t.Parallel()
		const runs = 40
		s, h := newServer(t), newHost(t, 30)
		a := h.newApp("shop", time.Millisecond)
		g := newGateway(t, s, []*app{a}, "")
		h.vanish()
		g.start()
		s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
		s.begin("shop", runs)
		until(t, "calls that wait", func() bool { return g.metric("inngest_gateway_admission_parked_calls") == runs })
		h.comeBack()
		a.start()
		s.ended(runs)
		if got := s.tally("shop"); got.Completed != runs || got.Burned != 0 {
			t.Errorf("%+v; want %d runs completed and no attempt burned", got, runs)
		}
	})
	if !*long {
		return
	}
	// What was sent and is not acknowledged comes back long before the host does.
	t.Run("for long", func(t *testing.T) {
		t.Parallel()
		p := newPair(t, 40, 41, 200*time.Millisecond)
		sent := p.vanish()
		pass(time.Minute)
		until(t, "all calls known to be lost", func() bool { return p.endpoint().Calls == 0 })
		p.host.comeBack()
		p.judge(sent)
	})
}
