package devserver

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver/sample"
)

// testKey is the key of the recordings.
const testKey = "signkey-prod-1234567890abcdef1234567890abcdef"

// testEventKey is the event key of the recordings.
const testEventKey = "abcdef1234567890"

// newServer starts a server on loopback; it ends with the test.
func newServer(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	if o.SigningKey == "" {
		o.SigningKey = testKey
	}
	if o.EventKeys == nil {
		o.EventKeys = []string{testEventKey}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	front := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		front.Close()
	})
	return s, front.URL
}

// serve serves a server's API.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	front := httptest.NewServer(s.Handler())
	t.Cleanup(front.Close)
	return front.URL
}

// next receives what must come.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-soon(t).Done():
		t.Fatal("nothing came")
		panic("not reached")
	}
}

// newSample serves the sample app and returns its address.
func newSample(t testing.TB, base string) string {
	t.Helper()
	back := httptest.NewUnstartedServer(nil)
	app, err := sample.New(sample.Options{
		AppID: "sample", SigningKey: testKey, BaseURL: base, Origin: "http://" + back.Listener.Addr().String(),
		ServePath: "/api/inngest", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	back.Config.Handler = app.Handler()
	back.Start()
	t.Cleanup(back.Close)
	return back.URL + "/api/inngest"
}

// soon is a context that ends before a test's patience does.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
