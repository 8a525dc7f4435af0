package devserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A reply is what the app double answers to one call.
type reply struct {
	status int
	header map[string]string // beside those of an SDK
	body   string
	bare   bool // no SDK's headers
	cut    bool // the connection is lost before an answer
}

// ops and result make the usual replies.
func ops(list ...string) reply { return reply{status: 206, body: "[" + strings.Join(list, ",") + "]"} }

func result(json string) reply { return reply{status: 200, body: json} }

// op is one opcode in JSON; more is appended to its members.
func op(kind, id, more string) string {
	return fmt.Sprintf(`{"id":%q,"op":%q,"name":%q,"displayName":%q%s}`, inngest.HashStepID(id, 0), kind, id, id, more)
}

func stepRun(id, data string) string { return op("StepRun", id, `,"data":`+data) }

func sleep(id, duration string) string {
	return fmt.Sprintf(`{"id":%q,"op":"Sleep","name":%q,"displayName":%q}`, inngest.HashStepID(id, 0), duration, id)
}

// recordedReply is an app's answer as recorded.
func recordedReply(t testing.TB, number string) reply {
	t.Helper()
	r := record(t, number).Response
	header := map[string]string{}
	for _, name := range []string{inngest.HeaderNoRetry, inngest.HeaderRetryAfter, "Location", "Content-Encoding"} {
		if v := r.header().Get(name); v != "" {
			header[name] = v
		}
	}
	return reply{status: r.Status, header: header, body: r.body(t)}
}

// A call is a request that the double got.
type call struct {
	method, target string
	header         http.Header
	body           string
}

// double is an app that answers as its script says: the n-th call for a
// function gets its n-th reply. A function named in hold waits for a value
// there before it answers, from its call number from on.
type double struct {
	t      testing.TB
	front  *httptest.Server
	mu     sync.Mutex
	script map[string][]reply
	calls  map[string][]call
	hold   map[string]chan struct{}
	from   int
	came   chan string // slug of each call, if set
}

func newDouble(t testing.TB, script map[string][]reply) *double {
	t.Helper()
	d := &double{t: t, script: script, calls: map[string][]call{}, hold: map[string]chan struct{}{}}
	d.front = httptest.NewServer(d)
	t.Cleanup(d.front.Close)
	return d
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller hung up
	}
	slug := r.URL.Query().Get("fnId")
	d.mu.Lock()
	n := len(d.calls[slug])
	d.calls[slug] = append(d.calls[slug], call{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)})
	hold, came := d.hold[slug], d.came
	var out reply
	if n < len(d.script[slug]) {
		out = d.script[slug][n]
	} else {
		out = reply{status: 500, header: map[string]string{inngest.HeaderNoRetry: "true"}, body: `{"name":"Error","message":"call too many"}`}
	}
	d.mu.Unlock()
	if came != nil {
		came <- slug
	}
	if hold != nil && n >= d.from {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	out.write(w)
}

func (r reply) write(w http.ResponseWriter) {
	if r.cut {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if !r.bare {
		h.Set(inngest.HeaderSDK, "js:v4.24.0")
		h.Set(inngest.HeaderRequestVersion, "2")
	}
	for name, value := range r.header {
		h.Set(name, value)
	}
	w.WriteHeader(r.status)
	io.WriteString(w, r.body)
}

// callsOf returns what a function was called with.
func (d *double) callsOf(slug string) []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]call(nil), d.calls[slug]...)
}

// manifest is a function as JSON; more is appended to its members.
func (d *double) manifest(slug, trigger string, retries int, more string) string {
	return fmt.Sprintf(`{"id":%q,"name":%q,"triggers":[%s],"steps":{"step":{"id":"step","name":"step","runtime":{"type":"http","url":%q},"retries":{"attempts":%d}}}%s}`,
		slug, slug, trigger, d.front.URL+"/api/inngest?fnId="+slug+"&stepId=step", retries, more)
}

// on is an event trigger.
func on(event string) string { return fmt.Sprintf(`{"event":%q}`, event) }

// register posts functions to the server.
func (d *double) register(base string, functions ...string) {
	d.t.Helper()
	body := fmt.Sprintf(`{"url":%q,"deployType":"ping","framework":"express","appName":"js-app","functions":[%s],"sdk":"js:v4.24.0","v":"0.1"}`,
		d.front.URL+"/api/inngest", strings.Join(functions, ","))
	status, _, answer := do(d.t, authorised(d.t, http.MethodPost, base+"/fn/register", body))
	if status != http.StatusOK {
		d.t.Fatalf("register = %d %s", status, answer)
	}
}

// authorised is a request with the key's bearer token.
func authorised(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+signature.BearerToken(key))
	req.Header.Set("Content-Type", "application/json")
	return req
}

// do makes a request and reads the answer.
func do(t testing.TB, req *http.Request) (int, http.Header, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// send sends an event and returns the id it was given.
func send(t testing.TB, s *Server, name string, data any) string {
	t.Helper()
	id, err := s.SendEvent(soon(t), name, data)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// runOf waits for the end of the one run that an event started.
func runOf(t testing.TB, s *Server, event string) Run {
	t.Helper()
	runs, err := s.WaitRunsOf(soon(t), event)
	if err != nil {
		t.Fatalf("%v; runs: %+v", err, s.Runs())
	}
	if len(runs) != 1 {
		t.Fatalf("event %s started %d runs, want 1", event, len(runs))
	}
	return runs[0]
}

// until waits until a run of a function has had an op, n times.
func until(t testing.TB, s *Server, slug, op string, n int) {
	t.Helper()
	err := s.WaitFor(soon(t), func(_ []App, runs []Run) bool {
		count := 0
		for _, r := range runs {
			if r.Function != slug {
				continue
			}
			for _, c := range r.Calls {
				if c.Op == op || op == "Error" && c.Error != "" {
					count++
				}
			}
		}
		return count >= n
	})
	if err != nil {
		t.Fatalf("waiting for %s of %s: %v; runs: %+v", op, slug, err, s.Runs())
	}
}

// fast is a back-off that tests need not jump over.
func fast(int) time.Duration { return time.Millisecond }
