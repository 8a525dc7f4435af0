package gateway

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/devserver/sample"
)

// testServer is a development server that can go away and come back.
type testServer struct {
	*devserver.Server
	tb      testing.TB
	address string
	http    *http.Server
	served  chan struct{}
}

// newTestServer runs a development server that syncs nothing by itself.
func newTestServer(tb testing.TB, signingKey, eventKey string) *testServer {
	tb.Helper()
	return runTestServer(tb, devserver.Options{SigningKey: signingKey, EventKeys: []string{eventKey}})
}

func runTestServer(tb testing.TB, o devserver.Options) *testServer {
	tb.Helper()
	s := &testServer{tb: tb, address: "127.0.0.1:0"}
	var err error
	s.Server, err = devserver.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ran)
	}()
	tb.Cleanup(func() {
		cancel()
		await(tb, "the end of the development server", ran)
	})
	s.comeBack()
	tb.Cleanup(s.goAway)
	return s
}

func (s *testServer) url() string { return "http://" + s.address }

func (s *testServer) goAway() {
	s.http.Close()
	await(s.tb, "the end of the development server's listener", s.served)
}

func (s *testServer) comeBack() {
	s.tb.Helper()
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.address, s.http, s.served = ln.Addr().String(), &http.Server{Handler: s.Handler()}, make(chan struct{})
	go func() {
		s.http.Serve(ln)
		close(s.served)
	}()
}

// waitFor waits until a condition holds.
func (s *testServer) waitFor(what string, holds func([]devserver.App, []devserver.Run) bool) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitFor(ctx, holds); err != nil {
		s.tb.Fatalf("%s: %v", what, err)
	}
}

// runSample sends an event that the sample app takes and waits for its run.
func (s *testServer) runSample(event string) devserver.Run {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := s.SendEvent(ctx, event, map[string]string{"name": "Ada"})
	if err != nil {
		s.tb.Fatal(err)
	}
	runs, err := s.WaitRunsOf(ctx, id)
	if err != nil {
		s.tb.Fatal(err)
	}
	return runs[0]
}

func (s *testServer) sync(appURL string) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Sync(ctx, appURL, true); err != nil {
		s.tb.Fatal(err)
	}
}

// sampleApp is a sample app whose listener is open before it knows the gateway.
type sampleApp struct {
	tb      testing.TB
	ln      net.Listener
	stopped chan struct{}
}

const sampleAppPath = "/api/inngest"

func listenForApp(tb testing.TB) *sampleApp {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	return &sampleApp{tb: tb, ln: ln, stopped: make(chan struct{})}
}

func (a *sampleApp) url() string { return "http://" + a.ln.Addr().String() }

// serve runs the app until the test ends. Without a key it verifies nothing.
func (a *sampleApp) serve(id, baseURL, signingKey string) {
	a.tb.Helper()
	app, err := sample.New(sample.Options{
		AppID: id, BaseURL: baseURL, Origin: a.url(), ServePath: sampleAppPath, SigningKey: signingKey, Log: quiet(),
	})
	if err != nil {
		a.tb.Fatal(err)
	}
	server := &http.Server{Handler: app.Handler(), ReadHeaderTimeout: time.Minute}
	go func() {
		server.Serve(a.ln)
		close(a.stopped)
	}()
	a.tb.Cleanup(func() {
		server.Close()
		await(a.tb, "the end of the app", a.stopped)
		http.DefaultClient.CloseIdleConnections() // of the app to the gateway
	})
}
