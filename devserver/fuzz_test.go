package devserver

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// bodies seeds a fuzzer with recorded bodies.
func bodies(f *testing.F, pattern string, of func(recording) recorded) {
	f.Helper()
	paths, err := filepath.Glob("testdata/recordings/" + pattern)
	if err != nil || len(paths) == 0 {
		f.Fatalf("recordings %s: %d, %v", pattern, len(paths), err)
	}
	for _, path := range paths {
		number, _, _ := strings.Cut(filepath.Base(path), "-")
		f.Add(of(record(f, number)).body(f))
	}
}

// Whatever a body holds: each id that is told belongs to an event that was
// taken, and what was taken can be sent to an app.
func FuzzEventAPI(f *testing.F) {
	bodies(f, "1[12]*-events-*", func(r recording) recorded { return r.Request })
	f.Fuzz(func(t *testing.T, body string) {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		ids, err := s.takeEvents(strings.NewReader(body), http.Header{}, All)
		if len(ids) != len(s.st.events) {
			t.Fatalf("%d ids for %d events, %v", len(ids), len(s.st.events), err)
		}
		for i, ev := range s.st.events {
			if ids[i] != ev.internal || ev.name == "" || ev.id == "" {
				t.Errorf("event %d: id %s, %+v", i, ids[i], ev)
			}
			if ev.ts < inngest.MinEventTS || ev.ts > inngest.MaxEventTS || strings.HasPrefix(strings.ToLower(ev.name), "inngest/") {
				t.Errorf("event %d should not have been taken: %+v", i, ev)
			}
			if !json.Valid(marshal(ev.inCall())) {
				t.Errorf("event %d is no JSON in a call", i)
			}
		}
	})
}

// Whatever a 206 holds: ops that are taken are known and can be kept.
func FuzzParseOps(f *testing.F) {
	bodies(f, "*-206.json", func(r recording) recorded { return r.Response })
	f.Fuzz(func(t *testing.T, body string) {
		ops, err := parseOps([]byte(body), false)
		if err != nil {
			return
		}
		for _, op := range ops {
			if !op.Op.Known() || !json.Valid(outputOf(op)) {
				t.Errorf("op %+v was taken", op)
			}
		}
	})
}
