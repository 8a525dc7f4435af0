package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

func openSpool(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.New(spool.Options{
		Dir: dir, Name: "EVENTS", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, AckWait: time.Minute, MaxInFlight: 16, MaxDelayed: 20,
		OpTimeout: 20 * time.Second, Sweep: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func drainerOptions(s source, c sender) DrainerOptions {
	return DrainerOptions{
		Spool: s, Client: c, Concurrency: 4, MaxEvents: 500, Backoff: Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond}, MaxAge: time.Hour,
		SetBack: Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}, MaxSetBack: 20,
		Extend: time.Second, Look: 10 * time.Millisecond, Now: time.Now,
		Metrics: metrics.New(prometheus.NewRegistry()).Deliver, Log: slog.New(slog.DiscardHandler),
	}
}

// drain runs a drainer until the test ends or stop is called.
func drain(t testing.TB, o DrainerOptions) (d *Drainer, stop func()) {
	t.Helper()
	d, err := NewDrainer(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return d, stop
}

// store spools events numbered from, some of them bad.
func store(t testing.TB, s *spool.Spool, keyID string, from, count int, bad ...int) {
	t.Helper()
	var events []string
	for n := from; n < from+count; n++ {
		more := ""
		if slices.Contains(bad, n) {
			more = `,"bad":true`
		}
		events = append(events, fmt.Sprintf(`{"name":"x/e","n":"%d","data":{"u":"é"}%s}`, n, more))
	}
	err := s.Append(t.Context(), spool.Record{
		Environment: "prod", KeyID: keyID, Seed: inngest.Seed{Millis: uint64(1795540000000 + from)}.String(), Count: count,
		Body: []byte("[" + strings.Join(events, ",") + "]"), Accepted: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// empty waits until there are no records in the spool.
func empty(t testing.TB, s *spool.Spool) spool.Backlog {
	t.Helper()
	var b spool.Backlog
	await(t, "an empty spool", func() bool {
		var err error
		b, err = s.Backlog(t.Context())
		return err == nil && b.Records == 0
	})
	return b
}

func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for !is() {
		select {
		case <-end:
			t.Fatalf("no %s", what)
		case <-tick.C:
		}
	}
}

func TestDrainer_deliversInOrder(t *testing.T) {
	a, url := newAPI(t)
	s := openSpool(t, t.TempDir())
	for n := range 40 {
		store(t, s, "k", 3*n, 3)
	}
	o := drainerOptions(s, newClient(t, clientOptions(url)))
	d, _ := drain(t, o)
	empty(t, s)
	if d := cmp.Diff(once(120), a.counts()); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	for n, got := range a.order {
		if got != fmt.Sprint(n) {
			t.Fatalf("event %s is the %dth", got, n)
		}
	}
	if got := testutil.ToFloat64(o.Metrics.Drained.WithLabelValues("prod")); got != 120 {
		t.Errorf("%v events counted as drained, want 120", got)
	}
	await(t, "look at the empty spool", func() bool { s := d.Status(); return !s.At.IsZero() && s.Backlog.Records == 0 })
	store(t, s, "k", 120, 1) // later ones go out too
	await(t, "event that came later", func() bool { return a.counts()["120"] == 1 })
}

func TestDrainer_makesDeadLettersOfRefusedEvents(t *testing.T) {
	a, url := newAPI(t)
	s := openSpool(t, t.TempDir())
	store(t, s, "k", 0, 10, 3, 7)
	store(t, s, "k", 10, 5)
	o := drainerOptions(s, newClient(t, clientOptions(url)))
	_, stop := drain(t, o)
	if b := empty(t, s); b.DeadLetters != 2 {
		t.Errorf("%d dead letters, want 2", b.DeadLetters)
	}
	stop()
	if d := cmp.Diff(once(15, 3, 7), a.counts()); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	letters, err := s.List(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{3, 7} {
		l, err := s.Show(t.Context(), letters[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`[{"name":"x/e","n":"%d","data":{"u":"é"},"bad":true}]`, n); string(l.Record.Body) != want || l.Record.Count != 1 {
			t.Errorf("dead letter is %s, want %s", l.Record.Body, want)
		}
		if want := fmt.Sprintf("Inngest answered 400: event %d is bad", n); l.Reason != want {
			t.Errorf("reason is %q, want %q", l.Reason, want)
		}
		seed, err := inngest.ParseSeed(l.Record.Seed)
		if want := (inngest.Seed{Millis: 1795540000000}).ID(n + 1); err != nil || seed.ID(1) != want {
			t.Errorf("its id would be %s, want %s", seed.ID(1), want)
		}
	}
	if got := testutil.ToFloat64(o.Metrics.DeadLetters.WithLabelValues("refused")); got != 2 {
		t.Errorf("%v dead letters counted, want 2", got)
	}
}

func TestDrainer_goesOnWithWhatIsLeftAfterFaults(t *testing.T) {
	a, url := newAPI(t)
	s := openSpool(t, t.TempDir())
	for n := range 10 {
		store(t, s, "k", 10*n, 10, 10*n+4)
	}
	a.faults(func(post int, w http.ResponseWriter, _ *http.Request) bool {
		switch post % 7 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			panic(http.ErrAbortHandler)
		case 4:
			w.WriteHeader(http.StatusTooManyRequests)
		case 5:
			io.WriteString(w, "<html>")
		default:
			return false
		}
		return true
	})
	co := clientOptions(url)
	co.Breaker.ConsecutiveFailures, co.Breaker.OpenFor = 2, 20*time.Millisecond
	_, stop := drain(t, drainerOptions(s, newClient(t, co)))
	b := empty(t, s)
	stop()
	want := once(100, 4, 14, 24, 34, 44, 54, 64, 74, 84, 94)
	if d := cmp.Diff(want, a.counts()); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	if b.DeadLetters != 10 {
		t.Errorf("%d dead letters, want 10", b.DeadLetters)
	}
}

func TestDrainer_leavesOthersAloneWhileOneIsBlocked(t *testing.T) {
	a, url := newAPI(t)
	a.keys = map[string]bool{"good": true}
	s := openSpool(t, t.TempDir())
	for n := range 50 {
		store(t, s, "revoked", 1000+n, 1)
		store(t, s, "fine", n, 1)
	}
	co := clientOptions(url)
	co.Keys = keyring{"revoked": {"bad", "worse"}, "fine": {"good"}}
	blocked := drainerOptions(s, newClient(t, co))
	d, stop := drain(t, blocked)
	await(t, "delivery of the good key's events", func() bool { return len(a.counts()) == 50 })
	await(t, "status of the other", func() bool { return len(d.Status().Blocked) == 1 })
	if b := d.Status().Blocked[0]; b.KeyID != "revoked" || !strings.Contains(b.Err, "Event key not found") {
		t.Errorf("blocked: %+v", b)
	}
	await(t, "spool with the other key's events alone", func() bool {
		b, err := s.Backlog(t.Context())
		return err == nil && b.Records == 50 && b.DeadLetters == 0
	})
	await(t, "look at it", func() bool { return d.Status().Backlog.Records == 50 })
	stop()
	m := blocked.Metrics
	for name, got := range map[string]float64{
		"backlog": testutil.ToFloat64(m.Backlog), "waiting": testutil.ToFloat64(m.Waiting),
	} {
		if got != 50 {
			t.Errorf("%s is %v, want 50", name, got)
		}
	}
	if testutil.ToFloat64(m.Oldest) <= 0 || testutil.ToFloat64(m.Bytes) <= 0 {
		t.Error("the oldest record has no age, or the backlog no bytes")
	}
	// The key works again.
	a.mu.Lock()
	a.keys["worse"] = true
	a.mu.Unlock()
	drain(t, drainerOptions(s, newClient(t, co)))
	empty(t, s)
	if got := len(a.counts()); got != 100 {
		t.Errorf("%d events were taken, want 100", got)
	}
}

func TestDrainer_survivesAnEndInTheMiddle(t *testing.T) {
	a, url := newAPI(t)
	dir := t.TempDir()
	s := openSpool(t, dir)
	for n := range 20 {
		store(t, s, "k", 5*n, 5)
	}
	reached := make(chan struct{})
	a.faults(func(post int, _ http.ResponseWriter, _ *http.Request) bool {
		if post == 8 {
			close(reached)
		}
		return false
	})
	_, stop := drain(t, drainerOptions(s, newClient(t, clientOptions(url))))
	<-reached
	stop()
	s.Close()
	s = openSpool(t, dir)
	drain(t, drainerOptions(s, newClient(t, clientOptions(url))))
	empty(t, s)
	got := a.counts()
	if len(got) != 100 {
		t.Errorf("%d events were taken, want 100", len(got))
	}
	for n, id := range a.ids { // the double checks that repeats have the same
		if id == "" {
			t.Errorf("event %s has no id", n)
		}
	}
}

func TestDrainer_keepsWhatIsTooOldAsDeadLetter(t *testing.T) {
	a, url := newAPI(t)
	a.faults(func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	s := openSpool(t, t.TempDir())
	store(t, s, "k", 0, 3)
	o := drainerOptions(s, newClient(t, clientOptions(url)))
	o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } // the spool's own is behind
	_, stop := drain(t, o)
	empty(t, s)
	stop()
	letters, err := s.List(t.Context(), 10)
	if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Reason, "502") || letters[0].Record.Count != 3 {
		b, _ := json.Marshal(letters)
		t.Errorf("dead letters: %s, %v", b, err)
	}
}
