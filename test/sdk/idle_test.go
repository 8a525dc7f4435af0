package sdk

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Node closes a connection that was idle for 5 s. Whoever uses one at that very
// moment meets a reset, and a run loses an attempt. The gaps go through that
// moment in steps of 10 ms, on connections side by side.
func TestIdle_noCallMeetsAConnectionThatNodeCloses(t *testing.T) {
	const from, to, step = 4500 * time.Millisecond, 5500 * time.Millisecond, 10 * time.Millisecond
	s := startServer(t, 0, productionKey)
	_, gw := startBehindGateway(t, s, sdks()["js"], "passthrough")
	key := parseKey(t, productionKey)
	call := func(n int) {
		body := callBody(n)
		resp, text, err := post(t.Context(), gw, body, signature.Sign(key, body, time.Now()))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("call %d = %v, %v: %s", n, resp, err, text)
		}
	}
	var wg sync.WaitGroup
	for gap, n := from, 0; gap <= to; gap, n = gap+step, n+2 {
		wg.Go(func() {
			call(n)
			<-time.After(gap) // the gap is what is tested: Node's clock is real
			call(n + 1)
		})
	}
	wg.Wait()
}
