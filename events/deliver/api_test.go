package deliver

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// api is an event API that answers as the recordings 110 to 123 do: it takes
// the events before a bad one and says so. A bad event is one with "bad".
type api struct {
	maxBytes int             // more is a 413; 0: no limit
	keys     map[string]bool // nil: any
	wholly   bool            // refuses a batch with a bad event as a whole
	unseeded bool            // gives ids of its own

	mu    sync.Mutex
	fault func(post int, w http.ResponseWriter, r *http.Request) bool // answers itself if it returns true
	posts []*post
	took  map[string]int // how often each event came, by "n"
	ids   map[string]string
	order []string // "n" of the events taken for the first time
}

type post struct {
	key    string
	header http.Header
	events int
	bytes  int
	body   string
}

func newAPI(t testing.TB) (*api, string) {
	a := &api{took: map[string]int{}, ids: map[string]string{}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return a, s.URL
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var events []json.RawMessage
	_ = json.Unmarshal(text, &events)
	a.posts = append(a.posts, &post{strings.TrimPrefix(r.URL.Path, "/e/"), r.Header.Clone(), len(events), len(text), string(text)})
	if a.fault != nil && a.fault(len(a.posts), w, r) {
		return
	}
	if a.keys != nil && !a.keys[strings.TrimPrefix(r.URL.Path, "/e/")] {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, "{\"status\":401,\"message\":\"\",\"error\":\"Event key not found\"}\n")
		return
	}
	if a.maxBytes > 0 && len(text) > a.maxBytes {
		http.Error(w, "<html>413 Request Entity Too Large</html>", http.StatusRequestEntityTooLarge)
		return
	}
	a.answer(w, r, events)
}

func (a *api) answer(w http.ResponseWriter, r *http.Request, events []json.RawMessage) {
	seed, err := inngest.ParseSeed(r.Header.Get(inngest.HeaderEventIDSeed))
	if err != nil {
		panic(err)
	}
	ids, problem := []string{}, ""
	for _, raw := range events {
		var e struct {
			N   string
			Bad bool
		}
		if err := json.Unmarshal(raw, &e); err != nil || e.Bad {
			problem = fmt.Sprintf("event %s is bad", e.N)
			break
		}
		ids = append(ids, e.N)
	}
	if problem != "" && a.wholly {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "{\"ids\":[\"\"],\"status\":400,\"error\":%q}\n", problem)
		return
	}
	for i, n := range ids {
		id := seed.ID(i + 1)
		if a.unseeded {
			id = inngest.Seed{Millis: 5}.ID(len(a.order) + i + 1)
		}
		if a.took[n]++; a.took[n] == 1 {
			a.order = append(a.order, n)
			a.ids[n] = id
		} else if a.ids[n] != id {
			panic("another id for " + n)
		}
		ids[i] = id
	}
	if len(ids) == 0 {
		ids = []string{""}
	}
	out := map[string]any{"ids": ids, "status": 200}
	if problem != "" {
		out["status"], out["error"] = 400, problem
		w.WriteHeader(http.StatusBadRequest)
	}
	json.NewEncoder(w).Encode(out)
}

// counts returns how often each event was taken.
func (a *api) counts() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.took)
}

func (a *api) sent() []*post {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*post(nil), a.posts...)
}

// faults sets what answers instead of the API.
func (a *api) faults(f func(post int, w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault = f
}

// keyring has the keys by id.
type keyring map[string][]string

func (k keyring) EventKeys(_, id string) ([]string, bool) {
	keys, ok := k[id]
	return keys, ok
}

var seed = inngest.Seed{Millis: 1795540000000, Entropy: [10]byte([]byte("0123456789"))}

// batch makes events of some bytes, numbered from 0; some are bad.
func batch(count, size int, bad ...int) *Batch {
	var b strings.Builder
	b.WriteByte('[')
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"x/e","n":"%d","data":{"brackets":"]}\"[{","list":[[1],{}],"fill":%q}`, i, strings.Repeat("x", size))
		for _, n := range bad {
			if n == i {
				b.WriteString(`,"bad":true`)
			}
		}
		b.WriteByte('}')
	}
	b.WriteByte(']')
	return &Batch{Destination: Destination{Environment: "prod", KeyID: "k"}, Seed: seed, Body: []byte(b.String()), Count: count}
}

func clientOptions(url string) Options {
	return Options{
		Environments: map[string]string{"prod": url},
		Transport:    http.DefaultTransport.(*http.Transport).Clone(),
		Keys:         keyring{"k": {"key-1"}, "two": {"key-1", "key-2"}},
		Timeout:      10 * time.Second,
		MaxAnswer:    1 << 20,
		MaxBytes:     1 << 20,
		Regrow:       time.Hour,
		Remember:     time.Minute,
		Breaker: breaker.Options{
			ConsecutiveFailures: 3, MinCalls: 10, Window: time.Minute, OpenFor: time.Minute, HalfOpenProbes: 1, ProbeTimeout: 10 * time.Second,
			Metrics: metrics.New(prometheus.NewRegistry()).Breaker,
		},
		Metrics: metrics.New(prometheus.NewRegistry()).Deliver,
		Log:     slog.New(slog.DiscardHandler),
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if transport, ok := o.Transport.(*http.Transport); ok {
			transport.CloseIdleConnections()
		}
	})
	return c
}
