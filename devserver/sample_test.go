package devserver

import (
	"testing"
	"time"
)

func TestServer_runsTheSampleApp(t *testing.T) {
	for name, c := range map[string]struct {
		slug, event, want string
		calls             int
		until             string // op after which the clock jumps
	}{
		"two steps with a sleep":         {"sample-hello", "demo/hello", `{"said":"Hello, world!"}`, 4, "Sleep"},
		"three parallel steps":           {"sample-parallel", "demo/parallel", `{"squares":[4,9,16],"sum":29}`, 7, ""},
		"a step that fails the 1st time": {"sample-flaky", "demo/flaky", `"worked at attempt 2"`, 3, "StepError"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s, base := newServer(t, Options{Clock: clock})
			if err := s.Sync(soon(t), newSample(t, base), true); err != nil {
				t.Fatal(err)
			}
			event := send(t, s, c.event, map[string]any{})
			if c.until != "" {
				until(t, s, c.slug, c.until, 1)
				clock.Advance(time.Second)
			}
			run := runOf(t, s, event)
			if run.Status != Completed || string(run.Output) != c.want || len(run.Calls) != c.calls {
				t.Errorf("run = %+v, want %s after %d calls", run, c.want, c.calls)
			}
		})
	}
}
