package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// callOfSize makes a call of a run of its own, with about that many bytes.
func (r *running) callOfSize(tb testing.TB, path string, run, size int) answer {
	tb.Helper()
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	body := string(recorded.One(tb, 5).Request.Body)
	_, rest, _ := strings.Cut(body, `"run_id":"`)
	body = strings.ReplaceAll(body, rest[:26], fmt.Sprintf("01M879HYYB4NJQFZMS5K%06d", run))
	body = strings.Replace(body, `"steps":{}`, `"steps":{"aa":{"data":"`+strings.Repeat("y", size)+`","type":"data"}}`, 1)
	header := http.Header{inngest.HeaderSignature: {signature.Sign(key, []byte(body), time.Now())}}
	a, err := ask(nil, http.MethodPost, urlOf(r.listeners.inngest)+path+"?fnId=plain-steps&stepId=step", header, body)
	if err != nil {
		tb.Errorf("call of %d bytes: %v", size, err)
	}
	return a
}

// withAppsAway is a gateway with an app that is well, and two that are away.
func withAppsAway(tb testing.TB, more string) *running {
	url := serveHTTP(tb, answerStep)
	return start(tb, load(tb, fmt.Sprintf(`
inngest: {api_url: %q, event_url: %q}
drain: {calls: 20ms}
apps:
  - {id: well, path: /well, upstream: {endpoints: [%q]}}
  - {id: away0, path: /away0, upstream: {endpoints: [%q]}}
  - {id: away1, path: /away1, upstream: {endpoints: [%q]}}
%s`, url, url, url, nobody, nobody, more)))
}

// fillRooms makes n calls to each app that is away, and waits until each of them
// is parked or refused.
func (r *running) fillRooms(tb testing.TB, n, size int) {
	tb.Helper()
	var refused atomic.Int64
	for app := range 2 {
		for run := range n {
			go func() {
				r.callOfSize(tb, fmt.Sprint("/away", app), app*n+run, size)
				refused.Add(1)
			}()
		}
	}
	parked := func() int { return r.rooms["away0"].Status().Parked + r.rooms["away1"].Status().Parked }
	for over := time.Now().Add(patience); parked()+int(refused.Load()) < 2*n; <-time.After(5 * time.Millisecond) {
		if time.Now().After(over) {
			tb.Fatalf("%d calls are parked and %d refused, of %d", parked(), refused.Load(), 2*n)
		}
	}
	for app := range 2 {
		if r.rooms[fmt.Sprint("away", app)].Status().Parked == 0 {
			tb.Errorf("no call to away%d is parked", app)
		}
	}
}

// Whatever apps that are away have parked, the calls of another one find memory
// and a connection.
func TestGateway_keepsRoomForAppsThatAreWell(t *testing.T) {
	for name, c := range map[string]struct {
		limits      string
		calls, size int
	}{
		"small calls fill the memory": {"limits: {memory: 64MiB, memory_wait: 5s}", 500, 40 << 10},
		"large calls fill the memory": {"limits: {memory: 64MiB, memory_wait: 5s}", 30, 2 << 20},
		"calls take all connections":  {"limits: {connections: 40}", 20, 100},
	} {
		t.Run(name, func(t *testing.T) {
			r := withAppsAway(t, c.limits)
			r.fillRooms(t, c.calls, c.size)
			for i, size := range []int{100, 20 << 10, 200 << 10, 4 << 20} {
				if a := r.callOfSize(t, "/well", 900_000+i, size); a.status != http.StatusPartialContent {
					t.Errorf("a call of %d bytes to an app that is well = %d %s", size, a.status, a.body)
				}
			}
		})
	}
}

// Inngest is silent about the checkpoints that it gets. Those take no memory
// from calls.
func TestGateway_keepsRoomForCallsWhileInngestIsSilent(t *testing.T) {
	const size, checkpoints = 100 << 10, 300
	silent, arrived := make(chan struct{}), make(chan struct{}, checkpoints)
	var over sync.Once
	end := func() { over.Do(func() { close(silent) }) }
	server := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if strings.Contains(r.URL.Path, "checkpoint") {
			arrived <- struct{}{}
			<-silent
		}
	})
	r := start(t, load(t, oneApp(server, serveHTTP(t, answerStep), "limits: {memory: 64MiB, memory_wait: 1s}\ndrain: {apps: 20ms}")))
	t.Cleanup(end) // before the gateway drains
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	token := http.Header{"Authorization": {"Bearer " + signature.BearerToken(key)}}
	body := `{"steps":["` + strings.Repeat("x", size) + `"]}`
	said := make(chan answer, checkpoints)
	for range checkpoints {
		go func() {
			a, err := ask(nil, http.MethodPost, urlOf(r.listeners.apps)+"/v1/checkpoint/r1/async", token, body)
			if err != nil {
				t.Errorf("checkpoint: %v", err)
			}
			said <- a
		}()
	}
	refused := 0
	for there := 0; there+refused < checkpoints; {
		select {
		case <-arrived:
			there++
		case a := <-said:
			if refused++; a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "limits.memory") {
				t.Fatalf("a checkpoint that found no room was told %d %s", a.status, a.body)
			}
		case <-time.After(patience):
			t.Fatalf("%d checkpoints arrived and %d were refused, of %d", there, refused, checkpoints)
		}
	}
	if refused == 0 {
		t.Error("all checkpoints found room: nothing was tested")
	}
	for i, size := range []int{100, 20 << 10, 4 << 20} {
		if a := r.callOfSize(t, "/api/inngest", i, size); a.status != http.StatusPartialContent {
			t.Errorf("a call of %d bytes = %d %s", size, a.status, a.body)
		}
	}
	end()
	for range checkpoints - refused {
		if a := await(t, "the answer to a checkpoint", said); a.status != http.StatusOK {
			t.Errorf("a checkpoint = %d %s", a.status, a.body)
		}
	}
}
