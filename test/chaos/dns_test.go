package chaos

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// namesSize is the length of a file with names, whatever is in it: it is written
// over at once, so that nobody reads half of it.
const namesSize = 512

// A names is a file with the names of hosts that one gateway alone knows.
type names struct {
	tb   testing.TB
	path string
}

func newNames(tb testing.TB) *names {
	tb.Helper()
	n := &names{tb: tb, path: filepath.Join(tb.TempDir(), "hosts")}
	if err := os.WriteFile(n.path, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	n.set()
	return n
}

// set makes these the addresses of shop.test; without one nobody knows the name.
// A gateway looks at the file again after 5 s.
func (n *names) set(addresses ...string) {
	n.tb.Helper()
	text := []byte("127.0.0.1 localhost\n")
	for _, a := range addresses {
		text = fmt.Appendf(text, "%s shop.test\n", a)
	}
	text = append(text, bytes.Repeat([]byte{'\n'}, namesSize-len(text))...)
	file, err := os.OpenFile(n.path, os.O_WRONLY, 0) // the same file: it is mounted
	if err != nil {
		n.tb.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		n.tb.Fatal(err)
	}
}

// wrap is the command that runs another one with these names for all that it
// knows: the name server that it asks for others is not there. That needs a user
// namespace.
func (n *names) wrap(t *testing.T) []string {
	t.Helper()
	servers := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(servers, []byte("nameserver 127.0.0.200\noptions timeout:1 attempts:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrap := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		`mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`, n.path, servers}
	if text, err := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...).CombinedOutput(); err != nil {
		t.Skipf("names of its own cannot be had here: %v %s", err, text)
	}
	return wrap
}

// A move is one app under load whose processes have addresses of their own, and
// which the gateway knows by name.
type move struct {
	t         *testing.T
	names     *names
	server    *server
	gateway   *gateway
	old, next *app
	stop      func() int
}

const (
	oldHost, nextHost = "127.0.0.2", "127.0.0.3"
	moveRate          = 25 // runs that begin in a second
	some              = 50 // answers that tell that calls are answered
)

// newMove starts the first process and the load.
func newMove(t *testing.T, scheme string) *move {
	t.Helper()
	m := &move{t: t, names: newNames(t), server: newServer(t), old: newApp(t, "shop", 20*time.Millisecond), next: newApp(t, "shop", 20*time.Millisecond)}
	m.old.address = freeAddressOf(t, oldHost)
	_, port, _ := net.SplitHostPort(m.old.address)
	m.next.address = net.JoinHostPort(nextHost, port)
	m.old.endpoint = scheme + "://shop.test:" + port
	m.gateway = newGateway(t, m.server, []*app{m.old}, "")
	m.gateway.wrap = m.names.wrap(t)
	m.names.set(oldHost)
	m.old.start()
	m.gateway.start()
	m.server.register("shop", "t/shop", "http://"+m.gateway.inngest+"/shop")
	m.stop = steadily(t, m.server, "shop", moveRate)
	m.answers(m.old)
	return m
}

// answers waits until a process has answered more calls.
func (m *move) answers(a *app) {
	m.t.Helper()
	before := a.did("answered")
	until(m.t, "calls that are answered at "+a.address, func() bool { return a.did("answered") >= before+some })
}

// leave has a process go as one that is replaced does.
func (m *move) leave(a *app) {
	m.t.Helper()
	a.process.signal(syscall.SIGTERM)
	if err := a.process.wait(); err != nil {
		m.t.Errorf("app at %s: %v", a.address, err)
	}
}

// knows waits until the gateway calls at these hosts and no others.
func (m *move) knows(hosts ...string) {
	m.t.Helper()
	until(m.t, fmt.Sprint("calls to ", hosts), func() bool {
		var got []string
		for _, e := range m.gateway.endpoints() {
			host, _, _ := net.SplitHostPort(e.Address)
			got = append(got, host)
		}
		slices.Sort(got)
		return slices.Equal(got, hosts)
	})
}

// says waits for a line in the gateway's log.
func (m *move) says(line string) {
	m.t.Helper()
	until(m.t, line, func() bool { return strings.Contains(m.gateway.log.String(), line) })
}

// judge ends the load. No attempt may be burned but for what an app says itself
// that it dropped, and each step runs once, at one process or the other.
func (m *move) judge() {
	m.t.Helper()
	runs := m.stop()
	m.server.ended(runs)
	got := m.server.tally("shop")
	most := m.old.did("dropped") + m.next.did("dropped")
	steps := m.old.executions()
	for step, n := range m.next.executions() {
		steps[step] += n
	}
	again := 0
	for _, n := range steps {
		again += n - 1
	}
	if got.Completed != runs || got.Other != 0 || got.Burned > most || len(steps) != runs*appSteps || again > most {
		m.t.Errorf("of %d runs: %+v; %d steps, %d executions too many; want all completed, and at most %d attempts burned", runs, got, len(steps), again, most)
	}
	m.t.Logf("%d + %d calls; %s", m.old.did("call"), m.next.did("call"), told(runs, got, again, m.gateway))
}

// The names of apps change while calls run.
func TestApp_byANameThatChanges(t *testing.T) {
	// The app moves: the name has another address, and its old process goes. Then
	// nobody knows the name, while the app restarts.
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		m := newMove(t, "http")
		m.next.start()
		m.names.set(nextHost)
		m.leave(m.old)
		m.answers(m.next)

		m.names.set()
		m.leave(m.next)
		until(t, "a name that is not found", func() bool { return strings.Contains(m.gateway.endpoints()[0].LastError, "lookup shop.test") })
		before := m.next.did("call")
		m.next.start()
		waiting := m.gateway.metric("inngest_gateway_admission_parked_calls")
		until(t, "more calls that wait", func() bool { return m.gateway.metric("inngest_gateway_admission_parked_calls") > waiting })
		if got := m.next.did("call") - before; got != 0 {
			t.Errorf("%d calls found an app without an address", got)
		}
		m.names.set(nextHost)
		m.answers(m.next)
		m.judge()
	})
	// The name gets a second address, and both are called. Then nobody knows it:
	// the gateway goes on with what it knew. It is back without its first address,
	// where calls are in hands: they end, and no more get there.
	t.Run("dns+http", func(t *testing.T) {
		t.Parallel()
		m := newMove(t, "dns+http")
		m.next.start()
		m.names.set(oldHost, nextHost)
		m.answers(m.next)
		m.answers(m.old)

		m.old.process.signal(syscall.SIGSTOP)
		until(t, "calls in its hands", func() bool {
			return slices.ContainsFunc(m.gateway.endpoints(), func(e endpointStatus) bool { return e.Address == m.old.address && e.Calls > 0 })
		})
		m.names.set()
		m.says("name lookup failed")
		m.answers(m.next)
		m.knows(oldHost, nextHost)

		m.names.set(nextHost)
		m.says("name lookup works again")
		m.knows(nextHost)
		m.old.process.signal(syscall.SIGCONT)
		m.answers(m.next)
		before := m.old.did("call")
		m.answers(m.next)
		if got := m.old.did("call") - before; got != 0 {
			t.Errorf("%d calls reached an address that the name had no more", got)
		}
		m.judge()
	})
}
