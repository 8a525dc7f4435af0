package events

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/events/schema"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestAccept_refusesWhatInngestWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		status int
		code   inngest.Code
		says   string
	}{
		"no key":                 {func(q *Request) { q.Key = "" }, 401, inngest.CodeUnauthorized, "Event key not found: the request has none"},
		"an unknown environment": {func(q *Request) { q.Environment = "moon" }, 500, inngest.CodeInternal, `environment "moon" is not known`},
		"no JSON":                {func(q *Request) { q.Body = []byte("{") }, 400, inngest.CodeEventInvalid, "rule syntax"},
		"the third is bad":       {func(q *Request) { q.Body = []byte(`[{"name":"a"},{"name":"b"},{"name":"inngest/c"}]`) }, 400, inngest.CodeEventInvalid, "(event 2, field name, rule name_reserved)"},
		"an unknown coding":      {func(q *Request) { q.ContentEncoding = "rot13" }, 415, inngest.CodeEventInvalid, "rot13"},
		"a bomb":                 {func(q *Request) { q.ContentEncoding, q.Body = "gzip", zipped(strings.Repeat(" ", 9<<20)) }, 413, inngest.CodeBodyTooLarge, "8388608 bytes"},
		"too many":               {func(q *Request) { q.Body = []byte(array(0, 5001)) }, 400, inngest.CodeEventInvalid, "rule event_count"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				q := request(event(1))
				c.change(&q)
				got := r.send(t, q)
				if got.Status != c.status || got.Code != c.code || !strings.Contains(got.Error, c.says) {
					t.Errorf("answer = %d %q %s, want %d %q with %q", got.Status, got.Code, got.Body, c.status, c.code, c.says)
				}
				if len(r.inngest.counts()) != 0 {
					t.Error("something of it was sent")
				}
			})
		})
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

func TestAccept_takesWhatInngestWouldTakeAndMore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		want   []string
	}{
		"lines":      {func(q *Request) { q.Body = []byte(event(1) + "\n" + event(2) + "\n") }, []string{event(1), event(2)}},
		"gzip":       {func(q *Request) { q.ContentEncoding, q.Body = "gzip", zipped(event(1)) }, []string{event(1)}},
		"odd fields": {func(q *Request) { q.Body = []byte(`{"name":"a", "x" : 9007199254740993,"data":{}}`) }, []string{`{"name":"a", "x" : 9007199254740993,"data":{}}`}},
		"a binary CloudEvent": {func(q *Request) {
			q.Body = []byte(`{"a":1}`)
			h := map[string]string{"ce-specversion": "1.0", "ce-type": "t/cloud", "ce-id": "1", "ce-source": "/s"}
			q.Header = func(name string) string { return h[name] }
		}, []string{`{"name":"t/cloud","data":{"a":1},"id":"1"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				q := request("")
				c.change(&q)
				r.inngest.knows(t, r.send(t, q).taken(t, len(c.want)), c.want...)
			})
		})
	}
}

func TestAccept_answersNoEventsAsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for _, body := range []string{"", "[]"} {
			a := r.Accept(t.Context(), request(body))
			if got, want := string(a.Body), `{"ids":[""],"status":200}`+"\n"; a.Status != http.StatusOK || got != want || a.ContentType != intake.AnswerType {
				t.Errorf("answer to %q = %d %s, want 200 %s", body, a.Status, got, want)
			}
		}
		if len(r.inngest.counts()) != 0 {
			t.Error("nothing was sent on")
		}
	})
}

func TestAccept_checksSchemas(t *testing.T) {
	set, err := schema.Compile([]schema.Source{
		{Name: "t/strict", From: "strict.json", Mode: schema.ModeEnforce, Text: []byte(`{"properties":{"price":{"type":"number"}}}`)},
		{Name: "t/loose", From: "loose.json", Mode: schema.ModeWarn, Text: []byte(`{"required":["price"]}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body string
		want int
		says string
	}{
		"as it should be":     {`{"name":"t/strict","data":{"price":1}}`, 200, ""},
		"not as it should be": {`[{"name":"t/e"},{"name":"t/strict","data":{"price":"1"}}]`, 400, "(event 1, field data.price, rule schema)"},
		"only warned of":      {`{"name":"t/loose","data":{}}`, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Schemas = set })
				if got := r.send(t, request(c.body)); got.Status != c.want || !strings.Contains(got.Error, c.says) {
					t.Errorf("answer = %s, want %d with %q", got.Body, c.want, c.says)
				}
			})
		})
	}
}

func TestAccept_limitsTheRateOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Rate, o.Burst = 10, 20 })
		r.send(t, request(array(0, 15))).taken(t, 15)
		r.send(t, request(array(0, 15))).taken(t, 15) // into debt
		a := r.Accept(t.Context(), request(event(1)))
		if a.Status != http.StatusTooManyRequests || a.Code != inngest.CodeRateLimited || a.RetryAfter != 1100*time.Millisecond {
			t.Fatalf("answer = %d %s, retry after %v; want 429 rate_limited, 1.1s", a.Status, a.Code, a.RetryAfter)
		}
		other := request(event(1))
		other.Key = "another"
		r.send(t, other).taken(t, 1)
		time.Sleep(a.RetryAfter)
		r.send(t, request(event(1))).taken(t, 1)
	})
}

