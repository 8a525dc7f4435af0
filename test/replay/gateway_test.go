// Package replay puts the recorded exchanges through a whole gateway: a caller
// sends what was recorded, a double on the other side answers what was
// recorded, and nothing else may come out than what went in, except where the
// architecture says so. What packages do on their own is for the tests beside
// them, what SDKs make of it for test/sdk.
package replay

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/gateway"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one clock for the process, and the cleaner of a stopped
	// server's workers notices that within ten seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// Keys beside those of the recordings.
const (
	fallbackKey   = "signkey-prod-00112233445566778899aabbccddeeff"
	strangeKey    = "signkey-prod-feedfacefeedfacefeedfacefeedface"
	localKey      = "signkey-shop-abcdefabcdefabcdefabcdefabcdefab"
	localEventKey = "fedcba0987654321"
)

// appPath is the path of the recorded SDK apps.
const appPath = "/api/inngest"

// A clock is the gateway's idea of the time.
type clock struct{ unix atomic.Int64 }

func (c *clock) set(at time.Time) { c.unix.Store(at.Unix()) }
func (c *clock) now() time.Time   { return time.Unix(c.unix.Load(), 0) }

// A mode is a signing mode with the key that the app has in it.
type mode struct {
	signing config.Signing
	app     signature.Key // zero: the app signs and verifies nothing
	real    signature.Key // Inngest's
}

// eachMode runs a test in the three modes.
func eachMode(t *testing.T, f func(*testing.T, mode)) {
	real := key(t, recorded.SigningKey)
	for _, m := range []mode{
		{config.SigningPassthrough, real, real},
		{config.SigningResign, key(t, localKey), real},
		{config.SigningStrip, signature.Key{}, real},
	} {
		t.Run(string(m.signing), func(t *testing.T) {
			t.Parallel()
			f(t, m)
		})
	}
}

// seals tells whether the gateway signs answers in that mode.
func (m mode) seals() bool { return m.signing != config.SigningPassthrough }

// signs is the signature that the app sees or makes over a body, empty where it
// knows of none.
func (m mode) signs(body []byte, at time.Time) string {
	if m.app.IsZero() {
		return ""
	}
	return signature.Sign(m.app, body, at)
}

// appAt is the configuration of an app behind that double.
func (m mode) appAt(upstream *double, id, path string) config.App {
	a := config.DefaultApp()
	a.ID, a.Path, a.Signing = id, path, m.signing
	a.Upstream.Endpoints, a.Upstream.Path = []string{upstream.url()}, path
	if m.signing == config.SigningResign {
		a.Local = config.Local{SigningKey: config.NewSecret(localKey), EventKey: config.NewSecret(localEventKey)}
	}
	return a
}

// configuration is that of a gateway with these apps and that Inngest server.
func configuration(server *double, apps ...config.App) config.Config {
	c := config.Default()
	c.Inngest.SigningKey = config.NewSecret(recorded.SigningKey)
	c.Inngest.EventKey = config.NewSecret(recorded.EventKey)
	c.Inngest.APIURL, c.Inngest.EventURL = server.url(), server.url()
	c.Listen = config.Listen{Inngest: "127.0.0.1:0", Apps: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	c.Sync.Retell = 0
	c.Apps = apps
	return c
}

// startGateway runs a gateway until the test ends. Without a clock it has the
// real time.
func startGateway(tb testing.TB, c config.Config, at *clock) *gateway.Gateway {
	tb.Helper()
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	log := &buffer{}
	options := gateway.Options{Config: &c, Version: "test", LogTo: log}
	if at != nil {
		options.Now = at.now
	}
	g, err := gateway.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(tb.Context())
	ran := make(chan error, 1)
	go func() { ran <- g.Run(ctx) }()
	select {
	case <-g.Ready():
	case err := <-ran:
		stop()
		tb.Fatalf("gateway: %v\n%s", err, log)
	}
	tb.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			tb.Errorf("gateway: %v", err)
		}
		if tb.Failed() {
			tb.Logf("log of the gateway:\n%s", log)
		}
	})
	return g
}

func key(tb testing.TB, text string) signature.Key {
	tb.Helper()
	k, err := signature.ParseKey(text)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// fields makes header fields of names and values in turn.
func fields(pairs ...string) []recorded.Header {
	var list []recorded.Header
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, recorded.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// A buffer takes a log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.text.String())
}
