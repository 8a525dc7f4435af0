package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/devserver/sample"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// environ is the environment of a process: nothing of the tests' own.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "INNGEST_SIGNING_KEY=" + recorded.SigningKey}
}

// runProcess starts "gateway run" with one app and further settings, and waits
// until it runs.
func runProcess(tb testing.TB, appURL, inngestURL string, set ...string) *process {
	tb.Helper()
	args := []string{"run", "--app-url", appURL + "/api/inngest", "--set", "inngest.api_url=" + inngestURL, "--set", "apps[0].id=demo"}
	set = append([]string{"listen.inngest=127.0.0.1:0", "listen.apps=127.0.0.1:0", "listen.admin=127.0.0.1:0"}, set...)
	for _, s := range set {
		args = append(args, "--set", s)
	}
	p, err := startProcess(tb.TempDir(), environ(), args...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.kill()
		if tb.Failed() {
			tb.Logf("gateway\n%s", p)
		}
	})
	p.mustWrite(tb, "gateway runs")
	return p
}

// mustWrite waits until an output matches and returns the first group.
func (p *process) mustWrite(tb testing.TB, pattern string) string {
	tb.Helper()
	found, err := p.await(regexp.MustCompile(pattern))
	if err != nil {
		tb.Fatal(err)
	}
	return found[len(found)-1]
}

// request sends a signed request to the app's path, as Inngest does.
func request(tb testing.TB, client *http.Client, method, url string, body []byte) (status int, answer string) {
	tb.Helper()
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		tb.Fatal(err)
	}
	req, err := http.NewRequest(method, url, strings.NewReader(string(body)))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set(inngest.HeaderSignature, signature.Sign(key, body, time.Now()))
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err.Error()
	}
	return resp.StatusCode, string(text)
}

// slowApp holds each call until release is closed.
type slowApp struct {
	url              string
	arrived, release chan struct{}
}

func newSlowApp(tb testing.TB) *slowApp {
	a := &slowApp{arrived: make(chan struct{}, 1), release: make(chan struct{})}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or net/http does not see a hang-up
		a.arrived <- struct{}{}
		select {
		case <-a.release:
		case <-r.Context().Done():
		}
		w.Header().Set(inngest.HeaderSDK, "js:v4.24.0")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, `[{"id":"a","op":"StepRun","data":1}]`)
	}))
	a.url = s.URL
	tb.Cleanup(s.Close)
	return a
}

// callInBackground makes a call and delivers status and body.
func (p *process) callInBackground(tb testing.TB) <-chan string {
	tb.Helper()
	address := p.mustWrite(tb, `"inngest":"([^"]+)"`)
	answers := make(chan string, 1)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		status, body := request(tb, client, http.MethodPost, "http://"+address+"/api/inngest?fnId=plain-steps&stepId=step", recorded.One(tb, 5).Request.Body)
		answers <- fmt.Sprint(status, " ", body)
	}()
	return answers
}

func receive[T any](tb testing.TB, what string, c <-chan T) (got T) {
	tb.Helper()
	select {
	case got = <-c:
	case <-time.After(patience):
		tb.Fatalf("%s did not come within %s", what, patience)
	}
	return got
}

// server is an Inngest that tells which registrations it got.
func server(tb testing.TB) (url string, registered <-chan string) {
	names := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fn/register" {
			var reg inngest.RegisterRequest
			if err := json.NewDecoder(r.Body).Decode(&reg); err != nil {
				tb.Errorf("registration: %v", err)
			}
			names <- fmt.Sprintf("%s at %s: %d functions", reg.AppName, reg.URL, len(reg.Functions))
			io.WriteString(w, `{"ok":true,"modified":true}`)
		}
	}))
	tb.Cleanup(s.Close)
	return s.URL, names
}

func TestRun_drainsAtSIGTERM(t *testing.T) {
	app := newSlowApp(t)
	url, _ := server(t)
	p := runProcess(t, app.url, url)
	answers := p.callInBackground(t)
	receive(t, "the call at the app", app.arrived)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.mustWrite(t, `"msg":"stop phase done","phase":"unready"`)
	close(app.release)
	if got := receive(t, "the answer", answers); !strings.HasPrefix(got, "206 ") {
		t.Errorf("call that ran at SIGTERM = %s", got)
	}
	if err := p.end(nil); err != nil {
		t.Errorf("gateway ended with %v, want exit status 0", err)
	}
}

