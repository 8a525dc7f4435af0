package sdk

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/nodeapp"
)

const (
	localKey      = "signkey-prod-feedfacefeedfacefeedfacefeedface"
	rotatedKey    = "signkey-prod-00112233445566778899aabbccddeeff"
	localEventKey = "fedcba0987654321"
)

func modes() []string { return []string{"passthrough", "resign", "strip"} }

// A gatewayUnderTest is a gateway with one app behind it, as its configuration
// file says.
type gatewayUnderTest struct {
	appURL  string // where Inngest finds the app
	appsURL string // where the app finds Inngest
	log     func() string
}

// startBehindGateway starts an app and a gateway before it, as a person would
// set them up in that mode. In passthrough and resign the gateway also knows the
// key that comes after a rotation, and so does an app with the real keys.
func startBehindGateway(tb testing.TB, s *server, sdk sdk, mode string) (runningApp, gatewayUnderTest) {
	tb.Helper()
	inngest, apps, admin := freeAddress(tb), freeAddress(tb), freeAddress(tb)
	options := map[string]appOptions{
		"passthrough": {signingKey: productionKey, signingKeyFallback: rotatedKey, eventKey: eventKey},
		"resign":      {signingKey: localKey, eventKey: localEventKey},
		"strip":       {dev: true, eventKey: localEventKey},
	}[mode]
	options.baseURL = "http://" + apps
	app := sdk.start(tb, options)

	local := ""
	if mode == "resign" {
		local = fmt.Sprintf("local: {signing_key: %s, event_key: %s}", localKey, localEventKey)
	}
	public := "http://" + inngest
	if s.before != nil {
		public = s.before(public)
	}
	origin, _ := strings.CutSuffix(app.url, "/api/inngest")
	file := filepath.Join(tb.TempDir(), "gateway.yaml")
	text := fmt.Sprintf(`
inngest: {signing_key: %s, signing_key_fallback: %s, event_key: %s, api_url: %q, event_url: %q}
listen: {inngest: %q, apps: %q, admin: %q}
public_url: %s
state_dir: %s
apps:
  - id: app
    path: /gateway/app
    upstream: {endpoints: [%q], path: /api/inngest}
    signing: %s
    %s
`, productionKey, rotatedKey, eventKey, s.url, s.url, inngest, apps, admin, public, tb.TempDir(), origin, mode, local)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{File: file})
	if err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
	gw := gatewayUnderTest{appURL: public + "/gateway/app", appsURL: "http://" + apps}
	gw.log = runGateway(tb, cfg)
	return app, gw
}

// freeAddress returns an address on loopback that nobody listens at: the
// configuration names the gateway's own URLs, so it must be known before. It is
// taken from below the ports that connections get by themselves, and none is
// given twice.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+nextPort.Add(1)%12_000)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		listener.Close()
		return address
	}
	tb.Fatal("no port is free")
	return ""
}

// nextPort counts the ports that were tried.
var nextPort = func() *atomic.Int64 {
	first := new(atomic.Int64)
	first.Store(rand.Int64N(12_000))
	return first
}()

// runGateway runs a gateway until the test ends and returns what reads its log.
func runGateway(tb testing.TB, cfg *config.Config) func() string {
	tb.Helper()
	log := &buffer{}
	g, err := gateway.New(gateway.Options{Config: cfg, Version: "test", LogTo: log})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- g.Run(ctx) }()
	select {
	case <-g.Ready():
	case err := <-ran:
		cancel()
		tb.Fatalf("gateway: %v\n%s", err, log)
	}
	tb.Cleanup(func() {
		cancel()
		select {
		case err := <-ran:
			if err != nil {
				tb.Errorf("gateway: %v", err)
			}
		case <-time.After(time.Minute):
			tb.Error("the gateway does not stop")
		}
		if tb.Failed() {
			tb.Logf("log of the gateway:\n%s", log)
		}
	})
	return log.String
}

// eventKeyOf is the event key of an app in that mode.
func eventKeyOf(mode string) string {
	if mode == "passthrough" {
		return eventKey
	}
	return localEventKey
}

// sendManyWithNode is a [sender] on the JavaScript SDK.
func sendManyWithNode(tb testing.TB, gw gatewayUnderTest, mode string) (single, many []string) {
	tb.Helper()
	return nodeapp.Send(tb, nodeapp.Options{BaseURL: gw.appsURL, EventKey: eventKeyOf(mode)}, "t/simple", `{"n":1}`, manyEvents)
}

// A buffer takes a log.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
