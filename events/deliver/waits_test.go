package deliver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/breaker"
)

// direct is a transport without a network, for bubbles.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// inBubble makes a client whose API answers with what a function says, 0 for
// the API itself.
func inBubble(t *testing.T, status func() int, change func(*Options)) (*Client, *api) {
	a := &api{took: map[string]int{}, ids: map[string]string{}}
	a.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		s := status()
		if s == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "20")
		}
		if s != 0 {
			w.WriteHeader(s)
		}
		return s != 0
	}
	o := clientOptions("http://inngest")
	o.Transport = direct{a}
	if change != nil {
		change(&o)
	}
	return newClient(t, o), a
}

func TestSend_stopsWhenTheEnvironmentIsDownAndProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(500)
		c, a := inBubble(t, func() int { return int(status.Load()) }, nil)
		recovered := c.Recovered("prod")
		for range 3 {
			c.Send(t.Context(), batch(2, 1))
		}
		if c.Up("prod") {
			t.Error("Up after three failures")
		}
		time.Sleep(20 * time.Second)
		got := c.Send(t.Context(), batch(2, 1))
		if want := (Result{Left: []Range{{0, 2}}, RetryAfter: 40 * time.Second, Err: ErrDown}); cmp.Diff(want, got, asTexts) != "" || !errors.Is(got.Err, ErrDown) {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		if n := len(a.sent()); n != 3 {
			t.Errorf("%d POSTs, want 3", n)
		}
		time.Sleep(41 * time.Second) // half-open: the next batch is the probe
		if got := c.Send(t.Context(), batch(2, 1)); errors.Is(got.Err, ErrDown) || len(a.sent()) != 4 {
			t.Errorf("the probe did not go out: %v", got.Err)
		}
		time.Sleep(61 * time.Second)
		status.Store(0)
		if got := c.Send(t.Context(), batch(2, 1)); got.Err != nil || !c.Up("prod") {
			t.Errorf("Send = %+v, up %v", got, c.Up("prod"))
		}
		select {
		case <-recovered:
		default:
			t.Error("nobody was told")
		}
		if s := c.Status().Environments[0]; s.Name != "prod" || s.State != breaker.Closed {
			t.Errorf("Status = %+v", s)
		}
	})
}

func TestSend_letsOneProbeThroughAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { time.Sleep(time.Second); return 500 }, nil)
		for range 3 {
			c.Send(t.Context(), batch(1, 1))
		}
		time.Sleep(time.Minute)
		for range 5 {
			go c.Send(t.Context(), batch(1, 1))
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if n := len(a.sent()); n != 4 {
			t.Errorf("%d POSTs, want 3 and a probe", n)
		}
	})
}

func TestSend_waitsAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(http.StatusTooManyRequests)
		c, a := inBubble(t, func() int { return int(status.Load()) }, nil)
		c.Send(t.Context(), batch(1, 1))
		status.Store(0)
		time.Sleep(5 * time.Second)
		b := batch(1, 1)
		b.Branch = "any"
		if got := c.Send(t.Context(), b); !errors.Is(got.Err, ErrHeld) || got.RetryAfter != 15*time.Second {
			t.Errorf("Send = %+v, want ErrHeld for 15s more", got)
		}
		b.KeyID = "two"
		if got := c.Send(t.Context(), b); got.Err != nil {
			t.Errorf("another key waits too: %v", got.Err)
		}
		if !c.Up("prod") {
			t.Error("throttling is no failure")
		}
		time.Sleep(15 * time.Second)
		if got := c.Send(t.Context(), batch(1, 1)); got.Err != nil || len(a.sent()) != 3 {
			t.Errorf("Send = %+v after %d POSTs", got, len(a.sent()))
		}
	})
}

func TestSend_timesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inBubble(t, func() int { time.Sleep(time.Minute); return 0 }, nil)
		if got := c.Send(t.Context(), batch(1, 1)); !errors.Is(got.Err, context.DeadlineExceeded) {
			t.Errorf("Err = %v", got.Err)
		}
		// What the caller gives up says nothing about the environment.
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			c.Send(ctx, batch(1, 1))
			cancel()
		}
		if !c.Up("prod") {
			t.Error("callers that gave up opened the breaker")
		}
	})
}

func TestLimit_growsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		a.maxBytes = 5000
		c.Send(t.Context(), batch(30, 200))
		d := Destination{Environment: "prod", KeyID: "k"}
		before := c.Limit(d)
		time.Sleep(59 * time.Minute)
		if got := c.Limit(d); got != before {
			t.Errorf("Limit = %d, want %d", got, before)
		}
		time.Sleep(2 * time.Minute)
		if got := c.Limit(d); got != before+before/2+1 {
			t.Errorf("Limit = %d an hour after it was %d", got, before)
		}
		time.Sleep(24 * time.Hour)
		if got := c.Limit(d); got != 1<<20 || len(c.Status().Accounts) != 0 {
			t.Errorf("Limit = %d after a day, %+v", got, c.Status().Accounts)
		}
	})
}

func TestSend_triesTheFirstKeyAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		a.keys = map[string]bool{"key-2": true}
		b := batch(1, 1)
		b.KeyID = "two"
		c.Send(t.Context(), b)
		if s := c.Status().Accounts; len(s) != 1 || !s[0].Fallback {
			t.Errorf("Status = %+v", s)
		}
		time.Sleep(time.Minute)
		a.keys = map[string]bool{"key-1": true}
		if got := c.Send(t.Context(), b); got.Err != nil || a.sent()[2].key != "key-1" {
			t.Errorf("Send = %+v", got)
		}
	})
}

func TestBackoff_growsToItsBound(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	for failed, nominal := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second} {
		for range 100 {
			if got := b.Wait(failed); got < nominal/2 || got > nominal {
				t.Fatalf("Wait(%d) = %v, want from %v to %v", failed, got, nominal/2, nominal)
			}
		}
	}
}
