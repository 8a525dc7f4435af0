package sdk

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// Both SDKs, unmodified and without a setting that switches unsigned syncs on,
// with and without checkpointing, in each signing mode, on a server of each
// dialect.
func TestMatrix_everyKindOfFunctionEndsAsItShould(t *testing.T) {
	for sdkName, sdk := range sdks() {
		for _, mode := range modes() {
			for dialectName, dialect := range map[string]devserver.Dialect{"register": devserver.Register, "in band": devserver.InBandOnly} {
				t.Run(strings.Join([]string{sdkName, mode, dialectName}, "/"), func(t *testing.T) {
					s := startServer(t, dialect, productionKey)
					app, gw := startBehindGateway(t, s, sdk, mode)
					syncSigned(t, s, gw)
					checkKinds(t, s, app)
				})
			}
		}
	}
}

// A server that a person gave the address sends its PUT unsigned: a hint, after
// which the gateway registers the app by itself.
func TestMatrix_unsignedSyncRegistersTheApp(t *testing.T) {
	for sdkName, sdk := range sdks() {
		if strings.Contains(sdkName, "checkpointing") {
			continue // of no account for a sync
		}
		for _, mode := range modes() {
			t.Run(sdkName+"/"+mode, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, devserver.Register, productionKey)
				_, gw := startBehindGateway(t, s, sdk, mode)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if err := s.AddApp(ctx, gw.appURL); err != nil {
					t.Fatal(err)
				}
				waitRegistered(t, s, gw)
				if r := s.run(t, "simple", map[string]any{"n": 1}, 1); r.Status != devserver.Completed {
					t.Errorf("after an unsigned sync: %s", timeline([]devserver.Run{r}))
				}
			})
		}
	}
}

// The server opens a connection for each call; the app must not notice.
func TestMatrix_aThousandCallsTakeAHandfulOfConnections(t *testing.T) {
	const total, workers, handful = 1000, 4, 10
	for sdkName, sdk := range sdks() {
		if strings.Contains(sdkName, "checkpointing") {
			continue // the function has no steps
		}
		t.Run(sdkName, func(t *testing.T) {
			s := startServer(t, devserver.Register, productionKey)
			app, gw := startBehindGateway(t, s, sdk, "passthrough")
			syncSigned(t, s, gw)
			before, began := app.connections(), time.Now()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range total / workers {
						if r := s.run(t, "simple", map[string]any{"n": 1}, 1); r.Status != devserver.Completed {
							t.Errorf("simple = %s\n%s", r.Status, timeline([]devserver.Run{r}))
							return
						}
					}
				})
			}
			wg.Wait()
			// One in two seconds tells whether the app still listens.
			most := handful + int(time.Since(began)/(2*time.Second))
			if n := app.connections() - before; n > most {
				t.Errorf("%d calls took %d connections, want at most %d", total, n, most)
			}
		})
	}
}

// syncSigned syncs as a server does with an address from its settings.
func syncSigned(t *testing.T, s *server, gw gatewayUnderTest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Sync(ctx, gw.appURL, true); err != nil {
		t.Fatalf("sync: %v\n%s", err, gw.log())
	}
	waitRegistered(t, s, gw)
}

// waitRegistered waits until the server knows the app, by the gateway's URLs.
func waitRegistered(t *testing.T, s *server, gw gatewayUnderTest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := s.WaitFor(ctx, func(apps []devserver.App, _ []devserver.Run) bool { return len(apps) == 1 })
	if err != nil {
		t.Fatalf("the app is not registered: %v\n%s", err, gw.log())
	}
	known := s.Apps()[0]
	if known.Name != appID {
		t.Errorf("the server knows app %q, want %q", known.Name, appID)
	}
	if got, want := len(known.Functions), len(kinds()); got != want {
		t.Errorf("the server knows %d functions, want %d", got, want)
	}
	// The server replaces 127.0.0.1 by localhost.
	public := strings.ReplaceAll(gw.appURL, "127.0.0.1", "localhost")
	for _, url := range append([]string{known.URL}, urlsOf(known)...) {
		if url := strings.ReplaceAll(url, "127.0.0.1", "localhost"); url != public && !strings.HasPrefix(url, public+"?") {
			t.Errorf("registered URL %s does not lead through the gateway at %s", url, public)
		}
	}
}

func urlsOf(app devserver.App) []string {
	var urls []string
	for _, f := range app.Functions {
		urls = append(urls, f.URL)
	}
	return urls
}
