package chaos

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A batch of senders sends single events, each named differently, until enough
// of them are acknowledged. Every second event comes as the JavaScript SDK sends
// it: with a seed, and again with the same one until it is acknowledged. The
// others come once: an event whose answer was lost is let go, and nobody knows
// what became of it.
type senders struct {
	tb      testing.TB
	url     string // of the event API, with the key
	prefix  string // of the events' names
	size    int    // bytes of noise in each event
	want    int    // acknowledged events
	client  *http.Client
	done    chan struct{} // closed when enough are acknowledged
	stopped sync.WaitGroup

	mu    sync.Mutex
	next  int
	acked map[string]string // id by name
	lost  map[string]bool   // names of events that were let go
	tries map[string]int    // answers other than 200, by what they were
}

// send starts so many senders at once.
func send(tb testing.TB, address string, atOnce, want, size int) *senders {
	tb.Helper()
	b := &senders{
		tb: tb, url: "http://" + address + "/e/" + recorded.EventKey, size: size, want: want,
		prefix: fmt.Sprintf("t/sink.%x.", rand.Uint32()),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}},
		done:   make(chan struct{}), acked: map[string]string{}, lost: map[string]bool{}, tries: map[string]int{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() { b.work(ctx) })
	}
	b.stopped.Go(func() {
		workers.Wait()
		b.client.CloseIdleConnections()
	})
	tb.Cleanup(func() {
		cancel()
		b.stopped.Wait()
	})
	return b
}

// until waits until so many events were acknowledged.
func (b *senders) until(n int) {
	b.tb.Helper()
	until(b.tb, fmt.Sprintf("%d acknowledged events", n), func() bool { return b.count() >= n })
}

// wait waits for the last sender.
func (b *senders) wait() {
	b.tb.Helper()
	b.until(b.want)
	b.stopped.Wait()
}

// count is the number of acknowledged events, met that of answers of one kind.
func (b *senders) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acked)
}

func (b *senders) met(what string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries[what]
}

func (b *senders) work(ctx context.Context) {
	for {
		b.mu.Lock()
		n := b.next
		b.next++
		b.mu.Unlock()
		select {
		case <-b.done:
			return
		default:
		}
		if !b.one(ctx, n) {
			return
		}
	}
}

// one sends one event until it is acknowledged or let go. False says that it is
// the end.
func (b *senders) one(ctx context.Context, n int) bool {
	name, seed := b.prefix+strconv.Itoa(n), ""
	if n%2 == 0 {
		seed = newSeed()
	}
	body := fmt.Sprintf(`{"name":%q,"data":{"n":%d,"noise":%q}}`, name, n, noise(b.size))
	for {
		id, what, sent := b.post(ctx, body, seed)
		b.mu.Lock()
		switch {
		case id != "":
			b.acked[name] = id
			if len(b.acked) == b.want {
				close(b.done)
			}
		default:
			b.tries[what]++
			if seed == "" && sent {
				b.lost[name] = true
			}
		}
		over := id != "" || b.lost[name]
		b.mu.Unlock()
		if over {
			return true
		}
		select { // what cannot be reached now may be soon
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}

// post makes one request: the id, or what came instead and whether the request
// may have been taken all the same.
func (b *senders) post(ctx context.Context, body, seed string) (id, what string, sent bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(body))
	if err != nil {
		panic(err) // a good URL
	}
	req.Header.Set("Content-Type", "application/json")
	if seed != "" {
		req.Header.Set(inngest.HeaderEventIDSeed, seed)
		req.GetBody = nil // or net/http repeats it by itself
	}
	resp, err := b.client.Do(req)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return "", "no connection", false
	}
	if err != nil {
		return "", "no answer", true
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "half an answer", true
	}
	var answer struct{ IDs []string }
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get(inngest.HeaderGatewayError)), true
	}
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.IDs) != 1 || answer.IDs[0] == "" {
		b.tb.Errorf("an event was acknowledged with %s", text)
		return "", "bad answer", true
	}
	return answer.IDs[0], "", true
}

// newSeed makes a seed as the JavaScript SDK does.
func newSeed() string {
	var entropy [10]byte
	binary.BigEndian.PutUint64(entropy[:], rand.Uint64())
	entropy[8], entropy[9] = byte(rand.Uint32()), byte(rand.Uint32())
	return fmt.Sprintf("%d,%s", time.Now().UnixMilli(), base64.StdEncoding.EncodeToString(entropy[:]))
}

// noise is text that does not compress much.
func noise(size int) string {
	b := make([]byte, size*3/4)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}

// settled waits until the server has every acknowledged event and the gateway
// has nothing left, and all runs have ended.
func (b *senders) settled(s *server, backlog func() int) {
	b.tb.Helper()
	until(b.tb, "the last of the acknowledged events", func() bool { return len(b.missing(s)) == 0 })
	until(b.tb, "an empty spool", func() bool { return backlog() == 0 })
	until(b.tb, "the end of all runs", func() bool {
		t := s.EventTotals()
		return t.Ended == t.Distinct
	})
}

// missing lists acknowledged events that the server does not have.
func (b *senders) missing(s *server) []string {
	counts := s.EventCounts()
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name, id := range b.acked {
		if counts[id].Arrived == 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// judge checks what became of the events: each that was acknowledged is there
// under its id, none is there under two, and each started one run.
func (b *senders) judge(s *server) {
	b.tb.Helper()
	if names := b.missing(s); len(names) > 0 {
		b.tb.Errorf("%d acknowledged events are missing: %.5q", len(names), names)
	}
	b.judgeThere(s)
}

// judgeThere is judge for those events that the server has.
func (b *senders) judgeThere(s *server) {
	b.tb.Helper()
	ids := map[string][]string{}
	wrong, repeated := map[string]int{}, 0
	for id, c := range s.EventCounts() {
		if !strings.HasPrefix(c.Name, b.prefix) {
			continue
		}
		ids[c.Name] = append(ids[c.Name], id)
		if c.Runs != 1 {
			wrong[fmt.Sprintf("%d runs", c.Runs)]++
		}
		repeated += c.Arrived - 1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, all := range ids {
		switch {
		case len(all) > 1:
			wrong[fmt.Sprintf("%d ids", len(all))]++
		case b.acked[name] != "" && all[0] != b.acked[name]:
			wrong["another id than its sender was told"]++
		case b.acked[name] == "" && !b.lost[name]:
			wrong["nobody sent it"]++
		}
	}
	for what, n := range wrong {
		b.tb.Errorf("%d events with %s", n, what)
	}
	t := s.EventTotals()
	b.tb.Logf("%d acknowledged, %d let go, %d at the server in %d POSTs (%d faults), %d came again; not acknowledged: %s",
		len(b.acked), len(b.lost), t.Distinct, t.Posts, t.Faults, repeated, listed(b.tries))
}

func listed(counts map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(parts, ", ")
}
