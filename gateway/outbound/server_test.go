package outbound

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestServer_namesTheLimitThatAHeadHit(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Strip))
	res, body := l.do(t, "GET", "/v1/events", "", "X-Large: "+strings.Repeat("x", 16<<10))
	if res.StatusCode != 431 || !strings.Contains(body, "limits.head") || !strings.Contains(body, "16KiB") || len(d.got()) != 0 {
		t.Errorf("answer = %d %s, want 431", res.StatusCode, body)
	}
	checkRefusal(t, res, body, false)
	if res, _ := l.do(t, "GET", "/v1/events", "", "X-Large: "+strings.Repeat("x", 14<<10)); res.StatusCode != 200 {
		t.Errorf("a head below the limit: %d", res.StatusCode)
	}
}

func TestServer_namesTheMethodsThatItTakes(t *testing.T) {
	l := serve(t, options(t, "http://127.0.0.1:1", apps.Strip))
	res := l.raw(t, "TRACE /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if res.StatusCode != 405 || res.Header.Get("Allow") != methods {
		t.Errorf("answer = %d %v, want 405 with Allow", res.StatusCode, res.Header)
	}
}

func TestServer_turnsAwayConnectionsOverTheLimit(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url, apps.Strip)
	o.MaxConnections = 2
	l := serve(t, o)
	var held []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	res, body := l.do(t, "GET", "/v1/events", "")
	if res.StatusCode != 503 || !res.Close || !strings.Contains(body, "limits.connections") || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeTooManyConnections) {
		t.Errorf("answer = %d %s, want 503", res.StatusCode, body)
	}
	checkRefusal(t, res, body, false)
	held[0].Close()
	for res.StatusCode != 200 { // as soon as the server has noticed
		res, _ = l.do(t, "GET", "/v1/events", "")
	}
}

// Connections that say nothing do not keep others from being told for long.
func TestServer_answersAllThatAreFarOverTheLimit(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url, apps.Strip)
	o.MaxConnections, o.HeadTimeout = 1, time.Minute
	l := serve(t, o)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	first := dial()
	var over []net.Conn
	for range turnedAway {
		over = append(over, dial())
	}
	res, err := http.ReadResponse(bufio.NewReader(dial()), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 503 || !res.Close {
		t.Errorf("answer = %d %s, %v; want 503 and the end", res.StatusCode, body, err)
	}
	checkRefusal(t, res, string(body), false)
	for _, conn := range over {
		if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 408") {
			t.Errorf("a silent connection over the limit got %q, %v; want 408 and the end", text, err)
		}
	}
	if _, err := io.WriteString(first, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if res, err = http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the connection within the limit: %v, %v; want 200", res, err)
	}
}

func TestServer_keepsConnectionsOfBothSides(t *testing.T) {
	conns := map[string]bool{}
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		io.WriteString(w, "{}")
	})
	l := serve(t, options(t, d.url, apps.Resign))
	for range 20 {
		l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+localKey)
		l.do(t, "POST", "/v1/realtime/publish/tee", "{}", "Authorization: Bearer "+localKey)
		l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+unknownToken)
	}
	if len(conns) != 1 {
		t.Errorf("%d connections to inngest, want 1", len(conns))
	}
}

func TestServer_answersPipelinedRequestsInOrder(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Query().Get("n")) })
	l := serve(t, options(t, d.url, apps.Resign))
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var all strings.Builder
	for i := range 10 {
		fmt.Fprintf(&all, "POST /v1/signals?n=%d HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 5\r\n\r\nhello", i, localKey)
		fmt.Fprintf(&all, "POST /v1/realtime/publish/tee?n=%d HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", i, localKey)
	}
	io.WriteString(conn, all.String())
	r := bufio.NewReader(conn)
	for i := range 20 {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 || string(body) != fmt.Sprint(i/2) {
			t.Errorf("answer %d = %d %q, %v", i, res.StatusCode, body, err)
		}
	}
}

func TestServer_dropsTrailers(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Resign))
	res := l.raw(t, "POST /v1/signals HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+localKey+
		"\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Late: 1\r\nX-Inngest-Env: other\r\n\r\n")
	if got := d.one(t); res.StatusCode != 200 || got.Body != "{}" || got.Header.Get("X-Late") != "" || got.Header.Get("X-Inngest-Env") != "" || got.Header.Get("Trailer") != "" {
		t.Errorf("answer = %d, inngest got %v", res.StatusCode, got)
	}
}

func TestServer_answersWhoAsksBeforeSending(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Resign))
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	fmt.Fprintf(conn, "POST /v1/signals HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", localKey)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") {
		t.Fatalf("answer = %q, %v", line, err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("after it %q, %v", line, err)
	}
	io.WriteString(conn, "{}")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := d.one(t); res.StatusCode != 200 || got.Body != "{}" || got.Header.Get("Expect") != "" {
		t.Errorf("answer = %d, inngest got %v", res.StatusCode, got)
	}
}

