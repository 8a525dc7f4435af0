package rig

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const module = "github.com/inngest-gateway/inngest-gateway"

// BuildGateway builds the gateway, statically as it is released, into dir and
// returns the path of the binary. It needs the go command and a working
// directory inside the repository, in whichever of its modules.
func BuildGateway(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", module, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "gateway")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/gateway")
	cmd.Dir = string(bytes.TrimSpace(root))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, bytes.TrimSpace(out))
	}
	return binary, nil
}

// GatewayOptions configures a Gateway.
type GatewayOptions struct {
	Binary string
	File   string // its configuration, to be written
	App    string // host:port of the app, which plays Inngest too unless Server does
	Server string // host:port of Inngest; empty: App
	Path   string // of the app, here and there
	Key    string // signing key
	Memory string // limits.memory; empty: the default
	State  string // state_dir; empty: none
	Events string // what stands under events, as a YAML mapping in one line; empty: the defaults
	More   string // further settings, as YAML
}

// A Gateway is a gateway in a process of its own.
type Gateway struct {
	*Process
	Inngest string // the listener that Inngest calls, host:port
	Apps    string // the listener that apps call
	Admin   string
}

// EventKey is the event key of the gateway.
const EventKey = "bench-event-key-0123456789abcdef"

// One app in mode passthrough; what is not said is the default. Successful calls
// are not logged: one in a million.
const gatewayConfig = `
inngest: {signing_key: env:INNGEST_SIGNING_KEY, event_key: ` + EventKey + `, api_url: "http://%[9]s", event_url: "http://%[9]s"}
listen: {inngest: "%[2]s", apps: "%[3]s", admin: "%[4]s"}
public_url: http://%[2]s
log: {sample: 1000000}
admin: {pprof: true}
limits: {%[6]s}
events: {%[7]s}
%[8]s
apps:
  - id: bench
    path: %[5]s
    upstream: {endpoints: ["http://%[1]s"]}
%[10]s
`

// StartGateway starts a gateway and waits until it is ready.
func StartGateway(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	addresses, err := FreeAddresses(3)
	if err != nil {
		return nil, err
	}
	limits, state := "", ""
	if o.Memory != "" {
		limits = "memory: " + o.Memory
	}
	if o.State != "" {
		state = "state_dir: " + strconv.Quote(o.State)
	}
	text := fmt.Sprintf(gatewayConfig, o.App, addresses[0], addresses[1], addresses[2], o.Path, limits, o.Events, state,
		cmp.Or(o.Server, o.App), o.More)
	if err := os.WriteFile(o.File, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// Nothing of the caller's environment configures it.
	p, err := Start("gateway", []string{"INNGEST_SIGNING_KEY=" + o.Key}, o.Binary, "run", "--config", o.File)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Process: p, Inngest: addresses[0], Apps: addresses[1], Admin: addresses[2]}
	if err := g.ready(ctx); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return g, nil
}

// FreeAddresses returns addresses on loopback that were free a moment ago.
func FreeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses, nil
}

func (g *Gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := g.get(ctx, "/readyz")
		if err == nil {
			err = spoolOpen(text)
		}
		if err == nil {
			return nil
		}
		select {
		case <-g.ended:
			return g.gone()
		case <-ctx.Done():
			return fmt.Errorf("the gateway is not ready: %w\n%s", err, g.output)
		case <-tick.C:
		}
	}
}

// spoolOpen returns an error while a gateway that is ready has a spool that is
// not: it would refuse events that it cannot send.
func spoolOpen(readiness []byte) error {
	var r struct {
		Checks []struct {
			Name   string
			OK     bool
			Reason string
		}
	}
	if err := json.Unmarshal(readiness, &r); err != nil {
		return fmt.Errorf("/readyz: %w", err)
	}
	for _, c := range r.Checks {
		if c.Name == "spool" && !c.OK {
			return fmt.Errorf("spool: %s", c.Reason)
		}
	}
	return nil
}

// Profile lets the gateway profile its processor time for d.
func (g *Gateway) Profile(ctx context.Context, d time.Duration) ([]byte, error) {
	return g.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))))
}

// Allocations returns the profile of what the gateway has allocated so far.
func (g *Gateway) Allocations(ctx context.Context) ([]byte, error) {
	return g.get(ctx, "/debug/pprof/allocs")
}

// Goroutines returns how many there are in the gateway.
func (g *Gateway) Goroutines(ctx context.Context) (int, error) {
	text, err := g.get(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(string(text), "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("goroutine profile: %w", err)
	}
	return n, nil
}

// Metrics returns the gateway's metrics, each summed over its labels.
func (g *Gateway) Metrics(ctx context.Context) (map[string]float64, error) {
	text, err := g.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", line, err)
		}
		name, _, _ := strings.Cut(line[:at], "{")
		sums[name] += value
	}
	return sums, nil
}

func (g *Gateway) get(ctx context.Context, path string) ([]byte, error) {
	return Get(ctx, "http://"+g.Admin+path)
}

// Get fetches what must be there, on a connection of its own: none may be left
// open while connections are counted.
func Get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s\n%s", url, resp.Status, text)
	}
	return text, err
}
