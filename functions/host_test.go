package functions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
)

// tenSteps is a conversation of ten steps, each of which adds one.
func tenSteps() *talker {
	var steps []m
	for i := range 10 {
		steps = append(steps, m{"id": fmt.Sprintf("s%d", i), "run": i})
	}
	return &talker{
		next: inOrder(func(q *question) any {
			sum := 0
			for _, s := range q.Steps {
				n, _ := strconv.Atoi(string(s.Data))
				sum += n
			}
			return m{"sum": sum}
		}, steps...),
		run: func(q *question) (int, any) {
			n, _ := strconv.Atoi(string(q.Input))
			return http.StatusOK, n + 1
		},
	}
}

func TestHost_runsTenStepsInOneCallWithCheckpoints(t *testing.T) {
	for name, checkpoint := range map[string]bool{"with checkpoints": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			k := tenSteps()
			w := newWorld(t, setup{}, function("ten", k.conversation(t), checkpoint, 3))
			r := w.start("t/ten", m{})
			if r.Status != devserver.Completed {
				t.Fatalf("run ended as %s: %s", r.Status, r.Error)
			}
			wantJSON(t, "output", r.Output, `{"sum":55}`)
			want := 1
			if !checkpoint {
				want = 11
			}
			if got := len(w.front.posts()); got != want {
				t.Errorf("the run took %d calls, want %d", got, want)
			}
			for i := range 10 {
				if ran, tried := k.times(r.ID, fmt.Sprintf("s%d", i)); ran != 1 || tried != 1 {
					t.Errorf("step s%d ran %d times in %d attempts, want once", i, ran, tried)
				}
			}
		})
	}
}

func TestHost_runsPlainEndpoint(t *testing.T) {
	for name, checkpoint := range map[string]bool{"with checkpoints": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var got m
			b := newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				json.NewDecoder(r.Body).Decode(&got)
				fmt.Fprint(w, `{"hello":"<wörld>"}`)
			}))
			e, err := functions.NewEndpoint(b)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, setup{}, function("plain", e, checkpoint, 3))
			r := w.start("t/plain", m{"n": 7})
			wantJSON(t, "output", r.Output, `{"hello":"<wörld>"}`)
			if ctx := got["ctx"].(m); ctx["runId"] != r.ID || ctx["functionId"] != "shop-plain" || ctx["maxAttempts"] != 4.0 {
				t.Errorf("the backend was told ctx %v", ctx)
			}
			if n := len(got["events"].([]any)); n != 1 {
				t.Errorf("the backend was told %d events, want 1", n)
			}
		})
	}
}

// The server's API shows the result of a run only where it is the answer itself.
// There it would take a text that holds an object for the object.
func TestHost_answersWithTheResultItself(t *testing.T) {
	for name, test := range map[string]struct {
		result string
		status int
	}{
		"an object":               {`{"a":1}`, 200},
		"a list of operations":    {`[{"op":"StepRun","id":"x"}]`, 200},
		"a text":                  {`"done"`, 200},
		"null":                    {`null`, 200},
		"a text with an object":   {`"{\"a\":1}"`, 206},
		"a text that begins so":   {`"{a}"`, 206},
		"a text with white space": {` "{\"a\":1}" `, 206},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, checkpoint bool) {
				k := &talker{next: func(*question) any { return m{"return": json.RawMessage(test.result)} }}
				w := newWorld(t, setup{}, function("end", k.conversation(t), checkpoint, 3))
				completed(t, w.start("t/end", m{}), test.result)
				posts := w.front.posts()
				if len(posts) != 1 || posts[0].status != test.status {
					t.Errorf("answers %+v, want one with status %d", posts, test.status)
				}
			})
		})
	}
}
