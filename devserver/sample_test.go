package devserver

import (
	"testing"
	"time"
)

func TestServer_runsTheSampleApp(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	if err := s.Sync(soon(t), newSample(t, base), true); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		event, want string
		calls       int
	}{
		"two steps with a sleep":         {"demo/hello", `{"said":"Hello, world!"}`, 4},
		"three parallel steps":           {"demo/parallel", `{"squares":[4,9,16],"sum":29}`, 7},
		"a step that fails the 1st time": {"demo/flaky", `"worked at attempt 2"`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := s.SendEvent(soon(t), c.event, map[string]any{})
			if err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Second)
			runs, err := s.WaitRunsOf(soon(t), id)
			if err != nil {
				t.Fatalf("%v; runs: %+v", err, s.Runs())
			}
			if len(runs) != 1 || runs[0].Status != Completed || string(runs[0].Output) != c.want || len(runs[0].Calls) != c.calls {
				t.Errorf("runs = %+v, want one with %s after %d calls", runs, c.want, c.calls)
			}
		})
	}
}
