package gateway

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A steppedClock is the wall clock of a host that somebody sets.
type steppedClock struct{ off atomic.Int64 }

func (c *steppedClock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

func (c *steppedClock) step(d time.Duration) { c.off.Add(int64(d)) }

// What a call waits for is measured with a clock that nobody sets.
func TestClock_stepsDoNotEndTheWaitOfACall(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			address := awayAddress(t)
			var clock steppedClock
			r := startAt(t, load(t, oneApp(serveHTTP(t, answerStep), "http://"+address, "")), clock.now)
			got := r.callLater(t)
			r.parked(t, 1)
			clock.step(step)
			// The room has looked at its calls since: what was paused is not.
			if err := r.rooms["shop"].Pause("", clock.now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			r.parked(t, 1)
			if err := r.rooms["shop"].Resume(""); err != nil {
				t.Fatal(err)
			}

			comeBack(t, address)
			if a := await(t, "the answer", got); a.status != http.StatusPartialContent {
				t.Errorf("answer = %d %s", a.status, a.body)
			}
		})
	}
}

// A clock that is wrong refuses calls, says why, and believes them again as soon
// as it is right.
func TestClock_thatIsWrongRefusesCallsUntilItIsRight(t *testing.T) {
	var clock steppedClock
	r := startAt(t, load(t, oneApp(serveHTTP(t, answerStep), serveHTTP(t, answerStep), "")), clock.now)
	for _, c := range []struct {
		step   time.Duration
		status int
		code   inngest.Code
	}{
		{0, http.StatusPartialContent, ""},
		{10 * time.Minute, http.StatusUnauthorized, inngest.CodeSignatureExpired},
		{-20 * time.Minute, http.StatusUnauthorized, inngest.CodeSignatureExpired},
		{10 * time.Minute, http.StatusPartialContent, ""},
	} {
		clock.step(c.step)
		a := callApp(t, urlOf(r.listeners.inngest)+"/api/inngest", recorded.SigningKey)
		if a.status != c.status || a.header.Get(inngest.HeaderGatewayError) != string(c.code) {
			t.Errorf("after a step of %v: answer = %d %v %s, want %d %s", c.step, a.status, a.header, a.body, c.status, c.code)
		}
	}
}