// net/http sends a POST again when the connection that it took from its pool
// turns out to be closed and nothing was written, if it can get the body once
// more; with an Idempotency-Key also when something was.
func TestServer_letsTheTransportRepeatOnlyWhatWasNotWritten(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Strip)
	var repeatable bool
	o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		repeatable = r.GetBody != nil
		first, err := io.ReadAll(r.Body)
		if err == nil && repeatable {
			again, _ := r.GetBody()
			if second, _ := io.ReadAll(again); string(second) != string(first) {
				t.Errorf("the body is %q at first and %q again", first, second)
			}
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2}, err
	})
	o.MaxBody = 1 << 10
	l := serve(t, o)
	large := strings.Repeat("x", 2<<10)
	for name, c := range map[string]struct {
		path, body string
		fields     []string
		want       bool
	}{
		"checkpoint":                    {"/v1/checkpoint/r/async", "{}", nil, true},
		"checkpoint, idempotency key":   {"/v1/checkpoint/r/async", "{}", []string{"Idempotency-Key: 1"}, false},
		"checkpoint, x-idempotency key": {"/v1/checkpoint/r/async", "{}", []string{"X-Idempotency-Key: 1"}, false},
		"large body":                    {"/v1/checkpoint/r/async", large, nil, false},
		"stream":                        {"/v1/realtime/publish/tee", "{}", nil, false},
	} {
		if res, body := l.do(t, "POST", c.path, c.body, c.fields...); res.StatusCode != 200 || body != "{}" {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
		if repeatable != c.want {
			t.Errorf("%s: the transport may repeat it: %v, want %v", name, repeatable, c.want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestServer_servesAUnixSocket(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Strip))
	path := filepath.Join(t.TempDir(), "gw.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve(ln) }()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Post("http://gateway/v1/signals", "", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := d.one(t); res.StatusCode != 200 || got.Body != "{}" {
		t.Errorf("answer = %d, inngest got %v", res.StatusCode, got)
	}
	if err := l.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestServer_takesNothingNewAfterShutdown(t *testing.T) {
	l := serve(t, options(t, "http://127.0.0.1:1", apps.Strip))
	if err := l.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Serve(ln); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestServer_outlivesACrashInARequest(t *testing.T) {
	o := options(t, "http://127.0.0.1:1", apps.Strip)
	o.Registry = crashing{}
	l := serve(t, o)
	res, body := l.do(t, "POST", "/fn/register", "{}")
	if res.StatusCode != 500 || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeInternal) {
		t.Errorf("answer = %d %s, want 500 internal", res.StatusCode, body)
	}
	checkRefusal(t, res, body, false)
	if !strings.Contains(l.log.String(), "no registry today") {
		t.Errorf("log = %s", l.log.String())
	}
}

type crashing struct{}

func (crashing) Register(context.Context, apps.Registration) (apps.Result, error) {
	panic("no registry today")
}

func TestServer_countsWhatItDoes(t *testing.T) {
	d := newInngest(t, takes(t, 401, fallbackKey))
	o := options(t, d.url, apps.Resign)
	l := serve(t, o)
	l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+localKey)
	l.do(t, "POST", "/e/unknown", "{}")
	l.do(t, "GET", "/nothing", "")
	m := o.Metrics
	for name, c := range map[string]struct{ got, want float64 }{
		"signal, 2xx":  {testutil.ToFloat64(m.Requests.WithLabelValues("signal", "2xx")), 1},
		"event, 4xx":   {testutil.ToFloat64(m.Requests.WithLabelValues("event", "4xx")), 1},
		"other, 4xx":   {testutil.ToFloat64(m.Requests.WithLabelValues("other", "4xx")), 1},
		"fallbacks":    {testutil.ToFloat64(m.Fallbacks.WithLabelValues()), 1},
		"unauthorized": {testutil.ToFloat64(m.Errors.WithLabelValues("unauthorized")), 1},
		"durations":    {float64(testutil.CollectAndCount(m.Duration)), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", name, c.got, c.want)
		}
	}
	if err := l.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(m.InFlight.WithLabelValues()); got != 0 {
		t.Errorf("in flight = %v after all", got)
	}
}

// fasthttp quotes what it could not read.
func TestServer_logsNothingOfARequestThatItCannotRead(t *testing.T) {
	l := serve(t, options(t, "http://127.0.0.1:1", apps.Strip))
	secrets := []string{localEvent, "token-of-the-app", "card-number"}
	for name, c := range map[string]struct{ line, field string }{
		"two lengths":         {"POST /e/" + localEvent + " HTTP/1.1", "Content-Length: 1"},
		"a length in words":   {"POST /e/" + localEvent + " HTTP/1.1", "Content-Length: many"},
		"an unknown coding":   {"POST /e/" + localEvent + " HTTP/1.1", "Transfer-Encoding: card-number"},
		"a space in a name":   {"POST /e/" + localEvent + " HTTP/1.1", "Authorization Bearer : token-of-the-app"},
		"a byte in a value":   {"POST /e/" + localEvent + " HTTP/1.1", "X-Token: token-of-the-app\x01"},
		"a line without end":  {"POST /e/" + localEvent, "X: y"},
		"an unknown version":  {"POST /e/" + localEvent + " HTTP/9", "X: y"},
		"a method with signs": {"{card-number} /e/" + localEvent + " HTTP/1.1", "X: y"},
	} {
		res := l.raw(t, c.line+"\r\nHost: localhost\r\nAuthorization: Bearer token-of-the-app\r\nContent-Length: 22\r\n"+c.field+"\r\n\r\n"+`{"name":"card-number"}`)
		if res.StatusCode/100 != 4 {
			t.Errorf("%s: answer = %d, want a refusal", name, res.StatusCode)
		}
	}
	for _, s := range secrets {
		if strings.Contains(l.log.String(), s) {
			t.Errorf("%q is in the log:\n%s", s, l.log.String())
		}
	}
}
