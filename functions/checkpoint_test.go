package functions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/functions"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// eachOnce fails the test if one of the ten steps did not run exactly once.
func eachOnce(t testing.TB, k *talker, runID string) {
	t.Helper()
	for i := range 10 {
		if ran, tried := k.times(runID, fmt.Sprintf("s%d", i)); ran != 1 || tried != 1 {
			t.Errorf("step s%d ran %d times in %d attempts, want once", i, ran, tried)
		}
	}
}

// A step that Inngest does not take goes back in the answer, so that the run
// goes on and the step does not run twice.
func TestHost_handsStepBackThatWasNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		status      int // 0: no answer
		checkpoints int // requests for each step
	}{
		"no answer":         {0, 3},
		"500":               {500, 3},
		"413":               {413, 1},
		"400 of an old run": {400, 1},
		"401":               {401, 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := tenSteps()
			w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
			w.api.before = func(method, path string) (int, bool) { return c.status, method == http.MethodPost }
			r := w.start("t/ten", m{})
			completed(t, r, `{"sum":55}`)
			eachOnce(t, k, r.ID)
			if got := len(w.front.posts()); got != 11 {
				t.Errorf("the run took %d calls, want 11", got)
			}
			if got := w.api.count("POST", "/async"); got != 10*c.checkpoints {
				t.Errorf("%d checkpoints were sent, want %d", got, 10*c.checkpoints)
			}
		})
	}
}

// A checkpoint whose answer is lost was taken: the step is told twice and counts
// once.
func TestHost_survivesLostAnswersToCheckpoints(t *testing.T) {
	k := tenSteps()
	w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
	lossy := &lossyAPI{apiClient: w.api}
	w.front.swap(w.newHost(setup{host: func(o *functions.Options) { o.API = lossy }}, function("ten", k.conversation(t), true, 3)))
	r := w.start("t/ten", m{})
	completed(t, r, `{"sum":55}`)
	eachOnce(t, k, r.ID)
}

func TestHost_yieldsAfterConfiguredTime(t *testing.T) {
	k := tenSteps()
	var now atomic.Int64 // ahead of the clock
	k.run = func(run func(q *question) (int, any)) func(q *question) (int, any) {
		return func(q *question) (int, any) {
			now.Add(int64(3 * time.Second))
			return run(q)
		}
	}(k.run)
	w := newWorld(t, setup{host: func(o *functions.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(now.Load())) }
	}}, function("ten", k.conversation(t), true, 3))
	r := w.start("t/ten", m{})
	completed(t, r, `{"sum":55}`)
	eachOnce(t, k, r.ID)
	// 10 s allow four steps of 3 s, the fourth goes back in the answer.
	if got := len(w.front.posts()); got != 3 {
		t.Errorf("the run took %d calls, want 3", got)
	}
}

func TestHost_stopsWhenAnotherDispatchTookOver(t *testing.T) {
	k := tenSteps()
	w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
	var n atomic.Int32
	w.api.before = func(string, string) (int, bool) { return http.StatusConflict, n.Add(1) == 3 }
	r := w.start("t/ten", m{})
	completed(t, r, `{"sum":55}`)
	posts := w.front.posts()
	if posts[0].status != http.StatusInternalServerError || posts[0].header.Get(inngest.HeaderNoRetry) != "false" {
		t.Errorf("stale call was answered %d, no-retry %q", posts[0].status, posts[0].header.Get(inngest.HeaderNoRetry))
	}
	if got := posts[0].header.Get(inngest.HeaderGatewayError); got != string(inngest.CodeFunctionStale) {
		t.Errorf("code of a stale call = %q", got)
	}
	if ran, _ := k.times(r.ID, "s1"); ran != 1 {
		t.Errorf("a step that was taken ran %d times", ran)
	}
}

