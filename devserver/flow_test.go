package devserver

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// ended waits until n runs of a function have ended and returns them.
func ended(t testing.TB, s *Server, slug string, n int) []Run {
	t.Helper()
	var out []Run
	err := s.WaitFor(soon(t), func(_ []App, runs []Run) bool {
		out = slices.DeleteFunc(runs, func(r Run) bool { return r.Function != slug || !r.Status.Ended() })
		return len(out) >= n
	})
	if err != nil {
		t.Fatalf("waiting for %d runs of %s: %v; runs %+v", n, slug, err, s.Runs())
	}
	return out
}

// many is a script of n results.
func many(n int, r reply) []reply {
	out := make([]reply, n)
	for i := range out {
		out[i] = r
	}
	return out
}

// quiet sends an event that nothing waits for and waits until the server has
// looked at it, and so at all that came before.
func quiet(t testing.TB, s *Server, base string) {
	t.Helper()
	d := newDouble(t, map[string][]reply{"quiet-f": {result(`1`)}})
	body := `{"url":"` + d.front.URL + `","appName":"quiet","functions":[` + d.manifest("quiet-f", on("quiet/x"), 0, "") + `]}`
	if status, _, answer := do(t, authorised(t, "POST", base+"/fn/register", body)); status != 200 {
		t.Fatal(answer)
	}
	runOf(t, s, send(t, s, "quiet/x", nil))
}

