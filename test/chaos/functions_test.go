package chaos

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// programSteps is how many steps a run of the program has that is killed.
const programSteps = 6

// A killer ends a gateway once, at a point of one run that it is set to, and
// counts how often each step of it is made.
type killer struct {
	tb testing.TB
	g  *gateway

	mu      sync.Mutex
	atStep  int // kill while this step runs; 0: never
	atTold  int // kill when Inngest has taken the checkpoint of so many steps
	told    int // checkpoints that Inngest has taken
	made    []int
	started chan struct{} // the gateway is back
}

// set makes a point of the next run the one.
func (k *killer) set(atStep, atTold int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.atStep, k.atTold, k.told, k.made = atStep, atTold, 0, make([]int, programSteps+1)
}

// ServeHTTP is the backend: /1 is step 1.
func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var step int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &step); err != nil {
		k.tb.Errorf("the backend is asked for %s", r.URL.Path)
		return
	}
	k.mu.Lock()
	k.made[step]++
	kill := k.atStep == step
	if kill {
		k.atStep = 0
	}
	k.mu.Unlock()
	if kill {
		k.restart()
	}
	fmt.Fprint(w, step)
}

// checkpoints passes requests to Inngest and kills the gateway when a certain
// checkpoint was taken, before the gateway hears of it.
func (k *killer) checkpoints(inngest http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v1/checkpoint/") {
			inngest.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		inngest.ServeHTTP(answer, r)
		k.mu.Lock()
		if answer.Code == http.StatusOK {
			k.told++
		}
		kill := k.atTold == k.told && answer.Code == http.StatusOK
		k.mu.Unlock()
		if kill {
			k.restart()
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	}
}

func (k *killer) restart() {
	k.g.kill()
	k.started <- struct{}{}
}

// A gateway that is killed between any two steps of a checkpointed program, or
// within one, loses no step that Inngest has acknowledged.
func TestFunctions_gatewayKilledBetweenSteps(t *testing.T) {
	s := newServer(t)
	k := &killer{tb: t, started: make(chan struct{}, 1)}
	backend := httptest.NewServer(k)
	t.Cleanup(backend.Close)
	api := httptest.NewServer(k.checkpoints(s.Handler()))
	t.Cleanup(api.Close)

	var steps strings.Builder
	for n := range programSteps {
		fmt.Fprintf(&steps, "      - {id: s%d, get: %q}\n", n+1, fmt.Sprintf("%s/%d", backend.URL, n+1))
	}
	k.g = newGateway(t, s, nil, fmt.Sprintf("functions:\n  - id: program\n    triggers: [{event: t/program}]\n    retries: 20\n    steps:\n%s"+
		"      - return: [\"${steps.s1}\", \"${steps.s%d}\"]\n", &steps, programSteps))
	k.g.askAt(api.URL, s.url())
	k.set(0, 0)
	k.g.start()
	if err := s.Sync(bounded(t), "http://"+k.g.inngest+"/api/functions", true); err != nil {
		t.Fatal(err)
	}

	for _, point := range []string{"while step", "after checkpoint"} {
		for n := 1; n <= programSteps; n++ {
			t.Run(fmt.Sprintf("%s %d", point, n), func(t *testing.T) {
				within := point == "while step"
				if within {
					k.set(n, 0)
				} else {
					k.set(0, n)
				}
				run := k.run(s)
				if want := fmt.Sprintf("[1,%d]", programSteps); run.Status != devserver.Completed || compact(run.Output) != want {
					t.Errorf("run is %s: %s %s, want %s", run.Status, run.Output, run.Error, want)
				}
				k.mu.Lock()
				defer k.mu.Unlock()
				for step := 1; step <= programSteps; step++ {
					want := 1
					if within && step == n {
						want = 2 // nobody knows what became of it
					}
					if k.made[step] != want {
						t.Errorf("step %d was made %d times, want %d", step, k.made[step], want)
					}
				}
			})
		}
	}
}

// run makes one run, and starts the gateway again when it was killed.
func (k *killer) run(s *server) devserver.Run {
	k.tb.Helper()
	ctx := bounded(k.tb)
	id, err := s.SendEvent(ctx, "t/program", nil)
	if err != nil {
		k.tb.Fatal(err)
	}
	select {
	case <-k.started:
	case <-ctx.Done():
		k.tb.Fatal("the run does not come to its point")
	}
	k.g.start()
	runs, err := s.WaitRunsOf(ctx, id)
	if err != nil || len(runs) != 1 {
		k.tb.Fatalf("runs: %v, %v", runs, err)
	}
	return runs[0]
}

// askAt has the gateway ask another address for Inngest's API.
func (g *gateway) askAt(api, not string) {
	g.tb.Helper()
	text, err := os.ReadFile(g.config)
	if err != nil {
		g.tb.Fatal(err)
	}
	changed := strings.Replace(string(text), fmt.Sprintf("api_url: %q", not), fmt.Sprintf("api_url: %q", api), 1)
	if err := os.WriteFile(g.config, []byte(changed), 0o600); err != nil || changed == string(text) {
		g.tb.Fatalf("the configuration has no api_url %s: %v", not, err)
	}
}

func compact(text json.RawMessage) string { return strings.Join(strings.Fields(string(text)), "") }
