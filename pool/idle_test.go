package pool

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// Node closes a connection 5 s after its last answer, and says so.
const (
	nodeIdle     = 5 * time.Second
	nodeAnnounce = "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
)

// sweep makes two calls for each gap between 4.5 and 5.5 s, all gaps at once
// and each over an upstream of its own. pause waits between the two.
func sweep(t *testing.T, options func() Options, pause func(gap time.Duration)) {
	t.Helper()
	var all sync.WaitGroup
	for gap := 4500 * time.Millisecond; gap <= 5500*time.Millisecond; gap += 10 * time.Millisecond {
		u := run(t, options())
		all.Go(func() {
			for i := range 2 {
				body := fmt.Sprintf("call %d, gap %v", i, gap)
				a, err := u.Do(t.Context(), post(body))
				if err != nil {
					t.Errorf("%s: %v", body, err)
					return
				}
				if got := read(t, a); got != faultyapp.Own(body) {
					t.Errorf("%s got %q", body, got)
				}
				if i == 0 {
					pause(gap)
				}
			}
		})
	}
	all.Wait()
}

// The real thing, over sockets: it takes as long as Node does.
func TestDo_meetsNoConnectionThatNodeCloses(t *testing.T) {
	for name, announce := range map[string]string{"announced": nodeAnnounce, "unannounced": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := faultyapp.Start(t, faultyapp.Options{Idle: nodeIdle, Announce: announce})
			sweep(t, func() Options { return options(t, app.URL()) }, func(gap time.Duration) {
				timer := time.NewTimer(gap)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-t.Context().Done():
				}
			})
		})
	}
}

// Where idle connections are kept for longer than the app keeps them, the look
// before use is all there is: only a call in the very moment of the end can meet
// it.
func TestDo_seesThatNodeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80"), Idle: nodeIdle})
		sweep(t, func() Options {
			o := options(t, "http://app:80").inMemory(&network)
			o.IdleTimeout = time.Minute
			return o
		}, func(gap time.Duration) {
			if gap == nodeIdle {
				gap++
			}
			time.Sleep(gap)
		})
		if reused := 101*2 - app.Accepted(); reused != 50 {
			t.Errorf("%d connections were used again, want those of the 50 gaps below 5s", reused)
		}
		app.Stop()
	})
}

func TestDo_needsAHandfulOfConnectionsForAThousandCalls(t *testing.T) {
	app := faultyapp.Start(t, faultyapp.Options{Announce: nodeAnnounce})
	u := run(t, options(t, app.URL()))
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for i := range 250 {
				body := fmt.Sprintf("call %d of caller %d", i, caller)
				a, err := u.Do(t.Context(), post(body))
				if err != nil {
					t.Errorf("%s: %v", body, err)
					return
				}
				if got := read(t, a); got != faultyapp.Own(body) {
					t.Errorf("%s got %q", body, got)
				}
			}
		})
	}
	callers.Wait()
	if n := app.Accepted(); n > 4 {
		t.Errorf("%d connections for 4 callers", n)
	}
}
