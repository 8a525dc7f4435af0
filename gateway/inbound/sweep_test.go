package inbound

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// hasty makes the sweeper of a gateway quick.
func hasty(s *setup) {
	s.tick = 5 * time.Millisecond
}

// closedFor waits until the gateway ended one connection for that reason.
func (g *gateway) closedFor(t *testing.T, reason string) {
	t.Helper()
	eventually(t, "a connection is closed for "+reason, func() bool {
		return testutil.ToFloat64(g.metrics.Closed.WithLabelValues(reason)) == 1
	})
}

func TestSweep_closesHeadsThatDribble(t *testing.T) {
	for name, c := range map[string]string{
		"nothing sent":     "",
		"part of a line":   "POST /api/inn",
		"part of the head": "POST /api/inngest HTTP/1.1\r\nHost: gw\r\nX-A:",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { hasty(s); s.HeadTimeout = 50 * time.Millisecond })
			client := dial(t, g.addr)
			client.send(c)
			client.end()
			g.closedFor(t, "head_timeout")
		})
	}
}

func TestSweep_headThatKeepsDribblingIsClosedAllTheSame(t *testing.T) {
	g := newGateway(t, func(s *setup) { hasty(s); s.HeadTimeout = 100 * time.Millisecond })
	c := dial(t, g.addr)
	c.send("POST /api/inngest HTTP/1.1\r\nHost: gw\r\nX-A: ")
	stop := time.After(15 * time.Second)
	for {
		if _, err := io.WriteString(c.Conn, "a"); err != nil {
			break
		}
		select {
		case <-stop:
			t.Fatal("the connection dribbles on")
		case <-time.After(5 * time.Millisecond):
		}
	}
	g.closedFor(t, "head_timeout")
}

func TestSweep_closesIdleConnections(t *testing.T) {
	g := newGateway(t, func(s *setup) { hasty(s); s.IdleTimeout = 50 * time.Millisecond })
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	if r := c.reply("POST"); r.StatusCode != 200 || r.Close {
		t.Fatalf("answer = %d, close %v", r.StatusCode, r.Close)
	}
	c.end()
	g.closedFor(t, "idle")
}

func TestSweep_refusesBodiesBelowTheMinimumRate(t *testing.T) {
	for name, framing := range map[string]string{
		"length": "Content-Length: 1000000\r\n\r\n{",
		"chunks": "Transfer-Encoding: chunked\r\n\r\nfffff\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(s *setup) { hasty(s); s.bodyWindow = 50 * time.Millisecond })
			c := dial(t, g.addr)
			c.send("POST /api/inngest HTTP/1.1\r\nHost: gw\r\nX-Inngest-Signature: " + sign(t, "x") + "\r\n" + framing)
			r := c.reply("POST")
			if p := problemOf(t, r); r.StatusCode != 408 || p.Code != "body_too_slow" || p.Setting != "limits.body_min_rate" || !r.Close {
				t.Errorf("answer = %d %+v", r.StatusCode, p)
			}
			g.closedFor(t, "slow_body")
		})
	}
}

func TestSweep_measuresBodiesInWindows(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []int64 // that arrive in each second, at a minimum of 1000 a second
		slow  int     // second in which the body is found too slow, 0: never
	}{
		"nothing":                   {make([]int64, 30), 11},
		"just enough":               {repeat(1000, 30), 0},
		"a byte less":               {repeat(999, 30), 11},
		"pauses":                    {[]int64{0, 9000, 0, 0, 0, 0, 0, 0, 3000, 0, 0, 9000, 3000, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0},
		"all at once, then no more": {append([]int64{1 << 20}, make([]int64, 30)...), 11},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{opts: Options{MinBodyRate: 1000, Metrics: metrics.New(prometheus.NewRegistry()).Inbound}, bodyWindow: bodyWindow, tick: time.Second}
			body := &conn{server: s}
			body.Conn = nopConn{}
			body.enter(phaseBody)
			slow := 0
			for second, n := range c.bytes {
				body.arrived.Add(n)
				s.clock.Add(1000)
				s.look(body)
				if body.current() == phaseSlow {
					slow = second + 1
					break
				}
			}
			if slow != c.slow {
				t.Errorf("found too slow in second %d, want %d", slow, c.slow)
			}
		})
	}
}

func repeat(n int64, times int) []int64 { return slices.Repeat([]int64{n}, times) }

// The time that a body waits for memory is not held against its caller.
func TestSweep_sparesBodiesThatWaitForMemory(t *testing.T) {
	s := &Server{opts: Options{MinBodyRate: 1000}, bodyWindow: bodyWindow, tick: time.Second}
	body := &conn{server: s}
	body.Conn = nopConn{}
	for _, p := range []phase{phaseBody, phaseMemory, phaseBody} {
		body.enter(p)
		for range 10 {
			s.clock.Add(1000)
			if s.look(body); body.current() != p {
				t.Fatalf("phase %d became %d", p, body.current())
			}
			if p == phaseMemory {
				s.clock.Add(10_000)
			}
		}
	}
}

