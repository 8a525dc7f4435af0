package apps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const (
	publicURL = "https://gw.example.com"
	shopURL   = "https://gw.example.com/api/shop" // of the one app of most tests
)

var errDown = errors.New("nobody listens")

// recordings are read once: the apps below answer with them.
var recordings struct {
	once sync.Once
	all  map[int]recorded.Exchange
}

func recording(tb testing.TB, number int) recorded.Exchange {
	tb.Helper()
	recordings.once.Do(func() {
		recordings.all = map[int]recorded.Exchange{}
		for _, x := range recorded.Load(tb) {
			recordings.all[x.Number] = x
		}
	})
	x, ok := recordings.all[number]
	if !ok {
		tb.Fatalf("no recorded exchange has the number %d", number)
	}
	return x
}

// appDouble is an app as the recordings have it, on the far side of the pool.
type appDouble struct {
	t     testing.TB
	key   signature.Key // zero: development, no signature is asked or given
	sdk   func(d *appDouble, c *call.Call) (status int, body string, signed bool, sync string)
	posts Registrar // where its own registrations go

	mu      sync.Mutex
	down    error // what Do returns instead
	version string
	asked   []*call.Call
	order   int
}

func (d *appDouble) Do(_ context.Context, c *call.Call) (*call.Answer, error) {
	d.mu.Lock()
	d.asked = append(d.asked, c)
	down := d.down
	d.mu.Unlock()
	if down != nil {
		return nil, down
	}
	status, body, signed, sync := d.sdk(d, c)
	a := &call.Answer{Status: status, Body: []byte(body)}
	a.Set("Content-Type", "application/json; charset=utf-8")
	a.Set(inngest.HeaderSDKHandled, "true")
	if status != 401 {
		a.Set(inngest.HeaderSDK, "inngest-js:v4.24.0")
		a.Set(inngest.HeaderFramework, "express")
		a.Set("ETag", `W/"1"`)
	}
	if sync != "" {
		a.Set(inngest.HeaderSyncKind, sync)
	}
	if signed && !d.key.IsZero() {
		// Go signs before a newline is appended.
		a.Set(inngest.HeaderSignature, signature.Sign(d.key, bytes.TrimRight(a.Body, "\n"), time.Now()))
	}
	// The buffers are the pool's: what is kept of them later is garbage.
	a.Free = func(a *call.Answer) {
		for i := range a.Body {
			a.Body[i] = '#'
		}
		for _, f := range a.Fields {
			copy(f.Value, strings.Repeat("#", len(f.Value)))
		}
	}
	return a, nil
}

func (d *appDouble) calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

