package chaos

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An occasion is one job, generation and attempt of a run: what the app is to be
// called for once.
type occasion struct {
	run, job            string
	generation, attempt int
}

// A repeater stands before a gateway like a balancer that sends calls again: a
// copy of each, on another connection, at a random moment. Nobody gets what is
// answered to the copy.
type repeater struct {
	address string
	gateway string
	within  time.Duration
	client  *http.Client
	copies  sync.WaitGroup

	mu     sync.Mutex
	copied int
	late   map[occasion]bool // whose copy may have come after the answer
}

// margin is by how much a copy is written earlier than the answer comes, where
// the gateway must have seen it before: either may be on its way for a while.
const margin = 300 * time.Millisecond

func newRepeater(tb testing.TB, gateway string, within time.Duration) *repeater {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &repeater{
		address: ln.Addr().String(), gateway: gateway, within: within, late: map[occasion]bool{},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: patience},
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	tb.Cleanup(r.copies.Wait)
	serve(tb, server, ln)
	return r
}

func (r *repeater) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the caller is gone
	}
	var answered time.Time
	done := make(chan struct{})
	r.copies.Go(func() {
		<-time.After(rand.N(r.within)) // a moment that nothing tells
		var written time.Time
		resp, err := r.send(req, body, func() { written = time.Now() })
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		<-done
		r.note(body, written.IsZero() || answered.Sub(written) < margin)
	})
	defer close(done)
	resp, err := r.send(req, body, func() {})
	answered = time.Now()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// send sends the call to the gateway, and tells when it was written.
func (r *repeater) send(req *http.Request, body []byte, written func()) (*http.Response, error) {
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written() }}
	out, err := http.NewRequest(req.Method, "http://"+r.gateway+req.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = req.Header.Clone()
	return r.client.Do(out.WithContext(httptrace.WithClientTrace(out.Context(), trace)))
}

func (r *repeater) note(body []byte, late bool) {
	var call inngest.CallRequest
	if json.Unmarshal(body, &call) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copied++
	if late {
		r.late[occasion{call.Ctx.RunID, call.Ctx.JobID, call.Ctx.GenerationID, call.Ctx.Attempt}] = true
	}
}

// calls counts the calls that the app got, by what they were for.
func (a *app) calls() map[occasion]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := map[occasion]int{}
	for _, l := range a.lines {
		if l.Did == "call" {
			n[occasion{l.Run, l.Job, l.Generation, l.Attempt}]++
		}
	}
	return n
}

// Each call comes twice, the second time at a random moment while the first one
// waits or runs: the app has it once. In the middle the app is away.
func TestGateway_outageWithDuplicates(t *testing.T) {
	const atOnce, step, within = 50, 600 * time.Millisecond, 150 * time.Millisecond
	rounds := 1
	if *long {
		rounds = 20
	}
	s := newServer(t)
	a := newApp(t, "shop", step)
	g := newGateway(t, s, []*app{a}, "")
	a.start()
	g.start()
	r := newRepeater(t, g.inngest, within)
	s.register("shop", "t/shop", "http://"+r.address+"/shop")

	runs := 0
	for range rounds {
		s.begin("shop", atOnce)
		runs += atOnce
		s.ended(runs)
		r.copies.Wait()
		a.process.kill()
		s.begin("shop", atOnce)
		runs += atOnce
		until(t, "calls that wait", func() bool { return g.metric("inngest_gateway_admission_parked_calls") >= atOnce })
		a.start()
		s.ended(runs)
	}
	r.copies.Wait()

	got := s.tally("shop")
	if got.Completed != runs || got.Other != 0 || got.Burned != 0 {
		t.Errorf("%+v; want %d runs completed and no attempt burned", got, runs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, n := range a.calls() {
		if n > 2 || n > 1 && !r.late[o] {
			t.Errorf("the app was called %d times for %+v", n, o)
		}
	}
	joins := g.metric("inngest_gateway_admission_joined_calls_total")
	if want := r.copied - len(r.late); int(joins) < want {
		t.Errorf("%v calls joined, want the %d that came in time", joins, want)
	}
	t.Logf("%d copies, %d of them perhaps late; %v joined", r.copied, len(r.late), joins)
}
