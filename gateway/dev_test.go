package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// devRun is a Dev that runs until the test ends.
type devRun struct {
	*Dev
	out, log *watchedLog
	cancel   context.CancelFunc
	ended    chan struct{}
	err      error
}

func startDev(tb testing.TB, s config.Sources) *devRun {
	tb.Helper()
	r := &devRun{out: &watchedLog{}, log: &watchedLog{}, ended: make(chan struct{})}
	var err error
	r.Dev, err = NewDev(DevOptions{Sources: s, Listen: "127.0.0.1:0", Version: "test", Out: r.out, LogTo: r.log})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		r.err = r.Run(ctx)
		close(r.ended)
	}()
	tb.Cleanup(func() {
		cancel()
		await(tb, "the end of gateway dev", r.ended)
		http.DefaultClient.CloseIdleConnections()
		if tb.Failed() {
			tb.Logf("output:\n%slog:\n%s", r.out, r.log)
		}
	})
	select {
	case <-r.ready:
	case <-r.ended:
		tb.Fatalf("Run = %v", r.err)
	}
	return r
}

func (r *devRun) stop(tb testing.TB) error {
	tb.Helper()
	r.cancel()
	await(tb, "the end of gateway dev", r.ended)
	return r.err
}

func anyPort() []string {
	return []string{"GATEWAY_LISTEN__INNGEST=127.0.0.1:0", "GATEWAY_LISTEN__APPS=127.0.0.1:0", "GATEWAY_LISTEN__ADMIN=127.0.0.1:0"}
}

// constant replaces what is another each time.
func constant(out string) string {
	out = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(out, "127.0.0.1:PORT")
	out = regexp.MustCompile(`\b[0-9a-f]{32,}\b`).ReplaceAllString(out, "HEX")
	return regexp.MustCompile(`(?m)^\+ *\d+ ms`).ReplaceAllString(out, "+     N ms")
}

func TestDev_runsTheSampleApp(t *testing.T) {
	r := startDev(t, config.Sources{Env: anyPort()})
	r.out.await(t, "RunCompleted")
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
	want := strings.TrimPrefix(`
Inngest (development server)  http://127.0.0.1:PORT
Gateway, for Inngest          http://127.0.0.1:PORT/api/inngest
Gateway, for apps             http://127.0.0.1:PORT

Send an event:
  curl http://127.0.0.1:PORT/e/HEX -d '{"name":"demo/hello","data":{"name":"Ada"}}'

demo is registered: demo-hello, demo-parallel, demo-flaky
+     N ms  demo-hello     -           RunStarted    attempt 1
+     N ms  demo-hello     greet       StepRun       attempt 1
+     N ms  demo-hello     pause       Sleep         attempt 1
+     N ms  demo-hello     shout       StepRun       attempt 1
+     N ms  demo-hello     -           RunCompleted  attempt 1
`, "\n")
	if diff := cmp.Diff(want, constant(r.out.String())); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if r.log.String() != "" {
		t.Errorf("log of a run without trouble:\n%s", r.log)
	}
}

