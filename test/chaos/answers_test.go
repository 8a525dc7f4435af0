package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// largeAnswer is much more than the buffers of two sockets hold.
const largeAnswer = 16 << 20

// newTalker makes an app in the test's process that answers every call at
// length. It only listens; it is never started.
func newTalker(tb testing.TB, id string) *app {
	tb.Helper()
	a := newApp(tb, id, 0)
	ln, err := net.Listen("tcp", a.address)
	if err != nil {
		tb.Fatal(err)
	}
	body := bytes.Repeat([]byte{' '}, largeAnswer)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set(inngest.HeaderSDK, "js:v4.24.0")
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	})}
	serve(tb, server, ln)
	return a
}

// Callers that do not read their answers are ended after their time, and what
// was kept for them is free again. Those that read slowly get all of it, though
// it takes longer than that; other calls lack nothing.
func TestGateway_withCallersThatDoNotRead(t *testing.T) {
	const mute, slow, runs = 20, 4, 50
	s := newServer(t)
	well := newApp(t, "mail", time.Millisecond)
	g := newGateway(t, s, []*app{newTalker(t, "talk"), well}, "limits: {write_timeout: 5s, answer: 16MiB, memory: 1GiB}")
	well.start()
	g.start()
	s.register("mail", "t/mail", "http://"+g.inngest+"/mail")

	var calls sync.WaitGroup
	for n := range mute + slow {
		c, err := net.Dial("tcp", g.inngest)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).SetReadBuffer(32 << 10)
		c.SetDeadline(time.Now().Add(patience))
		request := callOf("/talk", n, "", nil)
		if _, err := request.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		if n >= slow {
			continue
		}
		calls.Go(func() {
			if got, err := sip(c, largeAnswer); got < largeAnswer {
				t.Errorf("a slow reader got %d bytes: %v", got, err)
			}
		})
	}
	s.begin("mail", runs)
	s.ended(runs)
	calls.Wait()
	until(t, "the others ended", func() bool { return g.metric("inngest_gateway_inbound_closed_connections_total") == mute })
	until(t, "no request", func() bool { return g.metric("inngest_gateway_inbound_in_flight_requests") == 0 })
	until(t, "no memory in use", func() bool { return g.metric("inngest_gateway_budget_used_bytes") == 0 })
	if got := s.tally("mail"); got.Completed != runs || got.Burned != 0 {
		t.Errorf("runs beside the callers: %+v; want %d completed and no attempt burned", got, runs)
	}
}

// sip reads at least so much, in many small parts with a pause after each.
func sip(c net.Conn, much int) (got int, err error) {
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	part := make([]byte, 256<<10)
	for got < much && err == nil {
		<-every.C
		var n int
		n, err = io.ReadFull(c, part)
		got += n
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer for %s: %w", patience, err)
	}
	return got, err
}
