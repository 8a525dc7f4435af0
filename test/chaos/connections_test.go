package chaos

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// signedCall is a whole call request for an app's path.
func signedCall(tb testing.TB, path string) string {
	tb.Helper()
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	body := recorded.One(tb, 5).Request.Body
	return fmt.Sprintf("POST %s?fnId=work&stepId=step HTTP/1.1\r\nHost: gateway\r\nX-Inngest-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, signature.Sign(key, body, time.Now()), len(body), body)
}

// A crowd is connections to one address that say nothing, or too little, and
// stay until they are ended.
type crowd struct {
	tb      testing.TB
	each    int // connections of each kind
	kinds   map[string]func(net.Conn)
	over    chan struct{}
	ended   chan string // the kind of each that was
	stopped sync.WaitGroup
}

// newCrowd opens connections, so many of each kind. They have parts of a request
// to say.
func newCrowd(tb testing.TB, address, request string, each int) *crowd {
	tb.Helper()
	head, body, _ := strings.Cut(request, "\r\n\r\n")
	c := &crowd{tb: tb, each: each, over: make(chan struct{})}
	c.kinds = map[string]func(net.Conn){
		"silent":           func(net.Conn) {},
		"half a head":      func(c net.Conn) { io.WriteString(c, head[:len(head)/2]) },
		"half a body":      func(c net.Conn) { io.WriteString(c, head+"\r\n\r\n"+body[:len(body)/2]) },
		"a head, bytewise": func(conn net.Conn) { drip(conn, head, c.over) },
		"a body, bytewise": func(conn net.Conn) {
			io.WriteString(conn, head+"\r\n\r\n")
			drip(conn, body, c.over)
		},
	}
	c.ended = make(chan string, len(c.kinds)*each)
	opened := make(chan struct{}, len(c.kinds)*each)
	for kind, speak := range c.kinds {
		for range each {
			c.stopped.Go(func() { c.one(address, kind, speak, opened) })
		}
	}
	for range len(c.kinds) * each {
		<-opened
	}
	return c
}

func (c *crowd) one(address, kind string, speak func(net.Conn), opened chan<- struct{}) {
	conn, err := net.Dial("tcp", address)
	opened <- struct{}{}
	if err != nil {
		c.tb.Errorf("%s: %v", kind, err)
		return
	}
	defer conn.Close()
	go speak(conn)
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		return // still open
	}
	c.ended <- kind
}

// judge waits until all connections were ended.
func (c *crowd) judge() {
	c.tb.Helper()
	c.stopped.Wait()
	close(c.over)
	close(c.ended)
	ended := map[string]int{}
	for kind := range c.ended {
		ended[kind]++
	}
	for kind := range c.kinds {
		if ended[kind] != c.each {
			c.tb.Errorf("%s: %d of %d connections were ended", kind, ended[kind], c.each)
		}
	}
}

// Connections that say nothing, or too little, are ended after their time;
// meanwhile calls lack nothing.
func TestGateway_withConnectionsThatHang(t *testing.T) {
	const each, runs = 150, 100
	s := newServer(t)
	a := newApp(t, "shop", time.Millisecond)
	g := newGateway(t, s, []*app{a}, "limits: {head_timeout: 5s, connections: 2000, write_timeout: 1s}")
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	// Callers open connections that they then need for no call, and must not meet
	// their end when they do: the calls end long before those.
	crowd := newCrowd(t, g.inngest, signedCall(t, "/shop"), each)
	s.begin("shop", runs)
	s.ended(runs)
	crowd.judge()
	if got := s.tally("shop"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("runs beside the connections: %+v; want %d completed and no attempt burned", got, runs)
	}
}

// More connections than there may be do not keep a call out: those that say
// nothing go first.
func TestGateway_withMoreConnectionsThanItTakes(t *testing.T) {
	const limit, runs = 50, 25
	s := newServer(t)
	a := newApp(t, "shop", time.Millisecond)
	g := newGateway(t, s, []*app{a}, fmt.Sprintf("limits: {connections: %d}", limit))
	a.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	for range 3 * limit {
		c, err := net.Dial("tcp", g.inngest)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	s.begin("shop", 1)
	s.ended(1)
	if got := s.tally("shop"); got.Completed != 1 || got.Burned != 0 {
		t.Errorf("a run beside the connections: %+v; want it completed and no attempt burned", got)
	}
	s.begin("shop", runs)
	s.ended(1 + runs)
	if got := s.tally("shop"); got.Completed != 1+runs || got.Burned != 0 {
		t.Errorf("runs beside the connections: %+v; want %d completed and no attempt burned", got, 1+runs)
	}
}

// drip sends a text a byte at a time, as slowly as never to end.
func drip(c net.Conn, text string, over <-chan struct{}) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for i := range len(text) {
		if _, err := io.WriteString(c, text[i:i+1]); err != nil {
			return
		}
		select {
		case <-every.C:
		case <-over:
			return
		}
	}
}

// An app that takes connections and never answers costs those of its own calls
// alone that it took before its breaker opened. When a good one listens there,
// its runs go on.
func TestApp_thatNeverAnswers(t *testing.T) {
	const runs = 60
	s := newServer(t)
	mute, well := newApp(t, "shop", time.Millisecond), newApp(t, "mail", time.Millisecond)
	mute.upstream += ", answer_timeout: 1s"
	g := newGateway(t, s, []*app{mute, well}, "")
	well.start()
	g.start()
	s.register("shop", "t/shop", "http://"+g.inngest+"/shop")
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")

	hole := openHole(t, mute.address)
	s.begin("shop", runs)
	until(t, "calls in the hole", func() bool { return hole.taken() > 0 })
	s.begin("mail", runs)
	until(t, "the other app's runs", func() bool { return s.tally("mail").Completed == runs })
	until(t, "a first refusal", func() bool { return s.tally("shop").Burned > 0 })
	s.begin("shop", runs) // now the breaker is open
	s.begin("mail", runs)
	until(t, "the other app's runs", func() bool { return s.tally("mail").Completed == 2*runs })
	if got := hole.taken(); got > runs+runs/2 {
		t.Errorf("%d connections to an app that answered none of the first %d calls", got, runs)
	}
	hole.close()
	mute.start()
	s.ended(4 * runs)

	if got := s.tally("mail"); got.Completed != 2*runs || got.Burned != 0 {
		t.Errorf("the other app: %+v; want %d runs completed and no attempt burned", got, 2*runs)
	}
	got := s.tally("shop")
	if got.Completed != 2*runs || got.Burned > hole.taken() {
		t.Errorf("the mute app: %+v; want %d runs completed and no attempt burned but those of %d calls that it took", got, 2*runs, hole.taken())
	}
	if steps, again := mute.repeated(); steps != 2*runs*appSteps || again != 0 {
		t.Errorf("%d steps were executed, want %d; %d executions too many", steps, 2*runs*appSteps, again)
	}
	t.Logf("connections in the hole: %d, attempts burned: %d %v", hole.taken(), got.Burned, got.Failures)
}

// A hole takes connections, reads what comes and says nothing.
type hole struct {
	ln    net.Listener
	done  sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func openHole(tb testing.TB, address string) *hole {
	tb.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	h := &hole{ln: ln}
	h.done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			h.done.Go(func() { io.Copy(io.Discard, c) })
		}
	})
	tb.Cleanup(h.close)
	return h
}

func (h *hole) taken() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// close ends the listener and all connections.
func (h *hole) close() {
	h.ln.Close()
	h.mu.Lock()
	for _, c := range h.conns {
		c.Close()
	}
	h.mu.Unlock()
	h.done.Wait()
}