func TestRun_endsAtOnceAtTheSecondSignal(t *testing.T) {
	for name, signals := range map[string][2]syscall.Signal{
		"SIGTERM twice":       {syscall.SIGTERM, syscall.SIGTERM},
		"SIGINT twice":        {syscall.SIGINT, syscall.SIGINT},
		"SIGTERM then SIGINT": {syscall.SIGTERM, syscall.SIGINT},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSlowApp(t)
			url, _ := server(t)
			p := runProcess(t, app.url, url, "drain.calls=2h")
			answers := p.callInBackground(t)
			receive(t, "the call at the app", app.arrived)
			if err := p.cmd.Process.Signal(signals[0]); err != nil {
				t.Fatal(err)
			}
			p.mustWrite(t, "gateway drains")
			err := p.end(signals[1])
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() || exit.Sys().(syscall.WaitStatus).Signal() != signals[1] {
				t.Errorf("gateway ended with %v, want the signal %v", err, signals[1])
			}
			receive(t, "the end of the call", answers)
		})
	}
}

// What the log tells is not printed again.
func TestRun_exitsWithOneAfterItCutCalls(t *testing.T) {
	app := newSlowApp(t)
	url, _ := server(t)
	p := runProcess(t, app.url, url, "drain.calls=20ms")
	answers := p.callInBackground(t)
	receive(t, "the call at the app", app.arrived)
	var exit *exec.ExitError
	if err := p.end(syscall.SIGTERM); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("gateway ended with %v, want exit status 1", err)
	}
	if got := receive(t, "the answer", answers); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, `"code":"draining"`) {
		t.Errorf("cut call = %s", got)
	}
	if text := p.stderr.String(); strings.Count(text, "drain.calls") != 1 || strings.Contains(text, "gateway: ") {
		t.Errorf("the cut is not told by one line of the log:\n%s", text)
	}
}

// Killed, a gateway leaves its sockets, and finds its manifests.
func TestRun_goesOnAfterItWasKilled(t *testing.T) {
	sockets, err := os.MkdirTemp("", "gw") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	settings := []string{
		"state_dir=" + t.TempDir(), "public_url=https://gw.example.com", "sync.retell=1s", "sync.timeout=2s",
		"listen.inngest=unix://" + filepath.Join(sockets, "inngest"),
		"listen.apps=unix://" + filepath.Join(sockets, "apps"),
		"listen.admin=unix://" + filepath.Join(sockets, "admin"),
	}
	over := func(socket string) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(sockets, socket))
		}}}
	}
	app, err := sample.New(sample.Options{
		AppID: "demo", SigningKey: recorded.SigningKey, BaseURL: "http://gateway.invalid", Origin: "http://app.invalid", ServePath: "/api/inngest",
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	appServer := httptest.NewServer(app.Handler())
	url, registered := server(t)
	const want = "demo at https://gw.example.com/api/inngest: 3 functions"

	p := runProcess(t, appServer.URL, url, settings...)
	status, body := request(t, over("inngest"), http.MethodPut, "http://gateway/api/inngest", []byte(`{"url":"http://gateway/api/inngest"}`))
	if status != http.StatusOK {
		t.Fatalf("sync = %d %s", status, body)
	}
	if got := receive(t, "the registration", registered); got != want {
		t.Errorf("registered: %s, want %s", got, want)
	}
	appServer.Close()
	if err := p.end(syscall.SIGKILL); err == nil {
		t.Error("a killed gateway ended well")
	}
	for len(registered) > 0 { // it may have told it again
		<-registered
	}

	p = runProcess(t, appServer.URL, url, settings...)
	_, body = request(t, over("admin"), http.MethodGet, "http://gateway/status", nil)
	if !strings.Contains(body, `"functions": 3`) || !strings.Contains(body, `"synced": "20`) {
		t.Errorf("status after the restart = %s", body)
	}
	// The app does not run, so this is what was kept.
	if got := receive(t, "the kept registration", registered); got != want {
		t.Errorf("told again: %s, want %s", got, want)
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("gateway ended with %v", err)
	}
}

func TestRun_tellsTheCollectorWhereMemoryEnds(t *testing.T) {
	url, _ := server(t)
	p := runProcess(t, url, url)
	_, metrics := request(t, http.DefaultClient, http.MethodGet, "http://"+p.mustWrite(t, `"admin":"([^"]+)"`)+"/metrics", nil)
	http.DefaultClient.CloseIdleConnections()
	found := regexp.MustCompile(`(?m)^go_gc_gomemlimit_bytes (\S+)$`).FindStringSubmatch(metrics)
	if found == nil {
		t.Fatalf("no go_gc_gomemlimit_bytes in\n%s", metrics)
	}
	if limit, err := strconv.ParseFloat(found[1], 64); err != nil || limit >= math.MaxInt64 {
		t.Errorf("go_gc_gomemlimit_bytes = %s, which is no limit", found[1])
	}
}

func TestInterruptible_leavesNothingBehind(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	for name, end := range map[string]func(stop func()){
		"stopped":  func(stop func()) { stop() },
		"signaled": func(func()) { syscall.Kill(os.Getpid(), syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := interruptible(context.Background())
			defer stop()
			end(stop)
			receive(t, "the end of the context", ctx.Done())
		})
	}
	goleak.VerifyNone(t, ignore)
}
