package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// eventAPI is an Inngest that fails in turns.
type eventAPI struct {
	down atomic.Bool

	mu     sync.Mutex
	random *rand.Rand
	events map[string]string
}

func (s *eventAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	fate := s.random.IntN(20)
	s.mu.Unlock()
	seed, err := inngest.ParseSeed(r.Header.Get(inngest.HeaderEventIDSeed))
	switch {
	case s.down.Load() || fate == 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case err != nil || r.URL.Path != "/e/"+testKey:
		w.WriteHeader(http.StatusTeapot)
		return
	}
	var all []json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	var answer inngest.EventResult
	answer.Status = http.StatusOK
	s.mu.Lock()
	for i, e := range all {
		id := seed.ID(i + 1)
		s.events[id] = string(e)
		answer.IDs = append(answer.IDs, id)
	}
	s.mu.Unlock()
	if fate == 1 { // taken, but nobody is told
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// parts is a plane with the parts that it has in the gateway.
type parts struct {
	plane   *Plane
	spool   *spool.Spool
	drainer *deliver.Drainer
}

func newParts(t testing.TB, dir, url string, transport http.RoundTripper) parts {
	t.Helper()
	log, m := slog.New(slog.DiscardHandler), metrics.New(prometheus.NewRegistry())
	keys, err := NewKeys(KeysOptions{Configured: map[string][]string{"prod": {testKey}}, Dir: dir, Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	client, err := deliver.New(deliver.Options{
		Environments: map[string]string{"prod": url}, Transport: transport, Keys: keys,
		Timeout: time.Second, MaxAnswer: 1 << 20, MaxBytes: 1 << 20, Regrow: time.Hour, Remember: time.Hour,
		Breaker: breaker.Options{
			FailureRatio: 0.9, MinCalls: 100, Window: time.Second, ConsecutiveFailures: 5,
			OpenFor: 20 * time.Millisecond, HalfOpenProbes: 1, ProbeTimeout: time.Second, Metrics: m.Breaker,
		},
		Metrics: m.Deliver, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	var p parts
	if p.spool, err = spool.New(spool.Options{
		Dir: dir + "/spool", Name: "TEST", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, AckWait: 10 * time.Second,
		MaxInFlight: 10, MaxDelayed: 100, OpTimeout: 10 * time.Second, Sweep: time.Second, Now: time.Now, Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.spool.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.drainer, err = deliver.NewDrainer(deliver.DrainerOptions{
		Spool: p.spool, Client: client, Concurrency: 4, MaxEvents: 500, Backoff: deliver.Backoff{Min: time.Millisecond, Max: 50 * time.Millisecond},
		SetBack: deliver.Backoff{Min: 10 * time.Millisecond, Max: time.Second}, MaxSetBack: 100,
		MaxAge: time.Hour, Extend: time.Second, Look: 20 * time.Millisecond, Now: time.Now, Metrics: m.Deliver, Log: log,
	}); err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, nil, nil)
	o.Sender, o.Spool, o.Keys, o.SeedDir, o.Metrics = client, p.spool, keys, dir+"/seeds", m.Events
	if p.plane, err = New(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs the parts until the returned function is called.
func (p parts) run(t testing.TB) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	drain, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	planeDone := make(chan error, 1)
	go func() { planeDone <- p.plane.Run(ctx) }()
	group.Go(func() {
		if err := errors.Join(p.drainer.Run(drain)); err != nil {
			t.Errorf("drainer: %v", err)
		}
	})
	group.Go(func() {
		if err := p.spool.Run(drain); err != nil {
			t.Errorf("spool: %v", err)
		}
	})
	return func() {
		cancel()
		if err := <-planeDone; err != nil {
			t.Errorf("plane: %v", err)
		}
		stop()
		group.Wait()
		p.spool.Close()
	}
}

// Three processes one after the other, an Inngest that fails, resets and is away
// for a while: every event that was acknowledged arrives under the id that its
// caller was told, and no event has two ids.
func TestPlane_deliversThroughOutagesAndRestarts(t *testing.T) {
	api := &eventAPI{random: rand.New(rand.NewPCG(1, 2)), events: map[string]string{}}
	server := httptest.NewServer(api)
	server.Config.ErrorLog = nil
	defer server.Close()
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	dir := t.TempDir()
	told := map[string]string{}
	var mu sync.Mutex
	const each, processes = 500, 3
	for process := range processes {
		p := newParts(t, dir, server.URL, transport)
		end := p.run(t)
		var senders sync.WaitGroup
		for n := range each {
			senders.Go(func() {
				api.down.Store(n > each/4 && n < each/2)
				e := fmt.Sprintf(`{"name":"t/e","data":{"n":%d}}`, process*each+n)
				q := request(e)
				q.Seed = inngest.Seed{Millis: 1, Entropy: [10]byte{byte(process), byte(n), byte(n >> 8)}}.String()
				for {
					a := p.plane.Accept(context.Background(), q)
					if a.Status == http.StatusOK {
						mu.Lock()
						defer mu.Unlock()
						told[read(t, a).IDs[0]] = e
						return
					}
					if !strings.Contains("503", fmt.Sprint(a.Status)) {
						t.Errorf("answer = %d %s", a.Status, a.Body)
						return
					}
				}
			})
		}
		senders.Wait()
		if process < processes-1 {
			end()
			continue
		}
		api.down.Store(false)
		waitUntilDrained(t, p.spool)
		end()
	}
	if len(told) != each*processes || len(api.events) != each*processes {
		t.Errorf("%d ids told and %d at Inngest for %d events", len(told), len(api.events), each*processes)
	}
	for id, e := range told {
		if api.events[id] != e {
			t.Errorf("Inngest has %q under %s, want %q", api.events[id], id, e)
		}
	}
}

func waitUntilDrained(t testing.TB, s *spool.Spool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		b, err := s.Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Records == 0 {
			if b.DeadLetters != 0 {
				t.Errorf("%d dead letters", b.DeadLetters)
			}
			return
		}
	}
	t.Error("the spool is not drained after 30 s")
}
