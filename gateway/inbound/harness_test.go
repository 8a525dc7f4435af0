package inbound

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps these for the life of the process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// gateway is a server under test with one app, shop, on /api/inngest.
type gateway struct {
	*Server
	addr    string
	app     *appDouble
	syncs   *syncDouble
	metrics *metrics.Inbound
	budget  *budget.Budget
	log     *logDouble
	served  chan error
}

// setup changes what newGateway builds from.
type setup struct {
	Options
	Route
	memory     int64
	memoryWait time.Duration
	now        func() time.Time
	tick       time.Duration
	bodyWindow time.Duration
	listener   func(net.Listener) net.Listener
}

func newGateway(tb testing.TB, change func(*setup)) *gateway {
	tb.Helper()
	m := metrics.New(prometheus.NewRegistry())
	g := &gateway{app: &appDouble{}, syncs: &syncDouble{}, metrics: m.Inbound, log: &logDouble{}, served: make(chan error, 1)}
	s := setup{
		Options: Options{
			MaxHead: 16 << 10, MaxURI: 8 << 10, MaxBody: 8 << 20, MaxAnswer: 8 << 20, MaxConnections: 10_000, MinBodyRate: 16 << 10,
			HeadTimeout: 30 * time.Second, IdleTimeout: time.Minute, WriteTimeout: time.Minute, CompressFrom: 32 << 10, LogEvery: 100,
			Metrics: m.Inbound, Log: slog.New(slog.NewJSONHandler(g.log, nil)),
		},
		Route: Route{
			App: "shop", Path: "/api/inngest", UpstreamPath: "/inner/inngest", Durable: []string{"/work/"},
			Origins: []string{"http://127.0.0.1:3000"}, PublicURL: "https://gw.example.com/api/inngest",
			OutageBudget: 24 * time.Hour, Compress: true, Callee: g.app, Syncer: g.syncs,
		},
		memory: 256 << 20, memoryWait: 30 * time.Second, now: time.Now, tick: sweepTick, bodyWindow: bodyWindow,
	}
	g.app.tb = tb
	s.Pair = &pairDouble{}
	if change != nil {
		change(&s)
	}
	if p, ok := s.Pair.(*pairDouble); ok {
		p.verifier = newVerifier(tb, s.now)
	}
	var err error
	if g.budget, err = budget.New(budget.Options{Max: s.memory, Wait: s.memoryWait, Metrics: m.Budget}); err != nil {
		tb.Fatal(err)
	}
	s.Options.Budget = g.budget
	if g.Server, err = New(s.Options); err != nil {
		tb.Fatal(err)
	}
	g.Server.tick, g.Server.bodyWindow = s.tick, s.bodyWindow
	table, err := NewTable([]Route{s.Route})
	if err != nil {
		tb.Fatal(err)
	}
	g.Swap(table)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g.addr = ln.Addr().String()
	if s.listener != nil {
		ln = s.listener(ln)
	}
	go func() { g.served <- g.Serve(ln) }()
	tb.Cleanup(func() {
		if err := g.Close(); err != nil {
			tb.Errorf("Close = %v", err)
		}
		if used := g.budget.Used(); used != 0 {
			tb.Errorf("budget: %d bytes are charged after the end", used)
		}
	})
	return g
}

// pairDouble verifies and passes through.
type pairDouble struct {
	verifier  *signature.Verifier
	off       bool // verification
	whole     bool
	seal      func(*call.Call) error
	changed   func(*call.Call) error
	openReply func(*call.Answer) error
	sealReply func(*call.Answer) error
}

