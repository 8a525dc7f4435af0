package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// A writer writes random programs. Each ends with a number that depends on
// every result on the way.
type writer struct {
	*rand.Rand
	ids int
	out strings.Builder
}

func (w *writer) line(depth int, format string, args ...any) {
	w.out.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...) + "\n")
}

func (w *writer) id() int { w.ids++; return w.ids }

// block writes a list of statements that add to the variable x.
func (w *writer) block(depth, room int) {
	for range 1 + w.IntN(3) {
		w.statement(depth, room)
	}
}

func (w *writer) statement(depth, room int) {
	kind := w.IntN(8)
	if room == 0 {
		kind = w.IntN(4)
	}
	n := w.id()
	switch kind {
	case 0, 1, 2:
		w.line(depth, `- {id: c%d, post: "http://b/c%d", body: {x: "${vars.x}"}}`, n, n)
		w.line(depth, `- set: {x: "${(vars.x + steps.c%d.n) %% 97}"}`, n)
	case 3:
		w.line(depth, `- {id: s%d, sleep: 30s}`, n)
	case 4:
		w.line(depth, `- try: [{id: t%d, get: "http://b/fail/t%d"}]`, n, n)
		w.line(depth, `  catch: [{set: {x: "${vars.x + 1}"}}]`)
	case 5:
		w.line(depth, `- if: vars.x %% 2 == 0`)
		w.line(depth, `  then:`)
		w.block(depth+1, room-1)
		w.line(depth, `  else:`)
		w.block(depth+1, room-1)
	case 6:
		w.line(depth, `- forEach: [1, 2, 3]`)
		w.line(depth, `  parallel: 2`)
		w.line(depth, `  do:`)
		w.line(depth, `  - {id: f%d, get: "http://b/f%d/${item}"}`, n, n)
		w.line(depth, `- set: {x: "${(vars.x + steps.f%d[0].n + steps.f%d[2].n) %% 97}"}`, n, n)
	case 7:
		w.line(depth, `- parallel:`)
		for branch := range 2 {
			w.line(depth, `  - - {id: p%d_%d, get: "http://b/p%d/%d"}`, n, branch, n, branch)
			w.line(depth, `    - {id: q%d_%d, get: "http://b/q%d/${steps.p%d_%d.n}"}`, n, branch, n, n, branch)
		}
		w.line(depth, `- set: {x: "${(vars.x + steps.q%d_0.n * 3 + steps.q%d_1.n) %% 97}"}`, n, n)
	}
}

// numbers is the backend of random programs: each address and body has one
// number. It counts what it was asked with one key.
type numbers struct {
	mu   sync.Mutex
	seen map[string]int
}

func (b *numbers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.seen[r.Header.Get("Idempotency-Key")]++
	b.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/fail/") {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	var body struct{ X int }
	json.NewDecoder(r.Body).Decode(&body) // a GET has none
	sum := fnv.New32a()
	fmt.Fprint(sum, r.URL.Path, body.X)
	fmt.Fprintf(w, `{"n":%d}`, sum.Sum32()%11)
}

// most returns how often the most frequent key was seen.
func (b *numbers) most() (key string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, times := range b.seen {
		if times > n {
			key, n = k, times
		}
	}
	return key, n
}

// newProgram compiles a program and makes its driver.
func newProgram(t testing.TB, text string, backend http.Handler) *program.Driver {
	t.Helper()
	var source any
	if err := yaml.Unmarshal([]byte(text), &source); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	p, problems := program.Compile(source, program.Scope{Path: "steps", App: "shop"})
	if len(problems) > 0 {
		t.Fatalf("%v in\n%s", problems, text)
	}
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	upstream := newUpstream(t, metrics.New(prometheus.NewRegistry()), server.URL)
	d, err := p.Driver(program.Options{
		Call:    func(ctx context.Context, _ string, c *call.Call) (*call.Answer, error) { return upstream.Do(ctx, c) },
		Send:    func(context.Context, json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`[]`), nil },
		Timeout: 10 * time.Second, Limits: program.Limits{Steps: 1000, Moves: 10_000, Bytes: 1 << 20}, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A program whose answers and checkpoints are lost at random ends with the same
// result as one that nothing happens to; and then each step's backend is called
// exactly once.
func TestHost_programsEndAlikeHoweverTheyAreInterrupted(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := &writer{Rand: rand.New(rand.NewPCG(seed, 9))}
			w.line(0, `- set: {x: 1}`)
			for range 3 {
				w.statement(0, 2)
			}
			w.line(0, `- return: "${vars.x}"`)
			text := w.out.String()

			calm := &numbers{seen: map[string]int{}}
			quiet := newWorld(t, setup{}, function("p", newProgram(t, text, calm), seed%2 == 0, 20))
			want := quiet.start("t/p", m{})
			completed(t, want, string(want.Output))
			if key, n := calm.most(); n > 1 {
				t.Errorf("step %s was made %d times in\n%s", key, n, text)
			}

			rough := newWorld(t, setup{}, function("p", newProgram(t, text, &numbers{seen: map[string]int{}}), seed%3 != 0, 20))
			var mu sync.Mutex
			rough.front.cut = func(int) bool { mu.Lock(); defer mu.Unlock(); return w.IntN(3) == 0 }
			rough.api.before = func(string, string) (int, bool) {
				mu.Lock()
				defer mu.Unlock()
				return []int{0, 500, 413, 409}[w.IntN(4)], w.IntN(4) == 0
			}
			got := rough.start("t/p", m{})
			if got.Status != want.Status || string(got.Output) != string(want.Output) {
				t.Errorf("interrupted run ended as %s with %s %s, want %s, of\n%s", got.Status, got.Output, got.Error, want.Output, text)
			}
		})
	}
}
