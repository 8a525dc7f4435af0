package outbound

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one clock for the process, and the cleaner of a stopped
	// server's workers notices that within ten seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	realKey      = "signkey-prod-1234567890abcdef1234567890abcdef"
	fallbackKey  = "signkey-prod-fedcba0987654321fedcba0987654321"
	localKey     = "signkey-local-00112233445566778899aabbccddeeff"
	realEvent    = "abcdef1234567890"
	localEvent   = "local-event-key"
	unknownToken = "signkey-prod-0000000000000000000000000000000000000000000000000000000000000000"
)

func key(tb testing.TB, text string) signature.Key {
	tb.Helper()
	k, err := signature.ParseKey(text)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// token is what SDKs send for a key.
func token(tb testing.TB, text string) string {
	tb.Helper()
	return signature.BearerToken(key(tb, text))
}

func ring(tb testing.TB, texts ...string) signature.Keyring {
	tb.Helper()
	r := signature.Keyring{}
	for i, text := range texts {
		if i == 0 {
			r.Current = key(tb, text)
		} else {
			r.Others = append(r.Others, key(tb, text))
		}
	}
	return r
}

// An arrival is a request as Inngest got it.
type arrival struct {
	Method, Target, Host string
	Header               http.Header
	Body                 string
}

// inngestDouble is an Inngest server that notes what it gets.
type inngestDouble struct {
	url string

	mu       sync.Mutex
	answer   http.HandlerFunc // nil: 200 {}
	arrivals []arrival
}

func newInngest(tb testing.TB, answer http.HandlerFunc) *inngestDouble {
	tb.Helper()
	d := &inngestDouble{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(d.serve))
	tb.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *inngestDouble) serve(w http.ResponseWriter, r *http.Request) {
	a := arrival{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header.Clone()}
	if r.Header.Get("Upgrade") == "" && !strings.Contains(r.RequestURI, "stream") {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		a.Body = string(text)
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
	d.mu.Lock()
	d.arrivals = append(d.arrivals, a)
	answer := d.answer
	d.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	io.WriteString(w, "{}")
}

// reply changes how the next requests are answered.
func (d *inngestDouble) reply(answer http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// got returns what has arrived since the last call.
func (d *inngestDouble) got() []arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.arrivals
	d.arrivals = nil
	return a
}

// one returns the one request that has arrived.
func (d *inngestDouble) one(tb testing.TB) arrival {
	tb.Helper()
	got := d.got()
	if len(got) != 1 {
		tb.Fatalf("inngest got %d requests, want 1: %v", len(got), got)
	}
	return got[0]
}

// registryDouble notes registrations.
type registryDouble struct {
	mu     sync.Mutex
	got    []apps.Registration
	result apps.Result
	err    error
}

func (r *registryDouble) Register(_ context.Context, g apps.Registration) (apps.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.Body = bytes.Clone(g.Body)
	r.got = append(r.got, g)
	return r.result, r.err
}

// eventsDouble notes events.
type eventsDouble struct {
	mu     sync.Mutex
	got    []events.Request
	answer events.Answer
}

func (d *eventsDouble) Accept(_ context.Context, r events.Request) events.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.Body = bytes.Clone(r.Body)
	d.got = append(d.got, r)
	return d.answer
}

// one returns the one request that has come since the last call.
func (d *eventsDouble) one(tb testing.TB) events.Request {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.got) != 1 {
		tb.Fatalf("%d requests came, want 1: %v", len(d.got), d.got)
	}
	one := d.got[0]
	d.got = nil
	return one
}

// A listener is a Server under test, and a client of it.
type listener struct {
	*Server
	url      string
	client   *http.Client
	registry *registryDouble
	events   *eventsDouble
	log      *logBuffer
}

// options are those of a server whose one app has the mode.
func options(tb testing.TB, inngestURL string, mode apps.Mode) Options {
	tb.Helper()
	m := metrics.New(prometheus.NewRegistry())
	b, err := budget.New(budget.Options{Max: 64 << 20, Wait: time.Second, Metrics: m.Budget})
	if err != nil {
		tb.Fatal(err)
	}
	transport, err := NewTransport(TransportOptions{DialTimeout: 5 * time.Second, IdleConnections: 10, IdleTimeout: time.Minute, MaxHead: 32 << 10})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	app := App{ID: "shop", Environment: "prod", Mode: mode}
	if mode == apps.Resign {
		app.Local, app.LocalEventKey = ring(tb, localKey), localEvent
	}
	return Options{
		Environments: []Environment{{
			Name: "prod", APIURL: inngestURL, EventKey: realEvent,
			Keys: NewKeys(ring(tb, realKey, fallbackKey), time.Minute),
		}},
		Apps:           []App{app},
		Registry:       &registryDouble{result: apps.Result{Status: 200, Body: []byte(`{"ok":true}`)}},
		Events:         &eventsDouble{answer: events.Answer{Status: 200, ContentType: intake.AnswerType, Body: []byte(`{"ids":["01M8"],"status":200}`)}},
		Transport:      transport,
		Budget:         b,
		MaxHead:        16 << 10,
		MaxBody:        1 << 20,
		MaxConnections: 100,
		HeadTimeout:    10 * time.Second,
		BodyTimeout:    10 * time.Second,
		IdleTimeout:    10 * time.Second,
		AnswerTimeout:  10 * time.Second,
		StreamIdle:     10 * time.Second,
		Metrics:        m.Outbound,
	}
}

// serve starts a server and stops it when the test ends.
func serve(tb testing.TB, o Options) *listener {
	tb.Helper()
	log := &logBuffer{}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	transport := &http.Transport{DisableCompression: true}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			tb.Errorf("Shutdown = %v", err)
		}
		if err := <-served; err != nil {
			tb.Errorf("Serve = %v", err)
		}
	})
	registry, _ := o.Registry.(*registryDouble)
	double, _ := o.Events.(*eventsDouble)
	return &listener{Server: s, url: "http://" + ln.Addr().String(), client: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, registry: registry, events: double, log: log}
}

// do sends a request with header lines "Name: value" and returns the answer
// and its body.
func (l *listener) do(tb testing.TB, method, target, body string, fields ...string) (*http.Response, string) {
	tb.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, l.url+target, from)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	res, err := l.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatalf("%s %s: body: %v", method, target, err)
	}
	return res, string(text)
}

// raw sends bytes as they are and reads one answer.
func (l *listener) raw(tb testing.TB, request string) *http.Response {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		tb.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		tb.Fatalf("answer to %q: %v", request, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		tb.Fatal(err)
	}
	return res
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
