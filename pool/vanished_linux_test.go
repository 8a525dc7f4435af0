package pool

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// ownNetwork is set in the process that has a network of its own.
const ownNetwork = "POOL_TEST_OWN_NETWORK"

// A host is one that an app runs on. When it vanishes nothing that is sent to it
// is acknowledged, and nothing comes from it: no end, no reset.
type host struct {
	net.Listener
	mu     sync.Mutex
	theirs []*net.TCPConn // the host's ends
	ours   []*net.TCPConn
}

// newHost returns a host that listens. In a network of its own it has an address
// of its own, which it loses when it vanishes. Elsewhere filters drop what comes
// to its sockets and from them.
func newHost(t *testing.T) *host {
	t.Helper()
	at := "127.0.0.1:0"
	if os.Getenv(ownNetwork) != "" {
		ip(t, "link set lo up")
		ip(t, "route replace 10.9.0.0/24 dev lo")
		ip(t, "addr replace 10.9.0.1/32 dev lo")
		ip(t, "addr replace 10.9.0.2/32 dev lo")
		at = "10.9.0.2:0"
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // it takes no filter
	l, err := config.Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	return &host{Listener: l}
}

// Accept takes the next connection.
func (h *host) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		h.mu.Lock()
		h.theirs = append(h.theirs, c.(*net.TCPConn))
		h.mu.Unlock()
	}
	return c, err
}

// dialer makes d open the connections to the host.
func (h *host) dialer(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err == nil {
			h.mu.Lock()
			h.ours = append(h.ours, c.(*net.TCPConn))
			h.mu.Unlock()
		}
		return c, err
	}
}

func (h *host) vanish(t *testing.T) {
	t.Helper()
	if os.Getenv(ownNetwork) != "" {
		ip(t, "addr del 10.9.0.2/32 dev lo")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	dropAll(t, h.Listener.(*net.TCPListener))
	for _, c := range append(h.theirs, h.ours...) {
		dropAll(t, c)
	}
}

// dropAll makes a socket deaf, without a word to who sends.
func dropAll(t *testing.T, socket syscall.Conn) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &all[0]})
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatalf("filter of a socket: %v", err)
	}
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// The tests below again, on a host that really loses its address.
func TestVanished_inANetworkOfItsOwn(t *testing.T) {
	if os.Getenv(ownNetwork) != "" {
		t.Skip("this is the network")
	}
	t.Parallel()
	inNetwork := func(program string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), ownNetwork+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		return cmd.CombinedOutput()
	}
	if out, err := inNetwork("ip", "link", "set", "lo", "up"); err != nil {
		t.Skipf("this system gives no network of its own: %v\n%s", err, out)
	}
	out, err := inNetwork(os.Args[0], "-test.run=^TestVanished_", "-test.v")
	if err != nil || !strings.Contains(string(out), "--- PASS: TestVanished_endsCalls") {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
}

// vanishing starts an app on a host that can vanish, and an upstream that notices
// within seconds.
func vanishing(t *testing.T, f faultyapp.Fault) (*host, *Upstream) {
	t.Helper()
	if os.Getenv(ownNetwork) == "" {
		t.Parallel() // else they share the host
	}
	h := newHost(t)
	app := faultyapp.Start(t, faultyapp.Options{Listener: h})
	app.Make(f)
	o := options(t, app.URL())
	o.Dial = h.dialer(dialer())
	o.MaxAnswer, o.Breaker.ConsecutiveFailures = 32<<20, 1
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u.vanishAfter = time.Second
	u.runUntilEnd(t)
	return h, u
}

// ofARun is a call of which the app does nothing before it has read it all.
func ofARun(size int) *call.Call {
	cl := post(strings.Repeat("x", size))
	cl.Identity = inngest.Identity{RunID: "01J", JobID: "job"}
	return cl
}

// frozen is an app that is frozen for a while when it should read a call.
func frozen(f func(x *faultyapp.Exchange) bool) faultyapp.Fault {
	return faultyapp.Fault{BeforeBody: true, Serve: func(x *faultyapp.Exchange) bool {
		if !f(x) {
			return false
		}
		body, err := io.ReadAll(x.Request.Body)
		x.Body = string(body)
		return err == nil && x.Send(x.Own())
	}}
}

func afterAMoment(x *faultyapp.Exchange) bool {
	return x.Pause(200*time.Millisecond) && x.Send(x.Own())
}

func TestVanished_endsCallsAndDropsIdleConnections(t *testing.T) {
	h, u := vanishing(t, faultyapp.Fault{Serve: afterAMoment})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { mustDo(t, u, post("x")) })
	}
	all.Wait()
	h.vanish(t)
	idle := u.Status()[0].Idle
	_, err := u.Do(t.Context(), ofARun(10))
	e := wantError(t, err, inngest.CodeUpstreamReset)
	if !errors.Is(err, ErrVanished) || !e.Sent || e.Endpoint != u.opt.Endpoints[0] {
		t.Errorf("error %v, sent %v; want that the host is gone, and nobody knows", e, e.Sent)
	}
	if s := u.Status()[0]; idle != 3 || s.Connections != 0 || u.Usable() {
		t.Errorf("%d idle connections before, %d connections after; usable %v", idle, s.Connections, u.Usable())
	}
}

