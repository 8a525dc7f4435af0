package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

var asTexts = cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) })

// each of the events 0 to count was taken once, but for those listed.
func once(count int, but ...int) map[string]int {
	m := map[string]int{}
	for i := range count {
		m[fmt.Sprint(i)] = 1
	}
	for _, n := range but {
		delete(m, fmt.Sprint(n))
	}
	return m
}

func TestSend_postsWhatTheServerWantsToSee(t *testing.T) {
	a, url := newAPI(t)
	c := newClient(t, clientOptions(url+"/behind/"))
	b := batch(2, 10)
	b.Branch, b.Traceparent, b.Tracestate = "feature/x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1"
	c.Send(t.Context(), b)
	got := a.sent()[0]
	if got.key != "/behind/e/key-1" || got.body != string(b.Body) {
		t.Errorf("POST %s %s", got.key, got.body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", inngest.HeaderEventIDSeed: "1795540000000,MDEyMzQ1Njc4OQ==", inngest.HeaderEnv: "feature/x",
		inngest.HeaderTraceparent: b.Traceparent, inngest.HeaderTracestate: "a=1", "Accept-Encoding": "identity", "Idempotency-Key": "", "User-Agent": userAgent,
	} {
		if got := got.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestSend_isolatesBadEvents(t *testing.T) {
	for name, c := range map[string]struct {
		count  int
		bad    []int
		wholly bool
		posts  int // at most
	}{
		"none":                           {500, nil, false, 1},
		"one in the middle":              {500, []int{250}, false, 3},
		"the first":                      {500, []int{0}, false, 3},
		"the last":                       {500, []int{499}, false, 2},
		"three":                          {500, []int{3, 4, 400}, false, 8},
		"all":                            {7, []int{0, 1, 2, 3, 4, 5, 6}, false, 13},
		"alone":                          {1, []int{0}, false, 1},
		"server refuses wholly":          {500, []int{250}, true, 25},
		"server refuses wholly, first":   {500, []int{0}, true, 3},
		"server refuses wholly, several": {100, []int{0, 1, 50, 99}, true, 40},
		"server refuses wholly, all":     {9, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, true, 17},
	} {
		t.Run(name, func(t *testing.T) {
			a, url := newAPI(t)
			a.wholly = c.wholly
			client := newClient(t, clientOptions(url))
			got := client.Send(t.Context(), batch(c.count, 20, c.bad...))
			var want Result
			for _, n := range c.bad {
				want.Refused = append(want.Refused, Refusal{n, 400, fmt.Sprintf("event %d is bad", n)})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("Send (-want +got):\n%s", d)
			}
			if d := cmp.Diff(once(c.count, c.bad...), a.counts()); d != "" {
				t.Errorf("taken (-want +got):\n%s", d)
			}
			for n, id := range a.ids {
				var i int
				fmt.Sscan(n, &i)
				if want := seed.ID(i + 1); id != want {
					t.Errorf("event %d has id %s, want %s", i, id, want)
				}
			}
			if got := len(a.sent()); got > c.posts {
				t.Errorf("%d POSTs, want at most %d", got, c.posts)
			}
			if !client.Up("prod") {
				t.Error("bad events open the breaker")
			}
		})
	}
}

func TestSend_cutsWhatIsTooLargeAndRemembers(t *testing.T) {
	a, url := newAPI(t)
	a.maxBytes = 5000
	c := newClient(t, clientOptions(url))
	if d := cmp.Diff(Result{}, c.Send(t.Context(), batch(100, 100))); d != "" {
		t.Errorf("Send (-want +got):\n%s", d)
	}
	if d := cmp.Diff(once(100), a.counts()); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	limit := c.Limit(Destination{Environment: "prod", KeyID: "k", Branch: "any"})
	if limit > 9000 || limit < 2500 {
		t.Errorf("Limit = %d after bodies above 5000 were refused", limit)
	}
	if got := c.Limit(Destination{Environment: "prod", KeyID: "two"}); got != 1<<20 {
		t.Errorf("Limit of another key = %d", got)
	}
	before := len(a.sent())
	if d := cmp.Diff(Result{}, c.Send(t.Context(), batch(100, 100))); d != "" {
		t.Errorf("Send (-want +got):\n%s", d)
	}
	for _, p := range a.sent()[before:] {
		if p.bytes > limit {
			t.Errorf("POST of %d bytes above the learnt limit %d", p.bytes, limit)
		}
	}
	if s := c.Status(); len(s.Accounts) != 1 || s.Accounts[0].MaxBytes == 0 {
		t.Errorf("Status = %+v", s)
	}
}

// An event that is too large alone is refused if Inngest says so. If a proxy
// does, whose limit may be raised, it is left, and the others are not.
func TestSend_leavesAnEventThatIsTooLargeAlone(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Result
		is   error
	}{
		"for Inngest": {`{"ids":[""],"status":413,"error":"Event is over the max size"}`, Result{Refused: []Refusal{{2, 413, "Event is over the max size"}}}, nil},
		"for a proxy": {"<html>413 Request Entity Too Large</html>", Result{Left: []Range{{2, 3}}}, &StatusError{413, "<html>413 Request Entity Too Large</html>"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, url := newAPI(t)
			a.faults(func(_ int, w http.ResponseWriter, r *http.Request) bool {
				large := r.ContentLength > 1000
				if large {
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					w.Write([]byte(c.text))
				}
				return large
			})
			b := batch(5, 10)
			b.Body = bytes.Replace(b.Body, []byte(`"n":"2"`), []byte(`"n":"2","more":"`+strings.Repeat("x", 1000)+`"`), 1)
			client := newClient(t, clientOptions(url))
			got := client.Send(t.Context(), b)
			if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Result{}, "Err")); d != "" {
				t.Errorf("Send (-want +got):\n%s", d)
			}
			if d := cmp.Diff(fmt.Sprint(c.is), fmt.Sprint(got.Err)); d != "" {
				t.Errorf("Err (-want +got):\n%s", d)
			}
			if d := cmp.Diff(once(5, 2), a.counts()); d != "" {
				t.Errorf("taken (-want +got):\n%s", d)
			}
			if !client.Up("prod") {
				t.Error("a body's size opens the breaker")
			}
		})
	}
}

