package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// sendEvents posts events to a gateway's apps listener and returns their ids.
func sendEvents(tb testing.TB, r *running, body string) (ids []string, a answer) {
	tb.Helper()
	a, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+"/e/"+recorded.EventKey, nil, body)
	if err != nil {
		tb.Errorf("send events: %v", err)
		return nil, a
	}
	var taken struct{ IDs []string }
	if err := json.Unmarshal([]byte(a.body), &taken); err != nil {
		tb.Errorf("answer %d %s: %v", a.status, a.body, err)
	}
	return taken.IDs, a
}

// waitEvents waits until the server has so many different events.
func (s *testServer) waitEvents(distinct int) devserver.EventTotals {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.WaitEvents(ctx, func(t devserver.EventTotals) bool { return t.Distinct >= distinct }); err != nil {
		s.tb.Fatalf("%v: %+v", err, s.EventTotals())
	}
	return s.EventTotals()
}

func TestEvents_manyCallersShareOneRequest(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	r := start(t, load(t, oneApp(server.url(), "http://127.0.0.1:1", "events: {batch: {max_wait: 100ms, in_flight: 1}}")))
	const callers = 200
	var all sync.Map
	var callersDone sync.WaitGroup
	for i := range callers {
		callersDone.Go(func() {
			ids, a := sendEvents(t, r, fmt.Sprintf(`{"name":"order.created","data":{"n":%d}}`, i))
			if a.status != 200 || len(ids) != 1 {
				t.Errorf("answer = %d %s", a.status, a.body)
				return
			}
			all.Store(ids[0], true)
		})
	}
	callersDone.Wait()
	totals := server.waitEvents(callers)
	if totals.Posts > callers/4 || totals.Arrived != callers {
		t.Errorf("%d events came in %d requests", totals.Arrived, totals.Posts)
	}
	for id := range server.EventCounts() {
		if _, told := all.LoadAndDelete(id); !told {
			t.Errorf("the server has an id that no caller was told: %s", id)
		}
	}
	all.Range(func(id, _ any) bool {
		t.Errorf("a caller was told an id that the server does not have: %s", id)
		return true
	})
}

func TestEvents_surviveAnOutageAndARestart(t *testing.T) {
	for _, mode := range []string{"hybrid", "durable"} {
		t.Run(mode, func(t *testing.T) {
			server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
			server.goAway()
			text := oneApp(server.url(), "http://127.0.0.1:1", fmt.Sprintf("state_dir: %q\nevents: {spool: {mode: %s}}", t.TempDir(), mode))
			r := start(t, load(t, text))
			r.log.await(t, "spool is open")
			var told []string
			for i := range 20 {
				ids, a := sendEvents(t, r, fmt.Sprintf(`[{"name":"a","data":{"n":%d}},{"name":"b"}]`, i))
				if a.status != 200 || len(ids) != 2 {
					t.Fatalf("answer = %d %s", a.status, a.body)
				}
				told = append(told, ids...)
			}
			if err := r.stop(t); err != nil {
				t.Fatal(err)
			}

			server.comeBack()
			start(t, load(t, text))
			server.waitEvents(len(told))
			for _, id := range told {
				if n := server.EventCounts()[id].Arrived; n != 1 {
					t.Errorf("%s came %d times", id, n)
				}
			}
		})
	}
}

