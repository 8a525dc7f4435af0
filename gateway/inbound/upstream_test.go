package inbound

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// recorder is a real app, which keeps what it sees.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("the app cannot read a body: %v", err)
		}
		r.mu.Lock()
		r.seen = append(r.seen, seen{req, req.RequestURI, body, ""})
		r.mu.Unlock()
		w.Header().Set(inngest.HeaderSDK, "go:v0.16.0")
		io.WriteString(w, "ok")
	}))
	t.Cleanup(r.Close)
	return r
}

// newUpstream is a pool in front of an app, which runs until the test ends.
func newUpstream(t *testing.T, endpoint string) *pool.Upstream {
	t.Helper()
	m := metrics.New(prometheus.NewRegistry())
	b, err := budget.New(budget.Options{Max: 64 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.New(pool.Options{
		App: "shop", Endpoints: []string{endpoint},
		DialTimeout: 2 * time.Second, MaxConns: 64, MaxIdle: 64, IdleTimeout: 4 * time.Second, MaxLifetime: time.Minute, Wait: time.Second,
		MaxHead: 16 << 10, MaxAnswer: 8 << 20, Probe: pool.ProbeSDK, ProbePath: "/inner/inngest",
		Breaker: breaker.Options{
			ConsecutiveFailures: 1000, MinCalls: 1000, Window: 30 * time.Second, OpenFor: 5 * time.Second,
			HalfOpenProbes: 1, ProbeTimeout: 2 * time.Second, Metrics: m.Breaker,
		},
		Budget: b, Metrics: m.Pool, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return u
}

// The same cases as with the double, over the real exchange to a real app: one
// app and kept connections for all of them, so that what one leaves behind would
// be found in the next.
func TestHardening_throughARealUpstream(t *testing.T) {
	app := newRecorder(t)
	upstream := newUpstream(t, app.URL)
	g := newGateway(t, func(s *setup) { s.Callee = upstream })
	body := callBody("run1")
	want := 0
	for class, cases := range rawCases(t, body, "X-Inngest-Signature: "+sign(t, body)) {
		for name, c := range cases {
			statuses, code, _ := exchangeRaw(t, g.addr, c.raw)
			if len(statuses) != len(c.status) || code != c.code {
				t.Errorf("%s, %s: answers = %v %q, want %v %q", class, name, statuses, code, c.status, c.code)
			}
			want += c.calls
		}
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if len(app.seen) != want {
		t.Errorf("the app saw %d requests, want %d", len(app.seen), want)
	}
	for _, r := range app.seen {
		checkSigned(t, g, r)
		if r.Method != "POST" || !strings.HasPrefix(r.target, "/inner/inngest") || r.Proto != "HTTP/1.1" || string(r.body) != body || r.Host != strings.TrimPrefix(app.URL, "http://") {
			t.Errorf("the app saw %s %s %s for %s with body %q", r.Method, r.target, r.Proto, r.Host, r.body)
		}
		for _, name := range strings.Fields(alwaysGone) {
			if v, there := r.Header[http.CanonicalHeaderKey(name)]; there {
				t.Errorf("the app saw %s: %q", name, v)
			}
		}
	}
}

func TestUpstream_thatIsAwayIsARefusal(t *testing.T) {
	app := newRecorder(t)
	addr := app.URL
	app.Close()
	g := newGateway(t, func(s *setup) { s.Callee = newUpstream(t, addr) })
	r := g.ask(t, signedCall(t, callBody("run1")))
	if p := problemOf(t, r); r.StatusCode != 503 || p.Code != "upstream_refused" || r.Header.Get("Retry-After") == "" || !strings.Contains(p.Detail, "takes no connections") {
		t.Errorf("answer = %d %+v", r.StatusCode, p)
	}
}