func TestMatch(t *testing.T) {
	for name, c := range map[string]struct {
		trigger, event, data string
		want                 bool
	}{
		"the same name":                {on("a/b"), "a/b", `{}`, true},
		"another name":                 {on("a/b"), "a/c", `{}`, false},
		"a wildcard after a slash":     {on("a/*"), "a/b.c", `{}`, true},
		"a wildcard after a dot":       {on("a/b.*"), "a/b.c", `{}`, true},
		"a wildcard in the word":       {on("a/b*"), "a/bc", `{}`, false},
		"a wildcard of another prefix": {on("b/*"), "a/b", `{}`, false},
		"an expression":                {`{"event":"a","expression":"event.data.n > 1"}`, "a", `{"n":2}`, true},
		"an expression that is false":  {`{"event":"a","expression":"event.data.n > 1"}`, "a", `{"n":1}`, false},
		"a fraction against a number":  {`{"event":"a","expression":"event.data.n > 1"}`, "a", `{"n":1.5}`, true},
		"arithmetic":                   {`{"event":"a","expression":"event.data.n + 1 == 3"}`, "a", `{"n":2}`, true},
		"what is not there is null":    {`{"event":"a","expression":"event.data.x == null"}`, "a", `{}`, true},
		"what is not there differs":    {`{"event":"a","expression":"event.data.x != 'y'"}`, "a", `{}`, true},
		"deeper than what is there":    {`{"event":"a","expression":"event.data.x.y == 'z'"}`, "a", `{}`, false},
		"has()":                        {`{"event":"a","expression":"has(event.data.x)"}`, "a", `{}`, false},
		"a list":                       {`{"event":"a","expression":"'x' in event.data.l"}`, "a", `{"l":["x"]}`, true},
		"a text for a number":          {`{"event":"a","expression":"event.data.n > 1"}`, "a", `{"n":"2"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMatcher()
			f := &function{}
			if err := json.Unmarshal([]byte(`{"triggers":[`+c.trigger+`]}`), &f.config); err != nil {
				t.Fatal(err)
			}
			ev := &event{name: c.event}
			if err := json.Unmarshal([]byte(c.data), &ev.data); err != nil {
				t.Fatal(err)
			}
			if got := f.triggeredBy(m, ev); got != c.want {
				t.Errorf("triggered = %v, want %v", got, c.want)
			}
		})
	}
}

func TestFlow_runsBatches(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-batched": many(4, result(`3`))})
	d.register(base, d.manifest("js-app-batched", on("t/batched"), 4,
		`,"batchEvents":{"maxSize":3,"timeout":"2s","key":"event.data.k","if":"event.data.go == true"}`))
	for range 3 {
		send(t, s, "t/batched", map[string]any{"go": true, "k": 1})
	}
	ended(t, s, "js-app-batched", 1)
	compareCall(t, "72", d.callsOf("js-app-batched")[0])

	send(t, s, "t/batched", map[string]any{"go": false, "k": 1}) // alone, at once
	ended(t, s, "js-app-batched", 2)

	send(t, s, "t/batched", map[string]any{"go": true, "k": 1})
	send(t, s, "t/batched", map[string]any{"go": true, "k": 2})
	quiet(t, s, base)
	clock.Advance(2 * time.Second) // two keys, two batches, both out of time
	runs := ended(t, s, "js-app-batched", 4)
	sizes := []int{}
	for _, r := range runs {
		sizes = append(sizes, len(r.EventIDs))
	}
	if !slices.Equal(sizes, []int{3, 1, 1, 1}) {
		t.Errorf("batches of %v, want 3, 1, 1 and 1", sizes)
	}
}

func TestFlow_dropsWhatIsOverALimit(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		keys []string // of the events
		want int
	}{
		"rate limit":              {`,"rateLimit":{"limit":2,"period":"1h"}`, []string{"a", "a", "a"}, 2},
		"rate limit by key":       {`,"rateLimit":{"limit":1,"period":"1h","key":"event.data.k"}`, []string{"a", "a", "b"}, 2},
		"idempotency":             {`,"idempotency":"event.data.k"`, []string{"a", "a", "b", "b"}, 2},
		"nothing":                 {``, []string{"a", "a"}, 2},
		"priority is no limit":    {`,"priority":{"run":"event.data.k == 'a' ? 120 : 0"}`, []string{"a", "b"}, 2},
		"a singleton, run by run": {`,"singleton":{"key":"event.data.k","mode":"skip"}`, []string{"a", "b"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
			d.register(base, d.manifest("js-app-f", on("t/f"), 0, c.more))
			for _, k := range c.keys {
				send(t, s, "t/f", map[string]any{"k": k})
			}
			quiet(t, s, base)
			ended(t, s, "js-app-f", c.want)
			if n := len(d.callsOf("js-app-f")); n != c.want {
				t.Errorf("%d runs, want %d", n, c.want)
			}
		})
	}
}

func TestFlow_startsAgainAfterTheWindow(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, `,"idempotency":"event.data.k"`))
	runOf(t, s, send(t, s, "t/f", map[string]any{"k": 1}))
	clock.Advance(25 * time.Hour)
	runOf(t, s, send(t, s, "t/f", map[string]any{"k": 1}))
}

func TestFlow_startsOnceForAnEventID(t *testing.T) {
	s, base := newServer(t, Options{})
	d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("x/a"), 0, ""))
	for range 2 { // the same seed, so the same ids
		if status, _, body := record(t, "122").Request.ask(t, base); status != 200 {
			t.Fatal(body)
		}
	}
	quiet(t, s, base)
	ended(t, s, "js-app-f", 1)
	if n := len(d.callsOf("js-app-f")); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
}

func TestFlow_throttles(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, `,"throttle":{"limit":1,"period":"1m"}`))
	for range 3 {
		send(t, s, "t/f", nil)
	}
	quiet(t, s, base)
	for n := 1; n <= 3; n++ {
		ended(t, s, "js-app-f", n)
		if got := len(d.callsOf("js-app-f")); got != n {
			t.Errorf("%d runs, want %d", got, n)
		}
		clock.Advance(time.Minute)
	}
}

func TestFlow_debounces(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, `,"debounce":{"period":"10s","timeout":"25s","key":"event.data.k"}`))
	for i := range 3 {
		send(t, s, "t/f", map[string]any{"k": 1, "n": i})
		quiet(t, s, base)
		clock.Advance(9 * time.Second) // each event puts the run off, until the timeout
	}
	runs := ended(t, s, "js-app-f", 1)
	if len(runs) != 1 || !strings.Contains(string(runs[0].Events[0]), `"n":2`) {
		t.Errorf("runs = %+v, want one of the last event", runs)
	}
}

func TestFlow_limitsConcurrency(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		keys []string
		want int // calls at once
	}{
		"a number":            {`,"concurrency":2`, []string{"a", "a", "a"}, 2},
		"by key":              {`,"concurrency":{"limit":1,"key":"event.data.k"}`, []string{"a", "a", "b"}, 2},
		"two limits":          {`,"concurrency":[{"limit":3,"scope":"fn"},{"limit":1,"scope":"env","key":"\"shared\""}]`, []string{"a", "b", "c"}, 1},
		"runs as a whole":     {`,"concurrency":{"fn":[{"limit":1}]}`, []string{"a", "b"}, 1},
		"steps of many runs":  {`,"concurrency":{"step":[{"limit":2}]}`, []string{"a", "b", "c"}, 2},
		"zero is no limit":    {`,"concurrency":0`, []string{"a", "b", "c"}, 3},
		"nothing is no limit": {``, []string{"a", "b", "c"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			d := newDouble(t, map[string][]reply{"js-app-f": many(9, result(`1`))})
			hold := make(chan struct{})
			d.hold["js-app-f"], d.came = hold, make(chan string, 9)
			d.register(base, d.manifest("js-app-f", on("t/f"), 0, c.more))
			for _, k := range c.keys {
				send(t, s, "t/f", map[string]any{"k": k})
			}
			for range c.want {
				next(t, d.came)
			}
			d.mu.Lock()
			d.came = nil
			d.mu.Unlock()
			quiet(t, s, base)
			if n := len(d.callsOf("js-app-f")); n != c.want {
				t.Errorf("%d calls at once, want %d", n, c.want)
			}
			close(hold)
			ended(t, s, "js-app-f", len(c.keys))
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.st.flow.inUse) != 0 || len(s.st.flow.parked) != 0 {
				t.Errorf("left over: %v in use, %d parked", s.st.flow.inUse, len(s.st.flow.parked))
			}
		})
	}
}

func TestFlow_singletonsSkipAndCancel(t *testing.T) {
	for name, c := range map[string]struct {
		mode string
		want []Status
	}{
		"skip":   {"skip", []Status{Completed}},
		"cancel": {"cancel", []Status{Cancelled, Completed}},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			waits := ops(op("WaitForEvent", "w", `,"opts":{"event":"t/go","timeout":"1h"}`))
			d := newDouble(t, map[string][]reply{"js-app-f": {waits, waits, result(`1`)}})
			if c.mode == "skip" {
				d.script["js-app-f"] = []reply{waits, result(`1`)}
			}
			d.register(base, d.manifest("js-app-f", on("t/f"), 0, `,"singleton":{"key":"event.data.k","mode":"`+c.mode+`"}`))
			send(t, s, "t/f", map[string]any{"k": 1})
			until(t, s, "js-app-f", "WaitForEvent", 1)
			send(t, s, "t/f", map[string]any{"k": 1})
			quiet(t, s, base)
			until(t, s, "js-app-f", "WaitForEvent", len(c.want))
			send(t, s, "t/go", nil)
			got := []Status{}
			for _, r := range ended(t, s, "js-app-f", len(c.want)) {
				got = append(got, r.Status)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("runs are %v, want %v", got, c.want)
			}
		})
	}
}

func TestFlow_cancelsRuns(t *testing.T) {
	for name, c := range map[string]struct {
		more string
		act  func(t *testing.T, s *Server, clock *Clock)
		want Status
	}{
		"by an event": {`,"cancel":[{"event":"t/stop","if":"event.data.id == async.data.id"}]`, func(t *testing.T, s *Server, _ *Clock) {
			send(t, s, "t/stop", map[string]any{"id": "other"})
			send(t, s, "t/stop", map[string]any{"id": "x"})
		}, Cancelled},
		"not after its timeout": {`,"cancel":[{"event":"t/stop","timeout":"1m"}]`, func(t *testing.T, s *Server, clock *Clock) {
			clock.Advance(time.Minute)
			send(t, s, "t/stop", nil)
			send(t, s, "t/go", nil)
		}, Completed},
		"when it lasts too long": {`,"timeouts":{"finish":"1m"}`, func(_ *testing.T, _ *Server, clock *Clock) { clock.Advance(time.Minute) }, Cancelled},
		"by hand": {``, func(t *testing.T, s *Server, _ *Clock) {
			if err := s.Cancel(s.Runs()[0].ID); err != nil {
				t.Error(err)
			}
			if err := s.Cancel(s.Runs()[0].ID); err == nil {
				t.Error("an ended run was cancelled")
			}
		}, Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			s, base := newServer(t, Options{Clock: clock})
			d := newDouble(t, map[string][]reply{"js-app-f": {ops(op("WaitForEvent", "w", `,"opts":{"event":"t/go","timeout":"1h"}`)), result(`1`)}})
			d.register(base, d.manifest("js-app-f", on("t/f"), 0, c.more))
			event := send(t, s, "t/f", map[string]any{"id": "x"})
			until(t, s, "js-app-f", "WaitForEvent", 1)
			c.act(t, s, clock)
			if run := runOf(t, s, event); run.Status != c.want {
				t.Errorf("run is %s, want %s", run.Status, c.want)
			}
		})
	}
}

func TestFlow_cancelsRunsThatDoNotStartInTime(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-f": {result(`1`), result(`1`)}})
	d.register(base, d.manifest("js-app-f", on("t/f"), 0, `,"throttle":{"limit":1,"period":"1h"},"timeouts":{"start":"1m"}`))
	runOf(t, s, send(t, s, "t/f", nil))
	event := send(t, s, "t/f", nil)
	quiet(t, s, base)
	clock.Advance(time.Minute)
	if run := runOf(t, s, event); run.Status != Cancelled {
		t.Errorf("run is %s", run.Status)
	}
}

func TestCron_firesAtItsTimes(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"js-app-minutely": many(9, recordedReply(t, "71")), "js-app-berlin": many(9, result(`1`))})
	d.register(base, d.manifest("js-app-minutely", `{"cron":"* * * * *"}`, 4, ""), d.manifest("js-app-berlin", `{"cron":"TZ=Europe/Berlin 0 4 1 1 *"}`, 4, ""))
	for n := 1; n <= 2; n++ {
		clock.Advance(time.Minute)
		ended(t, s, "js-app-minutely", n)
	}
	compareCall(t, "71", d.callsOf("js-app-minutely")[0])
	// A registration that has not changed leaves them as they are, another
	// one takes them away.
	d.register(base, d.manifest("js-app-minutely", on("t/none"), 4, ""))
	clock.Advance(time.Hour)
	quiet(t, s, base)
	if n := len(d.callsOf("js-app-minutely")); n > 3 {
		t.Errorf("%d runs after the cron was gone", n)
	}
}