func TestLimiter_forgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1, 1)
		for n := range 3 * maxBuckets {
			l.take(bucketKey{"prod", string(rune(n))}, 1)
		}
		if n := len(l.buckets); n > maxBuckets {
			t.Errorf("%d keys are known, the bound is %d", n, maxBuckets)
		}
	})
}

func TestAccept_treatsTracesAsConfigured(t *testing.T) {
	for trace, want := range map[Trace][]string{
		TraceBatch: {"a", ""}, // the second POST is of all the others
		TraceKeep:  {"a", "b", "a", "b", ""},
		TraceDrop:  {"", ""},
	} {
		t.Run(string(trace), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.Trace, o.InFlight = trace, 1 })
				r.inngest.delay = time.Second
				var group sync.WaitGroup
				for n, one := range []string{"a", "b", "a", "", "b"} {
					q := request(event(n))
					q.Traceparent = one
					if one != "" {
						q.Tracestate = "state " + one
					}
					at(time.Duration(n), &group, func() { r.send(t, q).taken(t, 1) })
				}
				group.Wait()
				got := map[string]int{}
				for _, b := range r.inngest.posts {
					got[b.Traceparent]++
					if (b.Tracestate != "") != (b.Traceparent != "") {
						t.Errorf("traceparent %q with tracestate %q", b.Traceparent, b.Tracestate)
					}
				}
				counted := map[string]int{}
				for _, one := range want {
					counted[one]++
				}
				if diff := cmp.Diff(counted, got); diff != "" {
					t.Errorf("traceparents of the POSTs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Whoever gives up before the events went anywhere may use its body again, and
// the events go nowhere; later both are in other hands.
func TestAccept_endsWithItsCaller(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		sent  bool
	}{
		"while it gathers":        {time.Millisecond, false},
		"while it waits its turn": {20 * time.Millisecond, false},
		"on the way":              {1500 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.InFlight, o.Patience = 1, time.Hour })
				r.inngest.delay = time.Second
				var group sync.WaitGroup
				at(0, &group, func() { r.send(t, request(event(0))).taken(t, 1) })
				at(1, &group, func() {
					ctx, cancel := context.WithTimeout(t.Context(), c.after)
					defer cancel()
					q := request(event(1))
					a := r.Accept(ctx, q)
					clear(q.Body)
					if a.Code != inngest.CodeCallCanceled {
						t.Errorf("answer = %d %s", a.Status, a.Body)
					}
				})
				at(2, &group, func() { r.send(t, request(event(2))).taken(t, 1) })
				group.Wait()
				sent := false
				for _, e := range r.inngest.events {
					sent = sent || e == event(1)
				}
				if sent != c.sent || len(r.inngest.events) < 2 {
					t.Errorf("the event was sent: %v, want %v", sent, c.sent)
				}
				synctest.Wait()
				if s := r.Status(); s.Memory != 0 || len(s.Destinations) != 0 {
					t.Errorf("Status = %+v, want nothing left", s)
				}
			})
		})
	}
}

func TestFlush_bringsEverythingToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.MaxWait, o.MaxEvents = time.Hour, 3 })
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		for n := range 20 {
			at(time.Duration(n)*time.Millisecond, &group, func() { r.send(t, request(event(n))).taken(t, 1) })
		}
		time.Sleep(100 * time.Millisecond)
		if err := r.Flush(t.Context()); err != nil {
			t.Errorf("Flush = %v", err)
		}
		synctest.Wait()
		if n := len(r.inngest.events); n != 20 {
			t.Errorf("Inngest has %d events after Flush, want 20", n)
		}
		if got := r.send(t, request(event(1))); got.Code != inngest.CodeDraining {
			t.Errorf("answer after Flush = %s", got.Body)
		}
		group.Wait()
		if err := r.Flush(t.Context()); err != nil {
			t.Errorf("second Flush = %v", err)
		}
	})
}

func TestRun_spoolsAtItsEndWhatFlushHadNoTimeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.MaxEvents, o.Patience = 2, 2*time.Hour })
		r.inngest.delay = time.Hour
		var group sync.WaitGroup
		ids := make([][]string, 20)
		for n := range ids {
			at(time.Duration(n)*time.Millisecond, &group, func() { ids[n] = r.send(t, request(event(n))).taken(t, 1) })
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush = %v, want the deadline", err)
		}
		began := time.Now()
		if err := r.end(); err != nil || time.Since(began) != 0 {
			t.Errorf("Run = %v after %v, want its end at once", err, time.Since(began))
		}
		group.Wait()
		r.disk.drain(t, r.inngest)
		for n := range ids {
			r.inngest.knows(t, ids[n], event(n))
		}
	})
}

func TestRun_tellsCallersAtItsEndWhereThereIsNoSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { none(o); o.GiveUp = time.Hour })
		r.inngest.away = errors.New("connection refused")
		var group sync.WaitGroup
		for n := range 20 {
			at(time.Duration(n)*time.Millisecond, &group, func() {
				if got := r.send(t, request(event(n))); got.Code != inngest.CodeDraining {
					t.Errorf("answer = %s", got.Body)
				}
			})
		}
		time.Sleep(time.Second)
		if err := r.end(); err != nil {
			t.Errorf("Run = %v", err)
		}
		group.Wait()
	})
}
