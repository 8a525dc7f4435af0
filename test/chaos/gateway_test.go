package chaos

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A gateway is a gateway whose process may come and go; its addresses, its
// configuration and its state stay.
type gateway struct {
	tb                   testing.TB
	inngest, apps, admin string // addresses of the listeners
	config, state        string
	binary               func() (string, error)
	environ              []string // of the process, beside what all have
	clock                *clock   // nil: it is the host's
	wrap                 []string // a program, and its arguments, that runs the gateway
	log                  output   // of all its processes
	process              *process
}

// newGateway writes the configuration of a gateway that knows these apps and
// has further settings. It starts nothing.
func newGateway(tb testing.TB, s *server, apps []*app, more string) *gateway {
	tb.Helper()
	dir := tb.TempDir()
	g := &gateway{
		tb: tb, inngest: freeAddress(tb), apps: freeAddress(tb), admin: freeAddress(tb),
		config: filepath.Join(dir, "gateway.yaml"), state: filepath.Join(dir, "state"), binary: gatewayBinary,
	}
	var text strings.Builder
	fmt.Fprintf(&text, "inngest: {signing_key: %s, event_key: %s, api_url: %q, event_url: %q}\n", recorded.SigningKey, recorded.EventKey, s.url(), s.url())
	fmt.Fprintf(&text, "listen: {inngest: %q, apps: %q, admin: %q}\nstate_dir: %q\n%s\napps:\n", g.inngest, g.apps, g.admin, g.state, more)
	for _, a := range apps {
		endpoint := cmp.Or(a.endpoint, "http://"+a.address)
		fmt.Fprintf(&text, "  - id: %s\n    path: /%s\n    outage_budget: 1m\n    upstream: {endpoints: [%q], breaker: {open_for: 100ms}, %s}\n    %s\n", a.id, a.id, endpoint, a.upstream, a.settings)
	}
	if len(apps) == 0 {
		text.WriteString("  - {id: nobody, upstream: {endpoints: [\"http://127.0.0.1:1\"]}}\n")
	}
	if err := os.WriteFile(g.config, []byte(text.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return g
}

// start starts a process and waits until it is ready.
func (g *gateway) start() {
	g.tb.Helper()
	g.launch()
	until(g.tb, "a gateway that is ready", func() bool {
		if !g.process.running() {
			g.tb.Fatalf("gateway: %v", g.process.err)
		}
		return g.ready()
	})
}

// launch starts a process and waits for nothing.
func (g *gateway) launch() {
	g.tb.Helper()
	binary, err := g.binary()
	if err != nil {
		g.tb.Fatal(err)
	}
	command := append(slices.Clone(g.wrap), binary, "run", "--config", g.config)
	g.process = startProcess(g.tb, "gateway", command[0], environ(g.environ...), &g.log, nil, command[1:]...)
}

// ready asks the gateway whether it is ready.
func (g *gateway) ready() bool {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + g.admin + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process as a machine that loses its power does.
func (g *gateway) kill() { g.process.kill() }

// stop asks the process to drain, and waits for its end.
func (g *gateway) stop() {
	g.tb.Helper()
	g.process.signal(syscall.SIGTERM)
	if err := g.process.wait(); err != nil {
		g.tb.Errorf("gateway after SIGTERM: %v", err)
	}
}
