package chaos

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// networkVariable is set in a process that has a network of its own.
const networkVariable = "CHAOS_NETWORK"

// ownNetworkLimit is how long a test may take there.
const ownNetworkLimit = 5 * time.Minute

// ownNetwork has a test run by another process like this one, in a network that
// no other process has and where hosts can vanish. That process is told true;
// this one waits for its end, takes its verdict, and is told false. It needs a
// user namespace.
func ownNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(networkVariable) != "" {
		return true
	}
	wrap := []string{"unshare", "--user", "--map-root-user", "--net", "sh", "-c",
		`ip link set lo up && ip address add 10.9.0.1/32 dev lo && ip route add 10.9.0.0/24 dev lo src 10.9.0.1 && exec "$0" "$@"`}
	if text, err := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...).CombinedOutput(); err != nil {
		t.Skipf("a network of its own cannot be had here: %v %s", err, text)
	}
	binary, err := gatewayBinary()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap[1:], os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.parallel=8",
		"-test.timeout="+ownNetworkLimit.String(), fmt.Sprint("-long=", *long))
	var log output
	p := startProcess(t, "test in a network of its own", wrap[0], environ(networkVariable+"=1", binaryVariable+"="+binary), &log, nil, args...)
	select {
	case <-p.ended:
	case <-time.After(ownNetworkLimit + patience):
		t.Fatalf("no end within %s", ownNetworkLimit+patience)
	}
	switch text := log.String(); {
	case p.err != nil:
		t.Fatal(p.err) // what it said follows
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Fatal("the test did not run")
	default:
		t.Log(text)
	}
	return false
}

// A host is one of several beside the gateway's, in the test's own network. It
// vanishes without a word: what is sent to it is lost, what its processes send
// too, and connections stay as they are on both sides.
type host struct {
	tb      testing.TB
	address string
}

// newHost makes the host with that number, from 2 to 254, which is there.
func newHost(tb testing.TB, number int) *host {
	tb.Helper()
	h := &host{tb: tb, address: fmt.Sprintf("10.9.0.%d", number)}
	h.comeBack()
	return h
}

// route says or takes back that the host is here. Others reach it from an
// address of their own, as they do from another machine.
func (h *host) route(verb string) {
	h.tb.Helper()
	cmd := exec.Command("ip", "route", verb, "local", h.address, "dev", "lo", "table", "local", "src", "10.9.0.1")
	if text, err := cmd.CombinedOutput(); err != nil {
		h.tb.Fatalf("%s: %v %s", cmd, err, text)
	}
}

func (h *host) vanish() {
	h.tb.Helper()
	h.route("delete")
}

func (h *host) comeBack() {
	h.tb.Helper()
	h.route("add")
}

// newApp makes an app on this host.
func (h *host) newApp(id string, step time.Duration) *app {
	h.tb.Helper()
	a := newApp(h.tb, id, step)
	a.address = freeAddressOf(h.tb, h.address)
	a.upstream += ", dial_timeout: 500ms, probe: {timeout: 500ms}"
	return a
}

// dialFrom connects to an address as a process on this host does.
func (h *host) dialFrom(address string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(h.address)}, Timeout: patience}
	return d.Dial("tcp", address)
}