func TestEvents_areRefusedWithoutASpoolWhileInngestIsAway(t *testing.T) {
	r := start(t, load(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", "events: {delivery: {give_up: 10ms}}")))
	_, a := sendEvents(t, r, `{"name":"a"}`)
	if a.status != 503 || a.header.Get("X-Gateway-Error") != "inngest_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("answer = %d %v %s", a.status, a.header, a.body)
	}
}

func TestEvents_thatInngestRefusesLaterAreDeadLetters(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	server.RefuseEvents(func(event json.RawMessage) error {
		if strings.Contains(string(event), "poison") {
			return errors.New("no poison here")
		}
		return nil
	})
	r := start(t, load(t, oneApp(server.url(), "http://127.0.0.1:1", fmt.Sprintf("state_dir: %q\nevents: {spool: {mode: durable}}", t.TempDir()))))
	r.log.await(t, "spool is open")
	if ids, a := sendEvents(t, r, `[{"name":"good"},{"name":"poison"},{"name":"good"}]`); len(ids) != 3 || a.status != 200 {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	server.waitEvents(2)
	letters := r.letters(t)
	if len(letters) != 1 || letters[0].Events != 1 || !strings.Contains(letters[0].Reason, "no poison here") {
		t.Fatalf("dead letters = %+v", letters)
	}
	var letter Letter
	r.control(t, "spool-show", LetterRequest{ID: letters[0].ID}, &letter)
	if diff := cmp.Diff(`[{"name":"poison"}]`, string(letter.Body)); diff != "" {
		t.Errorf("body of the dead letter (-want +got):\n%s", diff)
	}

	server.RefuseEvents(nil)
	r.control(t, "spool-replay", LetterRequest{ID: letter.ID}, nil)
	server.waitEvents(3)
	if left := r.letters(t); len(left) != 0 {
		t.Errorf("dead letters after the replay = %+v", left)
	}
}

// A firewall before Inngest blocks one event of a request, of which there is no
// other in the spool. Its neighbours arrive, and everybody can see why it does not.
func TestEvents_thatAFirewallBlocksHoldUpNobody(t *testing.T) {
	server := newTestServer(t, recorded.SigningKey, recorded.EventKey)
	server.FaultEvents(func(p devserver.EventPost) devserver.EventFault {
		if strings.Contains(string(p.Body), "sqlmap") {
			return devserver.EventFault{Status: http.StatusForbidden, Body: `{"error":"request blocked"}`}
		}
		return devserver.EventFault{}
	})
	r := start(t, load(t, oneApp(server.url(), "http://127.0.0.1:1", fmt.Sprintf("state_dir: %q\nevents: {delivery: {backoff_min: 10ms, breaker: {open_for: 10ms}}}", t.TempDir()))))
	r.log.await(t, "spool is open")
	ids, a := sendEvents(t, r, `[{"name":"a"},{"name":"b","data":{"agent":"sqlmap"}},{"name":"c"}]`)
	if len(ids) != 3 || a.status != 200 {
		t.Fatalf("answer = %d %s", a.status, a.body)
	}
	server.waitEvents(2)
	r.log.await(t, "events get no clear answer")
	if !strings.Contains(r.log.String(), ids[1]) {
		t.Errorf("the log does not say that it is %s", ids[1])
	}
	if got := decode[status](t, get(t, urlOf(r.listeners.admin)+"/status").body).Events.Spool; got.SetBackRecords != 1 || got.SetBackEvents != 1 {
		t.Errorf("status of the spool = %+v", got)
	}
	server.FaultEvents(nil)
	server.waitEvents(3)
	for n, id := range ids {
		if got := server.EventCounts()[id].Arrived; got != 1 {
			t.Errorf("event %d came %d times", n, got)
		}
	}
}

// letters waits until there is a dead letter, or none after the first.
func (r *running) letters(tb testing.TB) (list []Letter) {
	tb.Helper()
	r.log.await(tb, "dead letter")
	r.control(tb, "spool-ls", LetterRequest{Limit: 10}, &list)
	return list
}

// control asks the admin listener to do something.
func (r *running) control(tb testing.TB, name string, request, into any) {
	tb.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	a, err := ask(nil, http.MethodPost, "http://"+r.AdminAddr()+"/control/"+name, nil, string(body))
	if err != nil || a.status != 200 {
		tb.Fatalf("%s: %d %s %v", name, a.status, a.body, err)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			tb.Fatalf("%s: %s: %v", name, a.body, err)
		}
	}
}