func newVerifier(tb testing.TB, now func() time.Time) *signature.Verifier {
	tb.Helper()
	v, err := signature.NewVerifier(signature.Options{
		Keys: []signature.Key{testKey(tb)}, Tolerance: 5 * time.Minute, MaxCanonical: 1 << 20, Now: now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func (p *pairDouble) Verifies() bool { return !p.off }
func (p *pairDouble) NeedsWhole() bool {
	return p.whole
}
func (p *pairDouble) CheckHeader(sig []byte) error { return p.verifier.CheckHeader(sig) }
func (p *pairDouble) OpenRequest(sig, body []byte) error {
	return p.verifier.Verify(sig, body)
}
func (p *pairDouble) SealRequest(c *call.Call) error {
	if p.seal != nil {
		return p.seal(c)
	}
	return nil
}
func (p *pairDouble) SealChanged(c *call.Call) error {
	if p.changed != nil {
		return p.changed(c)
	}
	return nil
}
func (p *pairDouble) OpenAnswer(a *call.Answer) error {
	if p.openReply != nil {
		return p.openReply(a)
	}
	return nil
}
func (p *pairDouble) SealAnswer(a *call.Answer) error {
	if p.sealReply != nil {
		return p.sealReply(a)
	}
	return nil
}

func testKey(tb testing.TB) signature.Key {
	tb.Helper()
	k, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// appDouble is the recording upstream: it writes each call as the pool writes
// it, and reads it back as an app does.
type appDouble struct {
	tb     testing.TB
	answer func(context.Context, *call.Call) (*call.Answer, error)

	mu   sync.Mutex
	seen []seen
}

// seen is a request as an app sees it.
type seen struct {
	*http.Request
	target   string
	body     []byte
	identity string // run
}

// answers makes the app give this answer.
func (d *appDouble) answers(a *call.Answer) {
	d.does(func(context.Context, *call.Call) (*call.Answer, error) { return a, nil })
}

// fails makes the app give none.
func (d *appDouble) fails(err error) {
	d.does(func(context.Context, *call.Call) (*call.Answer, error) { return nil, err })
}

func (d *appDouble) does(f func(context.Context, *call.Call) (*call.Answer, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = f
}

func (d *appDouble) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	s, err := readBack(c)
	if err != nil {
		d.tb.Errorf("the app cannot read the call: %v", err)
	}
	d.mu.Lock()
	d.seen = append(d.seen, s)
	does := d.answer
	d.mu.Unlock()
	if does != nil {
		return does(ctx, c)
	}
	return ok(`{"ok":true}`), nil
}

func readBack(c *call.Call) (seen, error) {
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: app\r\n", c.Method, c.Target)
	wire.Write(c.Head)
	if len(c.Signature) > 0 {
		fmt.Fprintf(&wire, "X-Inngest-Signature: %s\r\n", c.Signature)
	}
	fmt.Fprintf(&wire, "Content-Length: %d\r\n\r\n", len(c.Body))
	wire.Write(c.Body)
	in := bufio.NewReader(&wire)
	r, err := http.ReadRequest(in)
	if err != nil {
		return seen{}, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return seen{}, err
	}
	if n := in.Buffered() + wire.Len(); n > 0 {
		return seen{}, fmt.Errorf("%d bytes behind the call", n)
	}
	return seen{r, string(c.Target), body, c.Identity.RunID}, nil
}

func (d *appDouble) requests() []seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]seen{}, d.seen...)
}

// ok is an SDK's answer.
func ok(body string) *call.Answer { return answer(200, body, "X-Inngest-Sdk", "go:v0.16.0") }

func answer(status int, body string, fields ...string) *call.Answer {
	a := &call.Answer{Status: status, Body: []byte(body), Length: int64(len(body)), Endpoint: "http://127.0.0.1:3000"}
	for i := 0; i < len(fields); i += 2 {
		a.Fields = append(a.Fields, call.Field{Name: []byte(fields[i]), Value: []byte(fields[i+1])})
	}
	return a
}

// syncDouble records syncs.
type syncDouble struct {
	answer func(apps.Put) (*call.Answer, error)

	mu   sync.Mutex
	seen []apps.Put
}

func (d *syncDouble) does(f func(apps.Put) (*call.Answer, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = f
}

func (d *syncDouble) Put(_ context.Context, p apps.Put) (*call.Answer, error) {
	p.Body = bytes.Clone(p.Body)
	d.mu.Lock()
	d.seen = append(d.seen, p)
	does := d.answer
	d.mu.Unlock()
	if does != nil {
		return does(p)
	}
	return ok(`{"message":"synced"}`), nil
}

func (d *syncDouble) puts() []apps.Put {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]apps.Put{}, d.seen...)
}

// logDouble keeps lines.
type logDouble struct {
	mu    sync.Mutex
	lines []string
}

func (l *logDouble) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logDouble) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// sign returns the signature of a body, made now.
func sign(tb testing.TB, body string) string {
	tb.Helper()
	return signature.Sign(testKey(tb), []byte(body), time.Now())
}

// callBody is a call in canonical form.
func callBody(run string) string {
	return `{"ctx":{"attempt":0,"disable_immediate_execution":false,"env":"","fn_id":"1992b630","generation_id":1,"job_id":"34y97","max_attempts":5,` +
		`"qi_id":"q","request_id":"req1","run_id":"` + run + `","stack":{"current":0,"stack":[]},"step_id":"step","use_api":false},` +
		`"event":{"data":{"n":5}},"events":[],"steps":{},"use_api":false,"version":-1}`
}

// message writes a raw request with a content length.
func message(line, body string, headers ...string) string {
	return line + "\r\nHost: gw\r\n" + strings.Join(append(headers, ""), "\r\n") + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// signedCall writes a raw call request.
func signedCall(tb testing.TB, body string, headers ...string) string {
	tb.Helper()
	return message("POST /api/inngest?fnId=shop-f&stepId=step HTTP/1.1", body, append(headers, "X-Inngest-Signature: "+sign(tb, body))...)
}
