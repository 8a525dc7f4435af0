package chaos

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// eventRequest is a whole request with an event.
func eventRequest(name string) string {
	body := fmt.Sprintf(`{"name":%q,"data":{"noise":%q}}`, name, noise(300))
	return fmt.Sprintf("POST /e/%s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		recorded.EventKey, len(body), body)
}

// A talk is a connection that is kept for several requests.
type talk struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func newTalk(tb testing.TB, address string) *talk {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &talk{tb, conn, bufio.NewReader(conn)}
}

// ask makes one more request, which must be answered with that status.
func (k *talk) ask(request string, status int) {
	k.tb.Helper()
	k.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(k.conn, request); err != nil {
		k.tb.Errorf("a connection that was kept: %v", err)
		return
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		k.tb.Errorf("a connection that was kept: %v", err)
		return
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != status {
		k.tb.Errorf("a request on a connection that was kept: %d %s, %v", resp.StatusCode, text, err)
	}
}

// Connections have their time, on both listeners: a step ends none that is idle,
// and keeps none that hangs.
func TestGateway_clockStepsWhileConnectionsAreOpen(t *testing.T) {
	const each = 20
	s := newServer(t)
	a := newApp(t, "shop", time.Millisecond)
	g := newSteppedGateway(t, s, []*app{a}, "limits: {head_timeout: 1s, idle_timeout: 10m}\noutbound: {body_timeout: 1s}")
	a.start()
	g.start()
	const unsigned = "GET /shop HTTP/1.1\r\nHost: gateway\r\n\r\n"
	inngest, apps := newTalk(t, g.inngest), newTalk(t, g.apps)
	inngest.ask(unsigned, http.StatusUnauthorized)
	apps.ask(eventRequest("t/before"), http.StatusOK)

	silent := []*talk{newTalk(t, g.inngest), newTalk(t, g.apps)}
	g.clock.set(time.Hour)
	for _, k := range silent { // then the gateway has looked at all of them
		k.conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, k.conn); err != nil {
			t.Errorf("a silent connection: %v", err)
		}
	}
	inngest.ask(unsigned, http.StatusUnauthorized)
	apps.ask(eventRequest("t/between"), http.StatusOK)

	crowds := []*crowd{newCrowd(t, g.inngest, signedCall(t, "/shop"), each), newCrowd(t, g.apps, eventRequest("t/never"), each)}
	g.clock.set(-time.Hour)
	for _, c := range crowds {
		c.judge()
	}
	inngest.ask(unsigned, http.StatusUnauthorized)
	apps.ask(eventRequest("t/after"), http.StatusOK)
	if got := s.EventTotals().Distinct; got != 3 {
		t.Errorf("%d events arrived, want 3", got)
	}
}
