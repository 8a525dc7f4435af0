package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An occasion is one job, generation and attempt of a run.
type occasion struct {
	run, job            string
	generation, attempt int
}

func occasionOf(body []byte) occasion {
	var call inngest.CallRequest
	if json.Unmarshal(body, &call) != nil {
		return occasion{}
	}
	return occasion{call.Ctx.RunID, call.Ctx.JobID, call.Ctx.GenerationID, call.Ctx.Attempt}
}

// A counter stands between gateway and app, and counts the calls.
type counter struct {
	mu    sync.Mutex
	calls map[occasion]int
}

// countCalls puts a counter before the app, whose url becomes the counter's.
func countCalls(tb testing.TB, app *runningApp) *counter {
	tb.Helper()
	target, err := url.Parse(app.url)
	if err != nil {
		tb.Fatal(err)
	}
	c := &counter{calls: map[occasion]int{}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target.Host})
	listener := listen(tb)
	serve(tb, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method == http.MethodPost {
			c.mu.Lock()
			c.calls[occasionOf(body)]++
			c.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	app.url = "http://" + listener.Addr().String() + target.Path
	return c
}

// A balancer stands before the gateway, and is a bad one: it sends calls a second
// time at a random moment, and gives some of them up, which Inngest then calls
// again in a newer generation while the older one is running.
type balancer struct {
	to      string
	within  time.Duration
	copies  sync.WaitGroup
	mu      sync.Mutex
	copied  int
	givenUp int
	late    map[occasion]bool // whose copy came when the first one had ended, or might have
}

func startBalancer(tb testing.TB, to string, within time.Duration) (*balancer, string) {
	tb.Helper()
	b := &balancer{to: to, within: within, late: map[occasion]bool{}}
	listener := listen(tb)
	serve(tb, listener, b)
	tb.Cleanup(b.copies.Wait)
	return b, "http://" + listener.Addr().String()
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	ctx, giveUp := context.WithCancel(r.Context())
	defer giveUp()
	ended := make(chan struct{})
	defer close(ended)
	gaveUp := false
	if r.Method == http.MethodPost {
		b.copies.Go(func() { b.again(r, body, ended) })
		if gaveUp = rand.IntN(5) == 0; gaveUp {
			defer time.AfterFunc(rand.N(b.within), giveUp).Stop()
		}
	}
	resp, err := b.send(ctx, r, body)
	if err != nil {
		b.mu.Lock()
		b.givenUp++
		b.late[occasionOf(body)] = true // its copy leads from now on
		b.mu.Unlock()
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// again sends the copy, unless the first one has ended before its moment.
func (b *balancer) again(r *http.Request, body []byte, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-time.After(rand.N(b.within)):
	}
	sent := time.Now()
	late := make(chan bool, 1)
	go func() {
		<-ended
		late <- time.Since(sent) < b.within
	}()
	resp, err := b.send(context.Background(), r, body)
	if err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	isLate := <-late
	b.mu.Lock()
	defer b.mu.Unlock()
	b.copied++
	if isLate {
		b.late[occasionOf(body)] = true
	}
}

func (b *balancer) send(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	out, err := http.NewRequestWithContext(ctx, r.Method, b.to+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	return (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(out)
}

// With checkpointing Inngest refuses what an older generation has done, with a
// 409, and the SDK ends that one's call so that it is not tried again. Whatever
// is sent twice or given up on the way: no run gets such an answer.
func TestDuplicates_endNoRunInAConflict(t *testing.T) {
	const runs, step, within = 30, 100 * time.Millisecond, 200 * time.Millisecond
	s := startServer(t, devserver.Register, productionKey, func(o *devserver.Options) {
		o.Fenced, o.FenceAfter = true, time.Nanosecond
		o.CallTimeout = time.Minute
	})
	var count *counter
	node := sdk{start: func(tb testing.TB, o appOptions) runningApp {
		o.step = step
		app := startNode(tb, o, true)
		count = countCalls(tb, &app)
		return app
	}}
	var b *balancer
	s.before = func(gateway string) (front string) {
		b, front = startBalancer(t, gateway, within)
		return front
	}
	_, gw := startBehindGateway(t, s, node, "passthrough")
	syncSigned(t, s, gw)

	var wg sync.WaitGroup
	for range runs {
		wg.Go(func() {
			r := s.run(t, "many", map[string]any{"n": 1}, 1)
			if r.Status != devserver.Completed || string(r.Output) != "45" {
				t.Errorf("a run is %s with %s\n%s", r.Status, r.Output, timeline([]devserver.Run{r}))
			}
			for _, c := range r.Calls {
				if c.Status == http.StatusConflict || strings.Contains(c.Error, "stale dispatch") {
					t.Errorf("a run got the answer of an older generation:\n%s", timeline([]devserver.Run{r}))
				}
			}
		})
	}
	wg.Wait()
	b.copies.Wait()
	count.mu.Lock()
	defer count.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for o, n := range count.calls {
		if n > 1 && !b.late[o] {
			t.Errorf("the app was called %d times for %+v", n, o)
		}
	}
	if b.copied == 0 || b.givenUp == 0 {
		t.Errorf("%d calls were copied and %d given up: nothing was tested", b.copied, b.givenUp)
	}
	t.Logf("%d copies, %d calls given up, %d calls of the app for %d occasions", b.copied, b.givenUp, sum(count.calls), len(count.calls))
}

func sum(n map[occasion]int) (all int) {
	for _, v := range n {
		all += v
	}
	return all
}