func TestSend_triesTheNextKeyAndStaysWithIt(t *testing.T) {
	a, url := newAPI(t)
	a.keys = map[string]bool{"key-2": true}
	c := newClient(t, clientOptions(url))
	b := batch(3, 10, 1)
	b.KeyID = "two"
	for range 2 {
		if got := c.Send(t.Context(), b); got.Err != nil || len(got.Refused) != 1 {
			t.Errorf("Send = %+v", got)
		}
	}
	var keys []string
	for _, p := range a.sent() {
		keys = append(keys, p.key)
	}
	if want := "key-1" + strings.Repeat(" key-2", 6); strings.Join(keys, " ") != want {
		t.Errorf("keys tried: %v", keys)
	}
	if got := testutil.ToFloat64(c.o.Metrics.Fallbacks.WithLabelValues("prod")); got != 6 {
		t.Errorf("%v fallbacks counted, want 6", got)
	}
}

func TestSend_leavesWhatItCannotDeliver(t *testing.T) {
	reset := func(_ int, w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }
	answer := func(status int, text string, header ...string) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			w.Write([]byte(text))
			return true
		}
	}
	all := []Range{{0, 10}}
	var status *StatusError
	for name, c := range map[string]struct {
		fault func(int, http.ResponseWriter, *http.Request) bool
		want  Result
		is    func(error) bool
	}{
		"connection reset":         {reset, Result{Left: all}, nil},
		"500":                      {answer(500, "oops"), Result{Left: all}, func(err error) bool { return errors.As(err, &status) && status.Status == 500 }},
		"503 with Retry-After":     {answer(503, "", "Retry-After", "7"), Result{Left: all, RetryAfter: 7 * time.Second}, nil},
		"429 with Retry-After":     {answer(429, "", "Retry-After", "7"), Result{Left: all, RetryAfter: 7 * time.Second}, nil},
		"429 without":              {answer(429, ""), Result{Left: all}, nil},
		"404 of a wrong URL":       {answer(404, "nothing here"), Result{Left: all}, nil},
		"a page with status 200":   {answer(200, "<html>Inngest</html>"), Result{Left: all}, nil},
		"400 of a proxy":           {answer(400, "<html>Bad Request</html>"), Result{Left: all}, nil},
		"400 of a firewall":        {answer(400, `{"error":"blocked"}`), Result{Left: all}, func(err error) bool { return errors.As(err, &status) && status.Status == 400 }},
		"403 of a firewall":        {answer(403, `{"error":"blocked"}`), Result{Left: all}, func(err error) bool { return errors.As(err, &status) && !errors.Is(err, ErrKeyRefused) }},
		"redirect":                 {answer(302, "", "Location", "/login"), Result{Left: all}, nil},
		"200 without ids":          {answer(200, `{"ids":[""],"status":200}`), Result{Left: all}, nil},
		"200 with an endless body": {answer(200, `{"ids":[`+strings.Repeat(" ", 2<<20)), Result{Left: all}, nil},
		"all keys refused":         {answer(401, `{"status":401,"message":"","error":"Event key not found"}`), Result{Left: all}, func(err error) bool { return errors.Is(err, ErrKeyRefused) && errors.As(err, &status) }},
		"answer cut in the middle": {func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "900")
			w.Write([]byte(`{"ids":`))
			panic(http.ErrAbortHandler)
		}, Result{Left: all}, nil},
		"200 with ids of only some": {answer(200, `{"ids":["`+seed.ID(1)+`","`+seed.ID(2)+`"],"status":200}`), Result{Left: []Range{{2, 10}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, url := newAPI(t)
			a.faults(c.fault)
			o := clientOptions(url)
			got := newClient(t, o).Send(t.Context(), batch(10, 10))
			if got.Err == nil || c.is != nil && !c.is(got.Err) {
				t.Errorf("Err = %v", got.Err)
			}
			if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Result{}, "Err"), cmpopts.EquateApproxTime(0), about); d != "" {
				t.Errorf("Send (-want +got):\n%s", d)
			}
			if strings.Contains(fmt.Sprint(got.Err), "key-1") {
				t.Errorf("the key is in the error: %v", got.Err)
			}
		})
	}
}

