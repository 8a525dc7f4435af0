package sdk

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/devserver"
)

// A server is a development server that runs until the test ends. Its clock
// jumps over sleeps and back-offs, and it approves what waits for approval.
type server struct {
	*devserver.Server
	url   string
	clock *devserver.Clock

	// before puts something before a gateway and returns where Inngest finds it
	// now; nil: nothing.
	before func(gateway string) string
}

func startServer(tb testing.TB, dialect devserver.Dialect, signingKey string, change ...func(*devserver.Options)) *server {
	tb.Helper()
	s := &server{clock: devserver.NewClock()}
	var err error
	options := devserver.Options{
		SigningKey: signingKey,
		EventKeys:  []string{eventKey},
		Dialect:    dialect,
		Clock:      s.clock,
		Observer:   s.goOn,
		Backoff:    func(int) time.Duration { return 10 * time.Millisecond },
	}
	for _, c := range change {
		c(&options)
	}
	s.Server, err = devserver.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	listener := listen(tb)
	s.url = "http://" + listener.Addr().String()
	serve(tb, listener, s.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			tb.Errorf("devserver: %v", err)
		}
	})
	return s
}

// goOn spares the test what a run would wait for.
func (s *server) goOn(e devserver.StepEvent) {
	s.FindRun(e.Run) // has the server's lock: what the event tells of is complete
	switch {
	case e.Op == "WaitForEvent" && strings.HasSuffix(e.Function, "-steps"):
		if _, err := s.SendEvent(context.Background(), prefix+"approve", map[string]any{}); err != nil {
			panic(err) // the name is good, and nothing else can be wrong
		}
	case e.Op == "Sleep", e.Op == "WaitForEvent":
		s.clock.Advance(time.Second)
	case e.Error != "":
		s.clock.Advance(3 * time.Second) // what retryafter asks for
	}
}

// run sends events of one name and returns the run that they start. It must be
// one, ended in time.
func (s *server) run(tb testing.TB, kind string, data any, events int) devserver.Run {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	var id string
	for range events {
		var err error
		if id, err = s.SendEvent(ctx, prefix+kind, data); err != nil {
			tb.Fatal(err)
		}
	}
	if kind == "batch" {
		s.clock.Advance(2 * time.Second)
	}
	runs, err := s.WaitRunsOf(ctx, id)
	if err != nil {
		tb.Fatalf("%s: %v\n%s", kind, err, timeline(s.Runs()))
	}
	if len(runs) != 1 {
		tb.Fatalf("%s: an event started %d runs, want 1", kind, len(runs))
	}
	return runs[0]
}

// timeline tells what happened to runs, for a test that failed.
func timeline(runs []devserver.Run) string {
	var out strings.Builder
	for _, r := range runs {
		out.WriteString(r.Function + " " + r.ID + " " + string(r.Status) + " " + string(r.Output) + string(r.Error) + "\n")
		for _, c := range r.Calls {
			text, _ := json.Marshal(c) // a struct of plain fields
			out.WriteString("    " + string(text) + "\n")
		}
	}
	return out.String()
}