func TestVanished_endsCallsOverTLS(t *testing.T) {
	cert, _ := certificate(t)
	h := newHost(t)
	app := faultyapp.Start(t, faultyapp.Options{Listener: tls.NewListener(h, &tls.Config{Certificates: []tls.Certificate{cert}})})
	o := options(t, "https://"+app.Addr())
	o.Dial = h.dialer(dialer())
	o.TLS = &tls.Config{InsecureSkipVerify: true} // the certificate is for another address
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u.vanishAfter = time.Second
	u.runUntilEnd(t)
	mustDo(t, u, post("x"))
	h.vanish(t)
	if _, err := u.Do(t.Context(), ofARun(10)); !errors.Is(err, ErrVanished) {
		t.Errorf("Do = %v, want that the host is gone", err)
	}
}

// The last byte never went out, so the app has done nothing.
func TestVanished_knowsWhatWasNotSentToItsEnd(t *testing.T) {
	for name, afterBytes := range map[string]bool{"the host went first": false, "the app was frozen, then its host went": true} {
		t.Run(name, func(t *testing.T) {
			came := make(chan struct{})
			h, u := vanishing(t, frozen(func(x *faultyapp.Exchange) bool {
				if x.N > 1 {
					close(came)
					x.Hang()
					return false
				}
				return true
			}))
			mustDo(t, u, post("x"))
			if !afterBytes {
				h.vanish(t)
			}
			done := make(chan error, 1)
			go func() {
				_, err := u.Do(t.Context(), ofARun(16<<20))
				done <- err
			}()
			if afterBytes {
				<-came
				h.waitForClosedWindow(t)
				h.vanish(t)
			}
			err := <-done
			e := wantError(t, err, inngest.CodeUpstreamReset)
			m := u.opt.Metrics
			resets := testutil.ToFloat64(m.Calls.WithLabelValues("shop", e.Endpoint, string(inngest.CodeUpstreamReset)))
			unsent := testutil.ToFloat64(m.Resends.WithLabelValues("shop", "unsent"))
			if !errors.Is(err, ErrVanished) || e.Sent || resets != 1 || unsent != 1 { // it may go to another endpoint
				t.Errorf("%v, sent %v; %v resets, %v calls sent again", e, e.Sent, resets, unsent)
			}
		})
	}
}

// waitForClosedWindow waits until a host acknowledges but takes no more bytes.
func (h *host) waitForClosedWindow(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	raw, err := h.theirs[0].SyscallConn()
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for before := -1; ; <-tick.C {
		var waiting int
		if raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) != nil || err != nil {
			t.Fatalf("bytes that wait: %v", err)
		}
		if waiting > 0 && waiting == before {
			return
		}
		before = waiting
	}
}

// A frozen app reads nothing, but its host acknowledges, ever more rarely when
// the window is closed: nothing is lost when it thaws.
func TestFrozenApp_losesNothing(t *testing.T) {
	for name, size := range map[string]int{"a small call": 10, "more than its host takes": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			_, u := vanishing(t, frozen(func(x *faultyapp.Exchange) bool { return x.Pause(8 * time.Second) }))
			cl := ofARun(size)
			if got := mustDo(t, u, cl); got != faultyapp.Own(string(cl.Body)) {
				t.Errorf("the answer has %d bytes", len(got))
			}
		})
	}
}

// One address may be several hosts, or the network may forget one connection.
func TestVanished_judgesEachConnection(t *testing.T) {
	if os.Getenv(ownNetwork) != "" {
		t.Skip("the whole host is gone here")
	}
	came, goOn := make(chan struct{}), make(chan struct{})
	h, u := vanishing(t, faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
		if x.Body == "waits" {
			came <- struct{}{}
			<-goOn
		}
		return x.Send(x.Own())
	}})
	mustDo(t, u, post("first connection"))
	waits := make(chan string, 1)
	go func() { waits <- mustDo(t, u, post("waits")) }()
	<-came
	mustDo(t, u, post("second connection"))
	dropAll(t, h.theirs[1])
	dropAll(t, h.ours[1])
	if _, err := u.Do(t.Context(), ofARun(10)); !errors.Is(err, ErrVanished) {
		t.Errorf("Do = %v, want that the host is gone", err)
	}
	close(goOn)
	if got := <-waits; got != faultyapp.Own("waits") {
		t.Errorf("the other call got %q", got)
	}
}

// Nothing is on its way while an answer is awaited: the system asks the host.
func TestVanished_endsCallsThatAwaitTheirAnswer(t *testing.T) {
	came := make(chan struct{})
	h, u := vanishing(t, faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
		close(came)
		x.Hang()
		return false
	}})
	impatient := dialer()
	impatient.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}
	u.dial = h.dialer(impatient)
	done := make(chan error, 1)
	go func() {
		_, err := u.Do(t.Context(), ofARun(10))
		done <- err
	}()
	<-came
	h.vanish(t)
	err := <-done
	if e := wantError(t, err, inngest.CodeUpstreamReset); !errors.Is(err, ErrVanished) || !e.Sent {
		t.Errorf("%v, sent %v", e, e.Sent)
	}
}

func TestDialer_hasTheSystemAskWhoIsSilent(t *testing.T) {
	u := run(t, options(t, "http://"+echoApp(t)))
	nc, err := u.dial(t.Context(), "tcp", u.fixed[0].address.hostPort)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]int{unix.TCP_KEEPIDLE: 0, unix.TCP_KEEPINTVL: 0, unix.TCP_KEEPCNT: 0}
	for name := range got {
		raw.Control(func(fd uintptr) { got[name], err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if idle, all := got[unix.TCP_KEEPIDLE], got[unix.TCP_KEEPINTVL]*got[unix.TCP_KEEPCNT]; idle != 15 || all != 30 {
		t.Errorf("after %d s of silence it asks for %d s, want 15 and 30", idle, all)
	}
}