// The same with a server that fences: the connection of a call is lost, the
// server calls again, and the old call finds out when it tells its next step.
func TestHost_givesWayToNextDispatch(t *testing.T) {
	k := tenSteps()
	var held atomic.Bool
	began, proceed, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	run := k.run
	k.run = func(q *question) (int, any) {
		switch {
		case q.Run == "s3" && held.CompareAndSwap(false, true):
			close(began)
			<-proceed
		case q.Run == "s5":
			<-ended // the run is under way while the old call finds out
		}
		return run(q)
	}
	w := newWorld(t, setup{dev: func(o *devserver.Options) { o.Fenced, o.FenceAfter = true, time.Nanosecond }},
		function("ten", k.conversation(t), true, 3))
	old := w.front.host
	event := w.send("t/ten", m{})
	<-began
	w.front.swap(w.newHost(setup{}, function("ten", k.conversation(t), true, 3)))
	w.front.stay() // the old call does not see that its caller hung up
	w.front.hangUp()
	stop := w.jump()
	err := w.dev.WaitFor(soon(t), func(_ []devserver.App, runs []devserver.Run) bool {
		return len(runs) == 1 && runs[0].Steps[inngest.HashStepID("s4", 0)] != nil
	})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	close(proceed)
	until(t, "the old call ends", func() bool { return old.Status().Calls == 0 })
	close(ended)
	r := w.wait(event)
	completed(t, r, `{"sum":55}`)
	if n := testutil.ToFloat64(w.metrics.Functions.Calls.WithLabelValues("shop", "shop-ten", "stale")); n != 1 {
		t.Errorf("%v calls ended as stale, want 1", n)
	}
	for i := range 10 {
		want := 1
		if i == 3 {
			want = 2 // nobody knew of the first time
		}
		if ran, _ := k.times(r.ID, fmt.Sprintf("s%d", i)); ran != want {
			t.Errorf("step s%d ran %d times, want %d", i, ran, want)
		}
	}
}

// The gateway dies after any of the ten steps: no step that Inngest has taken is
// lost or runs again.
func TestHost_losesNoTakenStepWhenKilled(t *testing.T) {
	for dies := range 10 {
		t.Run(fmt.Sprintf("after step %d", dies), func(t *testing.T) {
			k := tenSteps()
			w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
			var taken atomic.Int32
			killed := make(chan struct{})
			w.api.before = func(string, string) (int, bool) {
				if taken.Add(1) == int32(dies)+2 {
					close(killed)
					<-soon(t).Done() // the old gateway says nothing more
				}
				return 0, false
			}
			w.front.cut = func(n int) bool { return n == 0 }
			next := w.newHost(setup{host: func(o *functions.Options) {
				o.API = &apiClient{base: w.devURL, key: parseKey(t), client: http.DefaultClient}
			}}, function("ten", k.conversation(t), true, 3))
			event := w.send("t/ten", m{})
			if dies < 9 {
				<-killed
				w.front.swap(next)
				w.front.hangUp()
			}
			r := w.wait(event)
			completed(t, r, `{"sum":55}`)
			for i := range dies + 1 {
				if ran, _ := k.times(r.ID, fmt.Sprintf("s%d", i)); ran != 1 {
					t.Errorf("step s%d was taken, and ran %d times", i, ran)
				}
			}
		})
	}
}

func TestHost_handsBackWhenItGoesAway(t *testing.T) {
	k := tenSteps()
	began, proceed := make(chan struct{}), make(chan struct{})
	run := k.run
	k.run = func(q *question) (int, any) {
		if q.Run == "s3" {
			close(began)
			<-proceed
		}
		return run(q)
	}
	w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
	leaving, next := w.front.host, w.newHost(setup{}, function("ten", k.conversation(t), true, 3))
	event := w.send("t/ten", m{})
	<-began
	w.front.swap(next)
	ended := leave(t, leaving)
	close(proceed)
	r := w.wait(event)
	completed(t, r, `{"sum":55}`)
	eachOnce(t, k, r.ID)
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if first := w.front.posts()[0]; !strings.Contains(first.answer, `"displayName":"s3"`) {
		t.Errorf("the host that went away answered %s, want the step it was at", first.answer)
	}
}

