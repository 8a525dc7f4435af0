package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one clock for the process, and the cleaner of a stopped
	// server's workers notices that within ten seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// load reads a configuration. Listeners are on free ports of loopback, and keys
// are those of the recordings, unless the text says otherwise.
func load(tb testing.TB, text string) *config.Config {
	tb.Helper()
	return loadFrom(tb, sources(tb, text, "INNGEST_SIGNING_KEY="+recorded.SigningKey, "INNGEST_EVENT_KEY="+recorded.EventKey))
}

func loadFrom(tb testing.TB, s config.Sources) *config.Config {
	tb.Helper()
	cfg, err := config.Load(s)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

func sources(tb testing.TB, text string, environ ...string) config.Sources {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if !strings.Contains(text, "listen:") {
		environ = append(environ, "GATEWAY_LISTEN__INNGEST=127.0.0.1:0", "GATEWAY_LISTEN__APPS=127.0.0.1:0", "GATEWAY_LISTEN__ADMIN=127.0.0.1:0")
	}
	return config.Sources{File: file, Env: environ}
}

// oneApp is the configuration of one app, shop, with further lines.
func oneApp(inngestURL, appURL, more string) string {
	return fmt.Sprintf(`
inngest: {api_url: %q, event_url: %q}
apps:
  - {id: shop, upstream: {endpoints: [%q]}}
%s`, inngestURL, inngestURL, appURL, more)
}

// running is a gateway that runs until the test ends.
type running struct {
	*Gateway
	log   *watchedLog
	drain context.CancelFunc
	ended chan struct{}
	err   error // what Run returned; read after ended
}

func start(tb testing.TB, cfg *config.Config, change ...func(*Gateway)) *running {
	tb.Helper()
	return startAt(tb, cfg, nil, change...)
}

// startAt starts a gateway with a wall clock of its own.
func startAt(tb testing.TB, cfg *config.Config, now func() time.Time, change ...func(*Gateway)) *running {
	tb.Helper()
	return startWith(tb, Options{Config: cfg, Now: now}, change...)
}

func startWith(tb testing.TB, o Options, change ...func(*Gateway)) *running {
	tb.Helper()
	r := &running{log: &watchedLog{}, ended: make(chan struct{})}
	o.Version, o.LogTo = "test", r.log
	g, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	r.Gateway = g
	for _, f := range change {
		f(g)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.drain = cancel
	go func() {
		r.err = g.Run(ctx)
		close(r.ended)
	}()
	tb.Cleanup(func() {
		cancel()
		await(tb, "the end of the gateway", r.ended)
		if tb.Failed() {
			tb.Logf("log of the gateway:\n%s", r.log)
		}
	})
	select {
	case <-g.Ready():
	case <-r.ended:
		tb.Fatalf("Run = %v", r.err)
	}
	return r
}

// stop drains the gateway and returns what Run returned.
func (r *running) stop(tb testing.TB) error {
	tb.Helper()
	r.drain()
	await(tb, "the end of the gateway", r.ended)
	return r.err
}

func await[T any](tb testing.TB, what string, c <-chan T) (got T) {
	tb.Helper()
	select {
	case got = <-c:
	case <-time.After(patience):
		tb.Fatalf("%s did not come within %s", what, patience)
	}
	return got
}

// watchedLog is a log that tests wait for lines in.
type watchedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced by each write; nil: nobody waits
}

func (l *watchedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

func (l *watchedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns the lines that hold a text.
func (l *watchedLog) lines(holding string) []string {
	var found []string
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, holding) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

// await waits until the log holds a text.
func (l *watchedLog) await(tb testing.TB, text string) {
	tb.Helper()
	for over := time.After(patience); ; {
		l.mu.Lock()
		if strings.Contains(l.text.String(), text) {
			l.mu.Unlock()
			return
		}
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		select {
		case <-more:
		case <-over:
			tb.Fatalf("%q did not come within %s; there is\n%s", text, patience, l)
		}
	}
}

// awayAddress returns an address of loopback that nobody listens at yet. It is
// from below the ports that connections get by themselves, so that it is still
// free when a test listens there.
func awayAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000))
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		ln.Close()
		return address
	}
	tb.Fatal("no port is free")
	return ""
}

// comeBack serves an app that answers steps at an address.
func comeBack(tb testing.TB, address string) {
	tb.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	app := &http.Server{Handler: http.HandlerFunc(answerStep)}
	served := make(chan struct{})
	go func() {
		app.Serve(ln)
		close(served)
	}()
	tb.Cleanup(func() {
		app.Close()
		<-served
	})
}

// serveHTTP serves on loopback until the test ends.
func serveHTTP(tb testing.TB, h http.HandlerFunc) (url string) {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.URL
}

// answerStep answers a call as an SDK does that ran a step.
func answerStep(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set(inngest.HeaderSDK, "js:v4.24.0")
	w.WriteHeader(http.StatusPartialContent)
	io.WriteString(w, stepRun)
}

const stepRun = `[{"id":"a","op":"StepRun","data":1}]`

// An answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// callApp makes a call as Inngest does, on a connection of its own.
func callApp(tb testing.TB, url, key string) answer {
	tb.Helper()
	k, err := signature.ParseKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	call := recorded.One(tb, 5).Request
	header := http.Header{inngest.HeaderSignature: {signature.Sign(k, call.Body, time.Now())}}
	a, err := ask(nil, http.MethodPost, url+"?fnId=plain-steps&stepId=step", header, string(call.Body))
	if err != nil {
		tb.Errorf("call: %v", err)
	}
	return a
}

// ask makes one request on a connection of its own; dial may be nil.
func ask(dial func(context.Context, string, string) (net.Conn, error), method, url string, header http.Header, body string) (answer, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// get asks a listener of the gateway.
func get(tb testing.TB, url string) answer {
	tb.Helper()
	a, err := ask(nil, http.MethodGet, url, nil, "")
	if err != nil {
		tb.Fatal(err)
	}
	return a
}