// Apps in every mode, started with what the output tells.
func TestDev_runsAppsOfAConfiguration(t *testing.T) {
	shop, mail, old := listenForApp(t), listenForApp(t), listenForApp(t)
	r := startDev(t, sources(t, fmt.Sprintf(`
inngest: {signing_key: env:PROD_SIGNING_KEY, event_key: env:PROD_EVENT_KEY}
apps:
  - {id: shop, path: /api/shop, upstream: {endpoints: [%q], path: /api/inngest}}
  - id: mail
    path: /api/mail
    upstream: {endpoints: [%q], path: /api/inngest}
    signing: resign
    local: {signing_key: env:MAIL_SIGNING_KEY, event_key: env:MAIL_EVENT_KEY}
  - {id: old, path: /api/old, upstream: {endpoints: [%q], path: /api/inngest}, signing: strip}
`, shop.url(), mail.url(), old.url())))
	want := strings.TrimPrefix(`
Inngest (development server)  http://127.0.0.1:PORT
Gateway, for Inngest          http://127.0.0.1:PORT/api/shop
                              http://127.0.0.1:PORT/api/mail
                              http://127.0.0.1:PORT/api/old
Gateway, for apps             http://127.0.0.1:PORT

Start your app with these variables. It is registered as soon as it runs:

  shop, at http://127.0.0.1:PORT/api/inngest (passthrough)
    INNGEST_DEV=0
    INNGEST_BASE_URL=http://127.0.0.1:PORT
    INNGEST_SIGNING_KEY=signkey-local-HEX
    INNGEST_EVENT_KEY=HEX

  mail, at http://127.0.0.1:PORT/api/inngest (resign)
    INNGEST_DEV=0
    INNGEST_BASE_URL=http://127.0.0.1:PORT
    INNGEST_SIGNING_KEY=signkey-local-HEX
    INNGEST_EVENT_KEY=HEX

  old, at http://127.0.0.1:PORT/api/inngest (strip)
    INNGEST_DEV=1
    INNGEST_BASE_URL=http://127.0.0.1:PORT
    INNGEST_EVENT_KEY=HEX

Send an event:
  curl http://127.0.0.1:PORT/e/HEX -d '{"name":"your/event","data":{}}'

`, "\n")
	told := r.out.String()
	if diff := cmp.Diff(want, constant(told)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}

	signingKeys := regexp.MustCompile(`INNGEST_SIGNING_KEY=(\S+)`).FindAllStringSubmatch(told, -1)
	eventKeys := regexp.MustCompile(`INNGEST_EVENT_KEY=(\S+)`).FindAllStringSubmatch(told, -1)
	shop.serve("shop", r.appsURL(), signingKeys[0][1])
	mail.serve("mail", r.appsURL(), signingKeys[1][1])
	old.serve("old", r.appsURL(), "")
	for _, app := range []string{"shop", "mail", "old"} {
		r.out.await(t, app+" is registered: "+app+"-hello")
	}
	for i, key := range eventKeys {
		if err := postEvent(t.Context(), r.appsURL()+"/e/"+key[1], `{"name":"demo/parallel"}`); err != nil {
			t.Error(err)
		}
		completed := func(_ []devserver.App, runs []devserver.Run) bool {
			n := 0
			for _, run := range runs {
				if run.Status == devserver.Completed {
					n++
				}
			}
			return n == 3*(i+1) // each app takes the event
		}
		if err := r.server.WaitFor(t.Context(), completed); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestDev_saysWhichAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, err = NewDev(DevOptions{Sources: config.Sources{Env: anyPort()}, Listen: address, Version: "test", Out: &watchedLog{}, LogTo: &watchedLog{}})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "--inngest-listen") {
		t.Errorf("NewDev = %v, want the flag that helps", err)
	}

	env := append(anyPort(), "GATEWAY_LISTEN__APPS="+address)
	d, err := NewDev(DevOptions{Sources: config.Sources{Env: env}, Listen: "127.0.0.1:0", Version: "test", Out: &watchedLog{}, LogTo: &watchedLog{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(context.Background()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "GATEWAY_LISTEN__APPS") {
		t.Errorf("Run = %v, want the variable that helps", err)
	}
}

func TestDev_endsWithItsGateway(t *testing.T) {
	r := startDev(t, config.Sources{Env: anyPort()})
	r.gateway.listeners.admin.Close()
	await(t, "the end of gateway dev", r.ended)
	if !errors.As(r.err, new(*LoggedError)) {
		t.Errorf("Run = %v, want what the gateway's log tells", r.err)
	}
}

func TestDev_endsWhenItIsInterruptedEarly(t *testing.T) {
	d, err := NewDev(DevOptions{Sources: config.Sources{Env: anyPort()}, Listen: "127.0.0.1:0", Version: "test", Out: &watchedLog{}, LogTo: &watchedLog{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDev_saysThatItWaitsForRunningCalls(t *testing.T) {
	app := newSlowApp(t)
	r := startDev(t, config.Sources{Env: append(anyPort(), "GATEWAY_APP_URL="+app.url+"/api/inngest")})
	await(t, "the sync at the app", app.arrived)
	r.cancel()
	r.out.await(t, "Waiting for running calls to end: 1. Interrupt again to end at once.\n")
	close(app.release)
	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
}