func TestSweep_closesCallersThatDoNotReadTheirAnswer(t *testing.T) {
	g := newGateway(t, func(s *setup) {
		hasty(s)
		s.WriteTimeout, s.MaxAnswer = 100*time.Millisecond, 64<<20
	})
	g.app.answers(ok(strings.Repeat("a", 32<<20)))
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1")))
	g.closedFor(t, "slow_answer")
	eventually(t, "the request is over", func() bool { return g.InFlight() == 0 })
}

func TestSweep_sparesCallsThatTakeLong(t *testing.T) {
	g := newGateway(t, func(s *setup) {
		hasty(s)
		s.HeadTimeout, s.IdleTimeout, s.WriteTimeout, s.bodyWindow = 400*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond, 400*time.Millisecond
	})
	g.app.does(func(context.Context, *call.Call) (*call.Answer, error) {
		began := g.clock.Load()
		eventually(t, "all of these have passed", func() bool { return g.clock.Load() > began+900 })
		return ok("late"), nil
	})
	if r := g.ask(t, signedCall(t, callBody("run1"))); r.text != "late" {
		t.Errorf("answer = %d %q", r.StatusCode, r.text)
	}
}

func TestLimit_ofConnectionsClosesTheOldestIdleOne(t *testing.T) {
	g := newGateway(t, func(s *setup) { hasty(s); s.MaxConnections = 3 })
	connect := func() *client {
		c := dial(t, g.addr)
		c.send(signedCall(t, callBody("run1")))
		if r := c.reply("POST"); r.StatusCode != 200 {
			t.Fatalf("answer = %d %q", r.StatusCode, r.text)
		}
		return c
	}
	later := func() { // the next connection is idle since a later tick
		now := g.clock.Load()
		eventually(t, "the clock moves", func() bool { return g.clock.Load() > now })
	}
	first := connect()
	later()
	second := connect()
	later()
	third := connect()
	later()
	fourth := connect()
	first.end()
	g.closedFor(t, "limit")
	for name, c := range map[string]*client{"second": second, "third": third, "fourth": fourth} {
		c.send(signedCall(t, callBody("run1")))
		if r, err := c.tryReply("POST"); err != nil || r.StatusCode != 200 {
			t.Errorf("%s connection: %v", name, err)
		}
	}
}

func TestLimit_ofConnectionsRefusesWhereNoneIsIdle(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, func(s *setup) { hasty(s); s.MaxConnections = 2 })
	g.app.does(func(context.Context, *call.Call) (*call.Answer, error) { <-release; return ok("done"), nil })
	var busy []*client
	for range 2 {
		c := dial(t, g.addr)
		c.send(signedCall(t, callBody("run1")))
		busy = append(busy, c)
	}
	eventually(t, "both calls run", func() bool { return len(g.app.requests()) == 2 })
	c := dial(t, g.addr)
	c.send(signedCall(t, callBody("run1"))) // what is not read must not reset the answer
	r, err := c.tryReply("POST")
	if err != nil {
		t.Fatal(err)
	}
	p := problemOf(t, r)
	if r.StatusCode != 503 || p.Code != "too_many_connections" || p.Setting != "limits.connections" || p.Limit != "2" || r.Header.Get("Retry-After") == "" || !r.Close {
		t.Errorf("answer = %d %v %+v", r.StatusCode, r.Header, p)
	}
	close(release)
	for _, c := range busy {
		if r := c.reply("POST"); r.text != "done" {
			t.Errorf("answer = %q", r.text)
		}
	}
}

func TestLimit_ofConnectionsDribblersGoBeforeAnybodyIsRefused(t *testing.T) {
	g := newGateway(t, func(s *setup) { hasty(s); s.MaxConnections = 50 })
	for i := range 50 {
		dial(t, g.addr).send(fmt.Sprintf("POST /%d", i))
	}
	eventually(t, "all dribble", func() bool {
		n := 0
		g.conns.each(func(c *conn) {
			if c.current() == phaseHead {
				n++
			}
		})
		return n == 50
	})
	for range 20 {
		if r := g.ask(t, signedCall(t, callBody("run1"), "Connection: close")); r.StatusCode != 200 {
			t.Fatalf("answer = %d %q", r.StatusCode, r.text)
		}
	}
}

func TestRegistry_evictsTheOldestFirst(t *testing.T) {
	s := &Server{}
	var all []*conn
	for i := range 300 {
		c := &conn{server: s}
		c.Conn = nopConn{}
		s.clock.Store(int64((i*7919)%300) + 1)
		c.enter(phaseIdle)
		s.open.Add(1)
		s.conns.add(c)
		all = append(all, c)
	}
	s.clock.Store(0)
	all[17].enter(phaseHead) // the oldest by its clock, but a head is under way
	for want := int64(1); want <= 299; want++ {
		if _, since := split(all[17].phase.Load()); since != 0 {
			t.Fatal("the head went before idle connections")
		}
		if want == int64((17*7919)%300)+1 {
			continue
		}
		if !s.conns.evict() {
			t.Fatalf("nothing evicted at %d", want)
		}
		for i, c := range all {
			if since := int64((i*7919)%300) + 1; since == want && c.current() != phaseClaimed {
				t.Fatalf("the connection that is idle since %d is still there", want)
			}
		}
	}
}
