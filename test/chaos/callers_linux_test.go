package chaos

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Callers vanish without a word, wherever their calls are: nothing of them may
// stay in the gateway. Other callers notice nothing.
func TestGateway_outageOfItsCallers(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	const each, unread, runs = 25, 10, 50
	s, h := newServer(t), newHost(t, 50)
	absent, frozen, well := newApp(t, "shop", 0), newApp(t, "mail", 0), newApp(t, "well", time.Millisecond)
	absent.settings = "wait: {max: 6s}"
	if *long {
		absent.settings = "wait: {max: 4m}"
	}
	g := newGateway(t, s, []*app{absent, frozen, well, newTalker(t, "talk")},
		"limits: {idle_timeout: 6s, write_timeout: 5s, answer: 16MiB, memory: 1GiB}")
	frozen.start()
	well.start()
	g.start()
	s.register("well", "t/well", "http://"+g.inngest+"/well")

	frozen.process.signal(syscall.SIGSTOP)
	quiet := callFrom(h, g.inngest, "/shop", each) // parked
	quiet += callFrom(h, g.inngest, "/mail", each) // running
	until(t, "calls that wait", func() bool { return g.metric("inngest_gateway_admission_parked_calls") == each })
	until(t, "calls that run", func() bool { return g.metric("inngest_gateway_pool_in_flight_calls") == each })
	// The system looks for callers that say nothing.
	if got := keptAlive(t, g.inngest); got != quiet {
		t.Errorf("%d of %d silent callers are looked for", got, quiet)
	}
	all := quiet + callFrom(h, g.inngest, "/talk", unread) // answered, and not read
	until(t, "all calls", func() bool { return g.metric("inngest_gateway_inbound_in_flight_requests") == float64(all) })
	h.vanish()
	s.begin("well", runs)
	s.ended(runs)
	// In the short form the calls that wait are shed at the end of their time, in
	// the long form before, because their callers are gone.
	until(t, "no call that waits", func() bool { return g.metric("inngest_gateway_admission_parked_calls") == 0 })
	frozen.process.signal(syscall.SIGCONT)

	until(t, "no request", func() bool { return g.metric("inngest_gateway_inbound_in_flight_requests") == 0 })
	until(t, "no connection", func() bool { return g.metric("inngest_gateway_inbound_open_connections") == 0 })
	until(t, "no memory in use", func() bool { return g.metric("inngest_gateway_budget_used_bytes") == 0 })
	if shed := g.metric("inngest_gateway_admission_shed_calls_total"); (shed > 0) == *long {
		t.Errorf("%v calls were shed", shed)
	}
	if got := s.tally("well"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("another caller's runs: %+v; want %d completed and no attempt burned", got, runs)
	}
}

// callFrom makes calls on a host, each on a connection of its own, and reads no
// answer. It tells how many there are.
func callFrom(h *host, address, path string, calls int) int {
	h.tb.Helper()
	for n := range calls {
		c, err := h.dialFrom(address)
		if err != nil {
			h.tb.Fatal(err)
		}
		h.tb.Cleanup(func() { c.Close() })
		c.(*net.TCPConn).SetReadBuffer(32 << 10)
		request := callOf(path, n, "", nil)
		if _, err := request.WriteTo(c); err != nil {
			h.tb.Fatal(err)
		}
	}
	return calls
}

// keptAlive counts the connections to an address whose other end is asked for a
// sign of life when it is silent.
func keptAlive(tb testing.TB, address string) (n int) {
	tb.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		tb.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		tb.Fatal(err)
	}
	const established, keepalive = "01", "02:"
	for line := range strings.Lines(string(text)) {
		// sl, local, remote, state, queues, timer
		fields := strings.Fields(line)
		if len(fields) > 5 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == established && strings.HasPrefix(fields[5], keepalive) {
			n++
		}
	}
	return n
}
