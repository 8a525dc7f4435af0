package outbound

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestServer_handsEventsToTheEventPlane(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	o.Environments[0].Branch = "of-the-gateway"
	l := serve(t, o)
	res, body := l.do(t, "POST", "/e/"+localEvent, `{"name":"x"}`,
		"X-Inngest-Event-Id-Seed: 1,AAAA", "Content-Type: application/json; charset=utf-8", "Content-Encoding: identity",
		"X-Inngest-Env: of-the-app", "Traceparent: 00-1-2-01", "Tracestate: a=b", "Ce-Id: 7", "Authorization: Bearer x")
	if res.StatusCode != 200 || body != `{"ids":["01M8"],"status":200}` {
		t.Errorf("answer = %d %s", res.StatusCode, body)
	}
	got := l.events.one(t)
	if id := got.Header("ce-id"); id != "7" {
		t.Errorf("header ce-id = %q", id)
	}
	got.Header = nil
	for name, c := range map[string]struct{ got, want string }{
		"environment": {got.Environment, "prod"},
		"key":         {got.Key, realEvent},
		"branch":      {got.Branch, "of-the-app"},
		"seed":        {got.Seed, "1,AAAA"},
		"traceparent": {got.Traceparent, "00-1-2-01"},
		"tracestate":  {got.Tracestate, "a=b"},
		"type":        {got.ContentType, "application/json; charset=utf-8"},
		"coding":      {got.ContentEncoding, "identity"},
		"body":        {string(got.Body), `{"name":"x"}`},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", name, c.got, c.want)
		}
	}
	l.do(t, "POST", "/e/"+localEvent, `{"name":"x"}`)
	if got := l.events.one(t).Branch; got != "of-the-gateway" {
		t.Errorf("branch = %q, want the environment's", got)
	}
}

func TestServer_tellsWhyEventsWereNotTaken(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	o.Events = &eventsDouble{answer: events.Answer{
		Status: 503, ContentType: "text/plain", Body: []byte("full"), Code: inngest.CodeSpoolFull, RetryAfter: 1500 * time.Millisecond,
	}}
	l := serve(t, o)
	res, body := l.do(t, "POST", "/e/"+localEvent, "{}")
	if res.StatusCode != 503 || body != "full" || res.Header.Get("Retry-After") != "2" ||
		res.Header.Get(inngest.HeaderGatewayError) != "spool_full" {
		t.Errorf("answer = %d %v %s", res.StatusCode, res.Header, body)
	}
	if n := testutil.ToFloat64(o.Metrics.Errors.WithLabelValues("spool_full")); n != 1 {
		t.Errorf("errors = %v, want 1", n)
	}
}

// Inngest answers some of these with a page and status 200, and the events are
// gone.
func TestServer_refusesEventsWithoutAKey(t *testing.T) {
	d := newInngest(t, nil)
	for target, want := range map[string]int{
		"/e": 401, "/e/": 401, "/e?key=x": 401, "/E": 404, "/E/" + localEvent: 404,
		"/e/" + localEvent + "/": 404, "/e/" + localEvent + "/x": 404,
	} {
		l := serve(t, options(t, d.url, apps.Passthrough))
		res, body := l.do(t, "POST", target, `{"name":"x"}`)
		if res.StatusCode != want {
			t.Errorf("%s: answer = %d %s, want %d", target, res.StatusCode, body, want)
		}
		checkRefusal(t, res, body, true)
		if len(l.events.got) > 0 || len(d.got()) > 0 {
			t.Errorf("%s: the request went somewhere", target)
		}
		if strings.Contains(l.log.String()+body, localEvent) {
			t.Errorf("%s: an event key shows in the log or the answer: %s %s", target, l.log.String(), body)
		}
	}
}

func TestServer_refusesEventsBeyondTheBodyLimit(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	o.MaxBody = 100
	l := serve(t, o)
	res, body := l.do(t, "POST", "/e/"+localEvent, `{"name":"`+strings.Repeat("x", 100)+`"}`)
	if res.StatusCode != 413 || !strings.Contains(body, "larger than the gateway takes") {
		t.Errorf("answer = %d %s, want 413", res.StatusCode, body)
	}
	checkRefusal(t, res, body, true)
}

// A connection that ends while the app still sends is reset, and the app never
// reads what was wrong.
func TestServer_refusesLargeEventsSoThatTheSenderReadsIt(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Resign)
	o.MaxBody = 1 << 10
	l := serve(t, o)
	for range 20 {
		for _, fields := range [][]string{nil, {"Connection: close"}} {
			res, body := l.do(t, "POST", "/e/"+localEvent, strings.Repeat(" ", 4<<20), fields...)
			if res.StatusCode != 413 || !strings.Contains(body, "larger than the gateway takes") {
				t.Fatalf("answer = %d %s, want 413", res.StatusCode, body)
			}
		}
	}
}