// about forgives what passes between an answer and the end of Send.
var about = cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < 3*time.Second })

func TestSend_leavesTheRestAfterAFaultInTheMiddle(t *testing.T) {
	a, url := newAPI(t)
	a.faults(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n >= 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return n >= 3
	})
	c := newClient(t, clientOptions(url))
	b := batch(10, 10, 4)
	got := c.Send(t.Context(), b)
	want := Result{Refused: []Refusal{{4, 400, "event 4 is bad"}}, Left: []Range{{5, 10}}, Err: errors.New("any")}
	if d := cmp.Diff(want, got, asTexts); d != "" {
		t.Errorf("Send (-want +got):\n%s", d)
	}
	a.faults(nil)
	rest := batch(10, 10, 4).Part(got.Left[0])
	if got := c.Send(t.Context(), rest); got.Err != nil || len(got.Refused) > 0 {
		t.Errorf("Send of the rest = %+v", got)
	}
	if d := cmp.Diff(once(10, 4), a.counts()); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
}

func TestSend_tellsWhenSeedsAreIgnored(t *testing.T) {
	a, url := newAPI(t)
	a.unseeded = true
	c := newClient(t, clientOptions(url))
	got := c.Send(t.Context(), batch(3, 10, 1))
	other := inngest.Seed{Millis: 5}
	want := Result{Refused: []Refusal{{1, 400, "event 1 is bad"}}, IDs: []string{other.ID(1), "", other.ID(2)}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Send (-want +got):\n%s", d)
	}
	if got := testutil.ToFloat64(c.o.Metrics.Mismatches.WithLabelValues("prod")); got != 2 {
		t.Errorf("%v mismatches counted, want 2", got)
	}
}

func TestSend_knowsNoKey(t *testing.T) {
	a, url := newAPI(t)
	c := newClient(t, clientOptions(url))
	for _, d := range []Destination{{Environment: "prod", KeyID: "gone"}, {Environment: "gone", KeyID: "k"}} {
		b := batch(2, 1)
		b.Destination = d
		if got := c.Send(t.Context(), b); !errors.Is(got.Err, ErrKeyUnknown) || len(got.Left) != 1 {
			t.Errorf("Send to %+v = %+v", d, got)
		}
	}
	if len(a.sent()) != 0 {
		t.Error("it was sent")
	}
}