func (d *appDouble) set(change func(*appDouble)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// trusts tells whether the app believes a call, and whether it is signed.
func (d *appDouble) trusts(c *call.Call) (ok, signed bool) {
	if d.key.IsZero() {
		return true, len(c.Signature) > 0
	}
	v, err := signature.NewVerifier(signature.Options{
		Keys: []signature.Key{d.key}, Tolerance: 5 * time.Minute, MaxCanonical: -1, Now: time.Now,
	})
	if err != nil {
		d.t.Error(err)
	}
	return v.Verify(c.Signature, c.Body) == nil, len(c.Signature) > 0
}

// functions returns the recorded body with the URL and the version of now.
func (d *appDouble) functions(body []byte, recordedURL, url string) string {
	text := strings.ReplaceAll(string(body), recordedURL, url)
	if d.version != "" {
		text = strings.Replace(text, `"t/simple"`, `"t/`+d.version+`"`, 1)
	}
	return text
}

// register posts the recorded registration as the app's own.
func (d *appDouble) register(number int) (int, string, bool, string) {
	x := recording(d.t, number)
	body := d.functions(x.Request.Body, "http://127.0.0.1:3100/api/inngest", "http://10.0.0.7:3100/api/inngest")
	header := http.Header{"Authorization": {"Bearer x"}, "Cookie": {"a=b"}}
	for _, h := range x.Request.Headers {
		if strings.HasPrefix(strings.ToLower(h.Name), "x-") {
			header.Set(h.Name, h.Value)
		}
	}
	r, err := d.posts.Register(context.Background(), Registration{Header: header, Body: []byte(body)})
	if err != nil || r.Status != 200 {
		return 500, `{"message":"Failed to register","modified":false}`, true, inngest.SyncOutOfBand
	}
	return 200, `{"message":"Successfully registered","modified":true}`, true, inngest.SyncOutOfBand
}

// js answers in band if it is told to, and else registers.
func js(d *appDouble, c *call.Call) (int, string, bool, string) {
	if c.Method == "GET" {
		return 200, `{"function_count":38,"mode":"cloud"}`, true, ""
	}
	if !strings.Contains(string(c.Head), "X-Inngest-Sync-Kind: in_band\r\n") {
		return d.register(31)
	}
	var body map[string]string
	if json.Unmarshal(c.Body, &body) != nil || len(body) != 1 || body["url"] == "" {
		return 400, `{"code":"invalid_request"}`, true, ""
	}
	if ok, _ := d.trusts(c); !ok {
		return 401, `{"message":"Unauthorized"}`, false, ""
	}
	x := recording(d.t, 26)
	return 200, d.functions(x.Response.Body, "http://127.0.0.1:3100/api/inngest", body["url"]), true, inngest.SyncInBand
}

// jsOld only knows how to register itself.
func jsOld(d *appDouble, c *call.Call) (int, string, bool, string) {
	if c.Method == "GET" {
		return js(d, c)
	}
	return d.register(31)
}

// golang answers every signed PUT in band, its functions in another order each
// time; unsigned ones only in development, by registering.
func golang(d *appDouble, c *call.Call) (int, string, bool, string) {
	ok, signed := d.trusts(c)
	switch {
	case !ok:
		return 401, `{"message":"Unauthorized"}` + "\n", false, ""
	case !signed:
		return d.register(37)
	}
	var body inngest.SyncRequest
	if err := json.Unmarshal(c.Body, &body); err != nil {
		return 400, `{"message":"malformed input"}`, false, ""
	}
	d.order++
	number := 32 + 2*(d.order%2)
	host := map[int]string{32: "localhost", 34: "127.0.0.1"}[number]
	text := d.functions(recording(d.t, number).Response.Body, "http://"+host+":3103/api/inngest", body.URL)
	return 200, text, true, inngest.SyncInBand
}

// serverDouble is an Inngest server that takes registrations.
type serverDouble struct {
	mu     sync.Mutex
	status int // 200 if 0
	down   error
	posts  []Registration
	block  chan struct{} // closed: go on
}

func (s *serverDouble) Register(ctx context.Context, r Registration) (Result, error) {
	s.mu.Lock()
	s.posts = append(s.posts, r)
	status, down, block := cmp.Or(s.status, 200), s.down, s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
	if down != nil {
		return Result{}, down
	}
	header := http.Header{"Content-Type": {"text/plain"}, "X-Inngest-Server-Kind": {"cloud"}, "Set-Cookie": {"a=b"}}
	if status >= 300 {
		return Result{Status: status, Header: header, Body: []byte(`{"error":"no such thing","status":400}`)}, nil
	}
	return Result{Status: status, Header: header, Body: []byte(`{"ok":true,"modified":true,"sync_id":"x"}`)}, nil
}

func (s *serverDouble) set(change func(*serverDouble)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *serverDouble) got() []Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.posts)
}

// world is a registry between one app and one server.
type world struct {
	*Registry
	app     *appDouble
	server  *serverDouble
	metrics *metrics.Apps
	log     *bytes.Buffer
}

// newWorld builds one; the app holds the key of its mode.
func newWorld(t testing.TB, sdk func(*appDouble, *call.Call) (int, string, bool, string), change func(*Options, *App)) *world {
	t.Helper()
	w := &world{server: &serverDouble{}, metrics: metrics.New(prometheus.NewRegistry()).Apps, log: &bytes.Buffer{}}
	w.app = &appDouble{t: t, sdk: sdk}
	a := App{
		ID: "js-app", Path: "/api/shop", UpstreamPath: "/api/inngest", Callee: w.app, Mode: Passthrough,
		Keys:         signature.Keyring{Current: mustKey(t, recorded.SigningKey), Others: []signature.Key{mustKey(t, fallbackText)}},
		Local:        signature.Keyring{Current: mustKey(t, localText)},
		UnsignedSync: UnsignedHint,
	}
	o := Options{
		Inngest: w.server, Dialect: DialectAuto, PublicURL: publicURL,
		Timeout: 10 * time.Second, Retell: 10 * time.Minute,
		Tolerance: 5 * time.Minute, MaxCanonical: 1 << 20, MaxAnswer: 1 << 20, Budget: newBudget(t, 1<<20), Now: time.Now,
		Metrics: w.metrics, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if change != nil {
		change(&o, &a)
	}
	o.Apps = append(o.Apps, a)
	switch a.Mode {
	case Passthrough:
		w.app.key = a.Keys.Current
	case Resign:
		w.app.key = a.Local.Current
	}
	var err error
	if w.Registry, err = New(o); err != nil {
		t.Fatal(err)
	}
	w.app.posts = w.Registry
	return w
}

// put sends the server's PUT and releases the answer at the end of the test.
func (w *world) put(t testing.TB, p Put) *call.Answer {
	t.Helper()
	if p.App == "" {
		p.App = "js-app"
	}
	a, err := w.Put(context.Background(), p)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	t.Cleanup(a.Release)
	return a
}

// signedPut is the PUT of a server that expects a registration.
func signedPut() Put {
	return Put{Signed: true, Body: []byte(`{"url":"http://localhost:8480/api/shop"}`), ServerKind: "cloud"}
}

// run runs the registry until the test ends.
func (w *world) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}
