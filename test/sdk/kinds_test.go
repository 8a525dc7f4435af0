package sdk

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/test/sdk/sdkapp"
)

// A kind is one of the apps' functions and how its run must end.
type kind struct {
	data     any
	events   int // how many start the run
	status   devserver.Status
	output   string // JSON; empty: not looked at
	attempts int    // of the function or its failing step
}

func kinds() map[string]kind {
	one := map[string]any{"n": 1}
	return map[string]kind{
		"simple":       {one, 1, devserver.Completed, `{"ok":true,"n":1}`, 1},
		"steps":        {one, 1, devserver.Completed, `{"a":1,"b":2,"w":"t/approve","inv":{"ok":true,"n":9}}`, 1},
		"text":         {one, 1, devserver.Completed, `"é<>&!"`, 1},
		"parallel":     {one, 1, devserver.Completed, `[1,4,9,16]`, 1},
		"nonretriable": {one, 1, devserver.Failed, "", 1},
		"retryafter":   {one, 1, devserver.Completed, `1`, 2},
		"fails":        {one, 1, devserver.Failed, "", 2},
		"stepfails":    {one, 1, devserver.Failed, "", 1},
		"wobbly":       {one, 1, devserver.Completed, `"steady"`, 2},
		"waits":        {one, 1, devserver.Completed, `null`, 1},
		"many":         {one, 1, devserver.Completed, `45`, 1},
		"echo":         {map[string]any{"size": 3}, 1, devserver.Completed, `{"filler":"xxx"}`, 1},
		"batch":        {one, 3, devserver.Completed, `3`, 1},
	}
}

// checkKinds runs a function of every kind at the same time and compares how
// each ended, and that no step's code ran twice.
func checkKinds(t *testing.T, s *server, app runningApp) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, k := range kinds() {
		wg.Go(func() {
			r := s.run(t, name, k.data, k.events)
			if r.Status != k.status {
				t.Errorf("%s = %s, want %s\n%s", name, r.Status, k.status, timeline([]devserver.Run{r}))
				return
			}
			if k.output != "" && !sameJSON(t, string(r.Output), k.output) {
				t.Errorf("%s returned %s, want %s", name, r.Output, k.output)
			}
			if got := attempts(r); got != k.attempts {
				t.Errorf("%s took %d attempts, want %d\n%s", name, got, k.attempts, timeline([]devserver.Run{r}))
			}
			// Ten steps are one call where they are checkpointed.
			if calls := calls(r); name == "many" && app.checkpoints != (calls < 10) {
				t.Errorf("%s took %d calls, checkpointing %v\n%s", name, calls, app.checkpoints, timeline([]devserver.Run{r}))
			}
		})
	}
	wg.Wait()
	seen := map[sdkapp.Step]int{}
	for _, step := range app.steps() {
		seen[step]++
	}
	for step, n := range seen {
		if n > 1 {
			t.Errorf("the code of %+v ran %d times", step, n)
		}
	}
	if len(seen) == 0 {
		t.Error("no step ran")
	}
}

// attempts returns the number of the last attempt of any of a run's jobs.
func attempts(r devserver.Run) int {
	n := 0
	for _, c := range r.Calls {
		n = max(n, c.Attempt+1)
	}
	return n
}

// calls counts the answers of the app in a run's timeline.
func calls(r devserver.Run) int {
	n := 0
	for _, c := range r.Calls {
		if c.Status != 0 {
			n++
		}
	}
	return n
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		return false
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(a, b)
}
