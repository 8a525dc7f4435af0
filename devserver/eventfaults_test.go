package devserver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// postEvents posts a body as a sender does, on a connection of its own.
func postEvents(t testing.TB, base, body, seed string) (int, http.Header, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodPost, base+"/e/"+testEventKey, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	if seed != "" {
		req.Header.Set("x-inngest-event-id-seed", seed)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}

const (
	twoEvents  = `[{"name":"x/a"},{"name":"x/b"}]`
	testSeed   = "1795540000000,MDEyMzQ1Njc4OQ=="
	seededA    = "01M878C78060RK4CSM6MV3EE1T" // recording 122
	seededB    = "01M878C78060RK4CSM6MV3EE1V"
	bothSeeded = `{"ids":["` + seededA + `","` + seededB + `"],"status":200}` + "\n"
)

func TestFaultEvents_makesEachKindOfFault(t *testing.T) {
	for name, c := range map[string]struct {
		fault  EventFault
		status int    // 0: no whole answer
		body   string // what came of it
		taken  []string
	}{
		"none":           {EventFault{}, 200, bothSeeded, []string{"x/a", "x/b"}},
		"only a delay":   {EventFault{Delay: time.Millisecond}, 200, bothSeeded, []string{"x/a", "x/b"}},
		"a status":       {EventFault{Status: 503}, 503, `{"status":503,"message":"","error":"Service Unavailable"}` + "\n", nil},
		"a body":         {EventFault{Status: 502, Body: "<html>"}, 502, "<html>", nil},
		"a false status": {EventFault{Status: 500, Take: All}, 500, `{"status":500,"message":"","error":"Internal Server Error"}` + "\n", []string{"x/a", "x/b"}},
		"half the list":  {EventFault{Status: 500, Take: 1}, 500, `{"status":500,"message":"","error":"Internal Server Error"}` + "\n", []string{"x/a"}},
		"a reset before": {EventFault{Ending: ResetBefore}, 0, "", nil},
		"a reset after":  {EventFault{Ending: ResetBefore, Take: All}, 0, "", []string{"x/a", "x/b"}},
		"half an answer": {EventFault{Ending: ResetWithin, Take: All}, 0, bothSeeded[:len(bothSeeded)/2], []string{"x/a", "x/b"}},
		"half of a lie":  {EventFault{Ending: ResetWithin}, 0, `{"ids":[""],"s`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			s.FaultEvents(AlwaysFault(c.fault))
			status, _, body, err := postEvents(t, base, twoEvents, testSeed)
			switch {
			case (err == nil) != (c.status != 0):
				t.Fatalf("answer = %d %q, %v", status, body, err)
			case c.status == 0 && !strings.HasPrefix(c.body, body): // a reset may overtake what was sent
				t.Errorf("before the reset came %q, want no more than %q", body, c.body)
			case c.status != 0 && (status != c.status || body != c.body):
				t.Errorf("answer = %d %q, want %d %q", status, body, c.status, c.body)
			}
			var taken []string
			for _, count := range s.EventCounts() {
				taken = append(taken, count.Name)
			}
			slices.Sort(taken)
			if diff := cmp.Diff(c.taken, taken); diff != "" {
				t.Errorf("events taken (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultEvents_sendsTheHeaderLinesOfTheFault(t *testing.T) {
	s, base := newServer(t, Options{})
	s.FaultEvents(FaultsInTurn(EventFault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}))
	status, h, _, err := postEvents(t, base, twoEvents, "")
	if status != 429 || h.Get("Retry-After") != "7" || err != nil {
		t.Errorf("answer = %d %v, %v", status, h, err)
	}
	if status, _, body, err := postEvents(t, base, twoEvents, testSeed); status != 200 || body != bothSeeded || err != nil {
		t.Errorf("answer after the only fault = %d %s, %v", status, body, err)
	}
	want := EventTotals{Posts: 2, Faults: 1, Arrived: 2, Distinct: 2}
	if diff := cmp.Diff(want, s.EventTotals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestFaultEvents_isAskedWithTheRequest(t *testing.T) {
	s, base := newServer(t, Options{})
	s.FaultEvents(func(p EventPost) EventFault {
		if len(p.Body) > len(twoEvents) {
			return EventFault{Status: http.StatusRequestEntityTooLarge}
		}
		if p.N != 2 || p.Key != testEventKey || p.Header.Get("x-inngest-event-id-seed") != testSeed {
			t.Errorf("post = %+v", p)
		}
		return EventFault{}
	})
	if status, _, body, err := postEvents(t, base, twoEvents+" ", testSeed); status != 413 || err != nil {
		t.Errorf("answer to a larger body = %d %s, %v", status, body, err)
	}
	if status, _, body, err := postEvents(t, base, twoEvents, testSeed); status != 200 || err != nil {
		t.Errorf("answer = %d %s, %v", status, body, err)
	}
}

func TestFaultEvents_isSilentUntilTheClientHangsUp(t *testing.T) {
	s, base := newServer(t, Options{})
	s.FaultEvents(AlwaysFault(EventFault{Ending: Silent, Take: All}))
	client := &http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(base+"/e/"+testEventKey, "", strings.NewReader(twoEvents))
	if err == nil {
		resp.Body.Close()
		t.Fatalf("answer = %d", resp.StatusCode)
	}
	if err := s.WaitEvents(soon(t), func(n EventTotals) bool { return n.Arrived == 2 }); err != nil {
		t.Error(err)
	}
}

func TestRefuseEvents_takesTheEventsBeforeABadOne(t *testing.T) {
	s, base := newServer(t, Options{})
	s.RefuseEvents(func(event json.RawMessage) error {
		if strings.Contains(string(event), "x/b") {
			return errors.New("not this one")
		}
		return nil
	})
	status, _, body, err := postEvents(t, base, `[{"name":"x/a"},{"name":"x/b"},{"name":"x/c"}]`, testSeed)
	if want := `{"ids":["` + seededA + `"],"status":400,"error":"not this one"}` + "\n"; status != 400 || body != want || err != nil {
		t.Errorf("answer = %d %s, %v; want 400 %s", status, body, err, want)
	}
	s.RefuseEvents(nil)
	if status, _, _, _ := postEvents(t, base, twoEvents, testSeed); status != 200 {
		t.Errorf("status = %d after the refusals ended", status)
	}
}

func TestSetEventKeys_replacesTheKeysThatAreTaken(t *testing.T) {
	s, base := newServer(t, Options{})
	for _, c := range []struct {
		keys   []string
		status int
	}{{[]string{"other"}, 401}, {[]string{"other", testEventKey}, 200}, {nil, 200}} {
		s.SetEventKeys(c.keys...)
		if status, _, body, err := postEvents(t, base, twoEvents, ""); status != c.status || err != nil {
			t.Errorf("keys %q: answer = %d %s, %v; want %d", c.keys, status, body, err, c.status)
		}
	}
}

func TestRandomFaults_repeatWithTheirSeed(t *testing.T) {
	draw := func(seed uint64) (statuses []int) {
		f := RandomFaults(seed, 0.5, EventFault{Status: 500}, EventFault{Status: 429})
		for range 200 {
			statuses = append(statuses, f(EventPost{}).Status)
		}
		return statuses
	}
	first := draw(7)
	if !slices.Equal(first, draw(7)) {
		t.Error("the same seed gives other faults")
	}
	if slices.Equal(first, draw(8)) {
		t.Error("another seed gives the same faults")
	}
	n := map[int]int{}
	for _, status := range first {
		n[status]++
	}
	if n[0] < 70 || n[500] < 20 || n[429] < 20 {
		t.Errorf("200 draws of which half are faults: %v", n)
	}
}

func TestEventCounts_tellRepeatsAndRuns(t *testing.T) {
	s, base := newServer(t, Options{})
	d := newDouble(t, map[string][]reply{"app-f": {result("1"), result("2")}})
	d.register(base, d.manifest("app-f", on("x/a"), 4, ""))
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if status, _, _, err := postEvents(t, base, twoEvents, testSeed); status != 200 || err != nil {
				t.Errorf("answer = %d, %v", status, err)
			}
		})
	}
	wg.Wait()
	for range 3 { // other ids for the sender, the same id for de-duplication
		if _, _, body, err := postEvents(t, base, `{"name":"x/a","id":"own"}`, ""); err != nil {
			t.Errorf("%s, %v", body, err)
		}
	}
	if err := s.WaitEvents(soon(t), func(n EventTotals) bool { return n.Ended == 2 }); err != nil {
		t.Fatalf("%v: %+v", err, s.EventTotals())
	}
	want := EventTotals{Posts: 8, Arrived: 13, Distinct: 5, Runs: 2, Ended: 2}
	if diff := cmp.Diff(want, s.EventTotals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	counts := s.EventCounts()
	if diff := cmp.Diff(EventCount{ID: seededA, OwnID: seededA, Name: "x/a", Arrived: 5, Runs: 1}, counts[seededA]); diff != "" {
		t.Errorf("a repeated event (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(EventCount{ID: seededB, OwnID: seededB, Name: "x/b", Arrived: 5}, counts[seededB]); diff != "" {
		t.Errorf("an event that starts nothing (-want +got):\n%s", diff)
	}
	runs := 0
	for _, c := range counts {
		if c.OwnID == "own" {
			runs += c.Runs
		}
	}
	if runs != 1 {
		t.Errorf("three events with one id of their own started %d runs, want 1", runs)
	}
}

// The server's batch manager knows events by the ids that it gave them itself.
func TestTrigger_deduplicatesBatchedEventsByTheIDsTheirSendersWereTold(t *testing.T) {
	clock := NewClock()
	s, base := newServer(t, Options{Clock: clock})
	d := newDouble(t, map[string][]reply{"app-f": {result("1"), result("2")}})
	d.register(base, d.manifest("app-f", on("x/a"), 4, `,"batchEvents":{"maxSize":2,"timeout":"60s"}`))
	for range 3 {
		if _, _, body, err := postEvents(t, base, `{"name":"x/a","id":"own"}`, testSeed); err != nil {
			t.Errorf("%s, %v", body, err)
		}
	}
	if _, _, body, err := postEvents(t, base, `{"name":"x/a","id":"own"}`, ""); err != nil {
		t.Errorf("%s, %v", body, err)
	}
	if err := s.WaitEvents(soon(t), func(n EventTotals) bool { return n.Ended == 1 }); err != nil {
		t.Fatalf("%v: %+v", err, s.EventTotals())
	}
	if got := s.Runs()[0].EventIDs; len(got) != 2 || got[0] != seededA || got[1] == seededA {
		t.Errorf("the batch holds %q, want the seeded id once, and another", got)
	}
}