// From attempt 1 on nothing is checkpointed, as with the SDK for JavaScript.
func TestHost_checkpointsNothingOnLaterAttempts(t *testing.T) {
	k := tenSteps()
	w := newWorld(t, setup{}, function("ten", k.conversation(t), true, 3))
	w.front.cut = func(n int) bool { return n == 0 }
	var lost atomic.Int32
	w.api.before = func(string, string) (int, bool) { return 413, lost.Add(1) == 2 }
	r := w.start("t/ten", m{})
	completed(t, r, `{"sum":55}`)
	// s0 was taken; s1 was not, and the answer with it is lost: attempt 1 makes
	// s1 again and hands it back, the next call has attempt 0 and the rest.
	if ran, _ := k.times(r.ID, "s1"); ran != 2 {
		t.Errorf("the lost step ran %d times, want 2", ran)
	}
	second := w.front.posts()[0]
	var ops []inngest.GeneratorOp
	if err := json.Unmarshal([]byte(second.answer), &ops); err != nil || len(ops) != 1 || ops[0].DisplayName != "s1" {
		t.Errorf("attempt 1 was answered %s", second.answer)
	}
	if got := len(w.front.posts()); got != 2 {
		t.Errorf("%d calls were answered, want 2", got)
	}
}

func TestHost_rerunsStepWithOtherInput(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := tenSteps()
		w := newWorld(t, setup{}, function("ten", k.conversation(t), checkpoint, 3))
		first := w.start("t/ten", m{})
		completed(t, first, `{"sum":55}`)
		id, err := w.dev.Rerun(first.ID, inngest.HashStepID("s4", 0), json.RawMessage(`[100]`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.dev.WaitRun(soon(t), id)
		if err != nil {
			t.Fatal(err)
		}
		completed(t, r, `{"sum":151}`)
		for i := range 10 {
			want := 1
			if i < 4 {
				want = 0
			}
			if ran, _ := k.times(r.ID, fmt.Sprintf("s%d", i)); ran != want {
				t.Errorf("step s%d ran %d times in the second run, want %d", i, ran, want)
			}
		}
	})
}

func TestHost_readsStateOfCallsThatAreTooLarge(t *testing.T) {
	both(t, func(t *testing.T, checkpoint bool) {
		k := tenSteps()
		run := k.run
		k.run = func(q *question) (int, any) {
			status, n := run(q)
			if q.Run == "s2" {
				return status, strings.Repeat("x", 2000)
			}
			return status, n
		}
		// A nap makes a second call, also with checkpoints.
		next := k.next
		k.next = func(q *question) any {
			_, slept := q.Steps["nap"]
			if _, ok := q.Steps["s4"]; ok && !slept {
				return m{"steps": []m{{"id": "nap", "sleep": "1s"}}}
			}
			return next(q)
		}
		w := newWorld(t, setup{dev: func(o *devserver.Options) { o.StateLimit = 2500 }}, function("ten", k.conversation(t), checkpoint, 3))
		r := w.start("t/ten", m{"n": 1})
		completed(t, r, `{"sum":52}`)
		eachOnce(t, k, r.ID)
		batch, actions := w.api.count("GET", "/batch"), w.api.count("GET", "/actions")
		if batch == 0 || batch != actions {
			t.Errorf("batch was read %d times, actions %d times", batch, actions)
		}
	})
}

func TestHost_failsAttemptWhenStateCannotBeRead(t *testing.T) {
	k := tenSteps()
	w := newWorld(t, setup{dev: func(o *devserver.Options) { o.StateLimit = 1100 }}, function("ten", k.conversation(t), true, 1))
	w.api.before = func(method, path string) (int, bool) {
		return http.StatusGone, strings.HasSuffix(path, "/actions")
	}
	r := w.start("t/ten", m{"text": strings.Repeat("y", 1000)})
	if r.Status != devserver.Failed || !strings.Contains(string(r.Error), "answered 410") {
		t.Errorf("run ended as %s: %s", r.Status, r.Error)
	}
	if got := w.front.posts()[0].header.Get(inngest.HeaderGatewayError); got != string(inngest.CodeFunctionEvent) {
		t.Errorf("code = %q", got)
	}
}
