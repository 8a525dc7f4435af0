package sdk

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/sdk/nodeapp"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/sdkapp"
)

// appOptions is how an app on either SDK is configured.
type appOptions struct {
	baseURL            string // where its SDK finds Inngest
	signingKey         string
	signingKeyFallback string
	eventKey           string
	dev                bool          // without verification
	step               time.Duration // what a step takes at least; the Node app only
	linger             bool          // serve connections in use after SIGTERM; the Node app only
}

// A runningApp is an app on one of the SDKs, its id is "app", its events begin
// with "t/".
type runningApp struct {
	url         string // of the SDK's handler
	checkpoints bool
	steps       func() []sdkapp.Step
	connections func() int
	requests    func() int // that reached the handler; the Go app only
}

const appID, prefix = "app", "t/"

// An sdk starts an app on one SDK.
type sdk struct {
	start func(testing.TB, appOptions) runningApp
	// registers tells whether the SDK answers a PUT without signature, or one
	// without sync kind, by registering: one dialect more than the other SDK has.
	registers bool
}

// sdks are the SDKs with checkpointing on and off.
func sdks() map[string]sdk {
	return map[string]sdk{
		"go":               {func(tb testing.TB, o appOptions) runningApp { return startGo(tb, o, false) }, false},
		"go checkpointing": {func(tb testing.TB, o appOptions) runningApp { return startGo(tb, o, true) }, false},
		"js":               {func(tb testing.TB, o appOptions) runningApp { return startNode(tb, o, false) }, true},
		"js checkpointing": {func(tb testing.TB, o appOptions) runningApp { return startNode(tb, o, true) }, true},
	}
}

func startNode(tb testing.TB, o appOptions, checkpoint bool) runningApp {
	tb.Helper()
	app := nodeapp.Start(tb, nodeapp.Options{
		ID: appID, BaseURL: o.baseURL, SigningKey: o.signingKey, SigningKeyFallback: o.signingKeyFallback,
		EventKey: o.eventKey, Dev: o.dev, Checkpoint: checkpoint, Step: o.step,
	})
	return runningApp{
		url: app.URL, checkpoints: checkpoint,
		steps: func() []sdkapp.Step {
			var steps []sdkapp.Step
			for _, s := range app.Steps() {
				steps = append(steps, sdkapp.Step(s))
			}
			return steps
		},
		connections: app.Connections,
	}
}

func startGo(tb testing.TB, o appOptions, checkpoint bool) runningApp {
	tb.Helper()
	var mu sync.Mutex
	var steps []sdkapp.Step
	handler, err := sdkapp.New(sdkapp.Options{
		ID: appID, Prefix: prefix, BaseURL: o.baseURL, SigningKey: o.signingKey, SigningKeyFallback: o.signingKeyFallback,
		EventKey: o.eventKey, Dev: o.dev, Checkpoint: checkpoint, Log: slog.New(slog.DiscardHandler),
		OnStep: func(s sdkapp.Step) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, s)
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	listener := &countingListener{Listener: listen(tb)}
	var requests atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/api/inngest", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler.ServeHTTP(w, r)
	})
	serve(tb, listener, mux)
	return runningApp{
		url: "http://" + listener.Addr().String() + "/api/inngest", checkpoints: checkpoint,
		steps: func() []sdkapp.Step {
			mu.Lock()
			defer mu.Unlock()
			return append([]sdkapp.Step(nil), steps...)
		},
		connections: listener.count,
		requests:    func() int { return int(requests.Load()) },
	}
}

// countingListener counts the connections that it accepted.
type countingListener struct {
	net.Listener
	mu sync.Mutex
	n  int
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.n++
		l.mu.Unlock()
	}
	return conn, err
}

func (l *countingListener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// listen returns a loopback listener that the test closes.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	return listener
}

// serve serves a handler until the test ends.
func serve(tb testing.TB, listener net.Listener, handler http.Handler) {
	tb.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			server.Close()
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve: %v", err)
		}
	})
}
