package deliver

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// ackWait is long for a machine that is busy.
const ackWait = 2 * time.Second

// A place is a spool that can be closed and opened again, in a folder or on a
// server that outlives it, with a clock that can be put forward.
type place struct {
	dir, url string
	forward  atomic.Int64
}

func (p *place) now() time.Time { return time.Now().Add(time.Duration(p.forward.Load())) }

func (p *place) open(t *testing.T) *spool.Spool {
	t.Helper()
	s, err := spool.New(spool.Options{
		Dir: p.dir, URL: p.url, Name: "EVENTS", Replicas: 1, MaxBytes: 1 << 30, MaxAge: time.Hour, AckWait: ackWait, MaxInFlight: 16, MaxDelayed: 20,
		OpTimeout: 20 * time.Second, Sweep: time.Second, Now: p.now, Log: slog.New(slog.DiscardHandler),
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

// inPlaces runs a test with the embedded server and with one elsewhere.
func inPlaces(t *testing.T, test func(t *testing.T, p *place)) {
	t.Run("embedded", func(t *testing.T) { test(t, &place{dir: t.TempDir()}) })
	t.Run("external", func(t *testing.T) {
		n, err := natsserver.NewServer(&natsserver.Options{
			Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		n.Start()
		t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
		if !n.ReadyForConnections(20 * time.Second) {
			t.Fatal("the external server does not start")
		}
		test(t, &place{url: n.ClientURL()})
	})
}

// storeOdd spools records of five events each, numbered through, some of them odd.
func storeOdd(t *testing.T, s *spool.Spool, records int, which ...int) {
	t.Helper()
	for n := range records {
		b := batch(5*n+5, 10).Part(Range{5 * n, 5*n + 5})
		for _, o := range which {
			b.Body = []byte(strings.ReplaceAll(string(b.Body), fmt.Sprintf(`"n":"%d"`, o), fmt.Sprintf(`"n":"%d",%s`, o, odd)))
		}
		err := s.Append(t.Context(), spool.Record{
			Environment: "prod", KeyID: "k", Seed: b.Seed.String(), Count: b.Count, Body: b.Body, Accepted: time.Now(), Traceparent: fmt.Sprint(n / 3),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// oddAPI is an event API that has no clear answer to odd events until it is cured.
func oddAPI(t *testing.T) (a *api, url string, cure func()) {
	var cured atomic.Bool
	a, url = newAPI(t)
	a.fault = func(post int, w http.ResponseWriter, _ *http.Request) bool {
		is := strings.Contains(a.posts[post-1].body, odd) && !cured.Load()
		if is {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return is
	}
	return a, url, func() { cured.Store(true) }
}

func oddClient(t *testing.T, url string) *Client {
	o := clientOptions(url)
	o.Breaker.OpenFor = 20 * time.Millisecond
	return newClient(t, o)
}

func TestDrainer_goesOnBehindWhatGetsNoClearAnswer(t *testing.T) {
	inPlaces(t, func(t *testing.T, p *place) {
		const records = 30
		which := []int{17, 80, 81, 149}
		a, url, cure := oddAPI(t)
		s := p.open(t)
		storeOdd(t, s, records, which...)
		d, stop := drain(t, drainerOptions(s, oddClient(t, url)))
		good := 5*records - len(which)
		await(t, "delivery of the others", func() bool { return len(a.counts()) == good })
		await(t, "removal of their records", func() bool {
			b, err := s.Backlog(t.Context())
			return err == nil && b.Records == 3
		})
		if diff := cmp.Diff(once(5*records, which...), a.counts()); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
		await(t, "all that is set back", func() bool { return d.Status().SetBackEvents == len(which) })

		// A new process knows nothing of that, and finds out again.
		stop()
		s.Close()
		s = p.open(t)
		d, _ = drain(t, drainerOptions(s, oddClient(t, url)))
		await(t, "what is set back again", func() bool { return d.Status().SetBackEvents == len(which) })
		cure()
		if b := empty(t, s); b.DeadLetters != 0 {
			t.Errorf("%d dead letters", b.DeadLetters)
		}
		if n := len(a.counts()); n != 5*records {
			t.Errorf("%d events were taken, want %d", n, 5*records)
		}
		for n, times := range a.counts() { // those that shared a record with an odd one were not known to be taken
			if times > 2 {
				t.Errorf("event %s was taken %d times", n, times)
			}
		}
		for n, id := range a.ids {
			var i int
			fmt.Sscan(n, &i)
			if id != seed.ID(i+1) {
				t.Errorf("event %s has id %s", n, id)
			}
		}
	})
}

// What gets too old is the event alone: those that Inngest has would run again
// with a replay.
func TestDrainer_keepsOnlyWhatIsLeftOfAnOldRecord(t *testing.T) {
	inPlaces(t, func(t *testing.T, p *place) {
		a, url, _ := oddAPI(t)
		s := p.open(t)
		storeOdd(t, s, 3, 6)
		o := drainerOptions(s, oddClient(t, url))
		o.Now = p.now
		d, _ := drain(t, o)
		await(t, "the event that is set back", func() bool { return len(a.counts()) == 14 && d.Status().SetBackEvents == 1 })
		p.forward.Store(int64(2 * time.Hour))
		empty(t, s)
		letters, err := s.List(t.Context(), 10)
		if err != nil || len(letters) != 1 {
			t.Fatalf("List = %+v, %v", letters, err)
		}
		l, err := s.Show(t.Context(), letters[0].ID)
		if err != nil || l.Record.Count != 1 || !strings.Contains(string(l.Record.Body), `"n":"6"`) || !strings.Contains(l.Reason, "500") {
			t.Errorf("dead letter %s of %d events, %q, %v", l.Record.Body, l.Record.Count, l.Reason, err)
		}
		if got, err := inngest.ParseSeed(l.Record.Seed); err != nil || got.ID(1) != seed.ID(7) {
			t.Errorf("its id would be %s, want %s", got.ID(1), seed.ID(7))
		}
	})
}

// Two gateways share a spool: each event arrives, whoever sets what back.
func TestDrainer_sharesWhatIsSetBack(t *testing.T) {
	inPlaces(t, func(t *testing.T, p *place) {
		if p.url == "" {
			t.Skip("a folder is one gateway's")
		}
		a, url, cure := oddAPI(t)
		first := p.open(t)
		storeOdd(t, first, 20, 3, 50)
		_, stop := drain(t, drainerOptions(first, oddClient(t, url)))
		second := p.open(t)
		drain(t, drainerOptions(second, oddClient(t, url)))
		await(t, "delivery of the others", func() bool { return len(a.counts()) == 98 })
		cure()
		empty(t, second)
		stop()
		if n := len(a.counts()); n != 100 {
			t.Errorf("%d events were taken, want 100", n)
		}
	})
}

// Claims are kept for as long as an answer takes, also from another gateway, and
// when a gateway is gone its records soon go to that one.
func TestDrainer_holdsWhatTakesLong(t *testing.T) {
	inPlaces(t, func(t *testing.T, p *place) {
		a, url, _ := oddAPI(t)
		arrived := make(chan struct{}, 1)
		first := p.open(t)
		storeOdd(t, first, 1)
		o := drainerOptions(first, oddClient(t, url))
		o.Extend = 100 * time.Millisecond
		o.Client = late{o.Client, arrived, 3 * ackWait}
		_, stop := drain(t, o)
		<-arrived
		second := first
		if p.url != "" {
			second = p.open(t)
			drain(t, drainerOptions(second, oddClient(t, url)))
		}
		empty(t, second)
		stop()
		if got := a.counts(); len(got) != 5 || got["0"] != 1 || len(a.sent()) != 1 {
			t.Errorf("%v were taken in %d POSTs", got, len(a.sent()))
		}
	})
}

// late is a client that is a long way from Inngest.
type late struct {
	sender
	arrived chan struct{}
	wait    time.Duration
}

func (l late) Send(ctx context.Context, b *Batch) Result {
	l.arrived <- struct{}{}
	select {
	case <-time.After(l.wait):
	case <-ctx.Done():
	}
	return l.sender.Send(ctx, b)
}

// killed is a drainer that ends without a word to the spool, as with its process.
func TestDrainer_losesNothingWhenKilledWhileItSetsBack(t *testing.T) {
	inPlaces(t, func(t *testing.T, p *place) {
		a, url, cure := oddAPI(t)
		s := p.open(t)
		storeOdd(t, s, 20, 0, 33, 34, 99)
		ctx, kill := context.WithCancel(t.Context())
		ended := make(chan struct{})
		d, err := NewDrainer(drainerOptions(deaf{s}, oddClient(t, url)))
		if err != nil {
			t.Fatal(err)
		}
		go func() { defer close(ended); _ = d.Run(ctx) }()
		await(t, "something that is set back", func() bool { return d.Status().SetBackRecords > 1 })
		s.Close() // from now on nothing that it says is heard
		kill()
		<-ended
		s = p.open(t)
		drain(t, drainerOptions(s, oddClient(t, url)))
		await(t, "delivery of the others", func() bool { return len(a.counts()) == 96 })
		cure()
		if b := empty(t, s); b.DeadLetters != 0 || len(a.counts()) != 100 {
			t.Errorf("%d dead letters, %d events were taken", b.DeadLetters, len(a.counts()))
		}
	})
}

// deaf is a spool whose backlog is nobody's concern.
type deaf struct{ *spool.Spool }

func (deaf) Backlog(context.Context) (spool.Backlog, error) { return spool.Backlog{}, nil }
