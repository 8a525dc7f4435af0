package chaos

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// asks are what apps ask of Inngest beside events, again and again: what each of
// them is told is counted.
type asks struct {
	tb      testing.TB
	client  *http.Client
	stopped sync.WaitGroup
	stop    func()

	mu   sync.Mutex
	told map[string]map[string]int // answers by the kind of request
}

// An askKind is one kind of request.
type askKind struct {
	method, path, body string
	rest               time.Duration // from its answer to the next one
}

// askKinds are small requests of an app called mail.
func askKinds() map[string]askKind {
	const often = 5 * time.Millisecond
	return map[string]askKind{
		"read":       {http.MethodGet, "/v1/apps/mail/functions", "", often},
		"checkpoint": askCheckpoint(100, often),
		"register":   {http.MethodPost, "/fn/register", registration("mail", "t/mail", "http://127.0.0.1:1/mail"), often},
	}
}

// askCheckpoint is a checkpoint of a size. No run is the one that it is for: what
// counts is who says so.
func askCheckpoint(size int, rest time.Duration) askKind {
	const run = "01M879HYYB4NJQFZMS5KAZ0000"
	body := fmt.Sprintf(`{"run_id":%q,"generation_id":1,"steps":[],"filler":%q}`, run, strings.Repeat("x", size))
	return askKind{http.MethodPost, "/v1/checkpoint/" + run + "/async", body, rest}
}

// ask asks all of these, each kind by so many at once, until stop.
func ask(tb testing.TB, address string, atOnce int, kinds map[string]askKind) *asks {
	tb.Helper()
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	a := &asks{tb: tb, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: len(kinds) * atOnce}}, told: map[string]map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = func() {
		cancel()
		a.stopped.Wait()
		a.client.CloseIdleConnections()
	}
	tb.Cleanup(a.stop)
	for name := range kinds {
		a.told[name] = map[string]int{}
	}
	for name, kind := range kinds {
		for range atOnce {
			a.stopped.Go(func() {
				for ctx.Err() == nil {
					what := a.one(ctx, "http://"+address+kind.path, kind, signature.BearerToken(key))
					if ctx.Err() != nil {
						return
					}
					a.mu.Lock()
					a.told[name][what]++
					a.mu.Unlock()
					select { // apps ask for something, and then work
					case <-time.After(kind.rest):
					case <-ctx.Done():
					}
				}
			})
		}
	}
	return a
}

// one asks once, and tells what came: Inngest's answer, a refusal of the
// gateway's, or nothing.
func (a *asks) one(ctx context.Context, url string, kind askKind, token string) string {
	req, err := http.NewRequestWithContext(ctx, kind.method, url, strings.NewReader(kind.body))
	if err != nil {
		panic(err) // a good URL
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.client.Do(req)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "half an answer"
	}
	if code := resp.Header.Get(inngest.HeaderGatewayError); code != "" {
		return fmt.Sprintf("%d %s", resp.StatusCode, code)
	}
	return "Inngest's"
}

// count is how often the kind was told something that begins so.
func (a *asks) count(kind, what string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for told, times := range a.told[kind] {
		if strings.HasPrefix(told, what) {
			n += times
		}
	}
	return n
}

// more waits until each kind was told something that begins so, n times more.
func (a *asks) more(n int, what string) {
	a.tb.Helper()
	before := map[string]int{}
	for kind := range a.told {
		before[kind] = a.count(kind, what)
	}
	for kind := range a.told {
		until(a.tb, fmt.Sprintf("%d more answers %q to each; at first there were %s", n, what, a), func() bool { return a.count(kind, what) >= before[kind]+n })
	}
}

// judge checks that all was answered, by Inngest or in one of these ways.
func (a *asks) judge(refusals ...string) {
	a.tb.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for kind, told := range a.told {
		for what, n := range told {
			if what != "Inngest's" && !slices.Contains(refusals, what) {
				a.tb.Errorf("%s: told %q %d times", kind, what, n)
			}
		}
	}
}

func (a *asks) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(a.told)) {
		parts = append(parts, kind+": "+listed(a.told[kind]))
	}
	return strings.Join(parts, "; ")
}
