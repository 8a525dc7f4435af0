package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestMain(m *testing.M) {
	// fasthttp keeps one clock for the process, and the cleaner of a stopped
	// server's workers notices that within ten seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// newServer serves on a loopback address and returns its base URL.
func newServer(t *testing.T, change func(*Options)) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "Things."})
	registry.MustRegister(counter)
	counter.Add(7)
	o := Options{
		Ready:    func() []Check { return []Check{{Name: "listeners", OK: true, Required: true}} },
		Status:   func() any { return map[string]int{"apps": 2} },
		Gatherer: registry,
		Log:      slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}

func do(t *testing.T, method, url, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header.Clone()
		req.Host = header.Get("Host")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestReadyz_saysWhyAndOnlyRequiredThingsCount(t *testing.T) {
	for name, c := range map[string]struct {
		checks []Check
		status int
		word   string
	}{
		"all well":            {[]Check{{Name: "a", OK: true, Required: true}}, 200, "ready"},
		"an app is down":      {[]Check{{Name: "drain", OK: true, Required: true}, {Name: "app shop", Reason: "refused since 12:00"}}, 200, "ready"},
		"the gateway drains":  {[]Check{{Name: "drain", Required: true, Reason: "going away"}}, 503, "not ready"},
		"nothing is required": {nil, 200, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			base := newServer(t, func(o *Options) { o.Ready = func() []Check { return c.checks } })
			resp, body := do(t, "GET", base+"/readyz", "", nil)
			var got struct {
				Status string
				Checks []Check
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("readyz = %s: %v", body, err)
			}
			if resp.StatusCode != c.status || got.Status != c.word || len(got.Checks) != len(c.checks) {
				t.Errorf("readyz = %d %s, want %d with status %q and %d checks", resp.StatusCode, body, c.status, c.word, len(c.checks))
			}
			for i, check := range c.checks {
				if got.Checks[i] != check {
					t.Errorf("check %d = %+v, want %+v", i, got.Checks[i], check)
				}
			}
		})
	}
}

func TestServer_tellsMetricsStatusAndLife(t *testing.T) {
	base := newServer(t, nil)
	for path, want := range map[string]string{
		"/livez":   `"alive"`,
		"/metrics": "things_total 7",
		"/status":  `"apps": 2`,
	} {
		if resp, body := do(t, "GET", base+path, "", nil); resp.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %s, want 200 with %s", path, resp.StatusCode, body, want)
		}
	}
}

func TestServer_refusesByProblem(t *testing.T) {
	base := newServer(t, nil)
	for name, c := range map[string]struct {
		method, path string
		status       int
		code         inngest.Code
	}{
		"unknown path":     {"GET", "/nothing", 404, inngest.CodeUnknownPath},
		"other case":       {"GET", "/Livez", 404, inngest.CodeUnknownPath},
		"slash at the end": {"GET", "/livez/", 404, inngest.CodeUnknownPath},
		"wrong method":     {"POST", "/readyz", 405, inngest.CodeMethodNotAllowed},
		"pprof is off":     {"GET", "/debug/pprof/", 404, inngest.CodeUnknownPath},
		"unknown control":  {"POST", "/control/explode", 404, inngest.CodeUnknownPath},
		"too large":        {"POST", "/control/x", 413, inngest.CodeBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			if c.status == 413 {
				body = strings.Repeat("x", maxBody+1)
			}
			resp, text := do(t, c.method, base+c.path, body, nil)
			var p inngest.Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatalf("%s %s = %s: %v", c.method, c.path, text, err)
			}
			if resp.StatusCode != c.status || p.Status != c.status || p.Code != c.code || p.Detail == "" ||
				resp.Header.Get(inngest.HeaderGatewayError) != string(c.code) {
				t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, resp.StatusCode, text, c.status, c.code)
			}
		})
	}
}

func TestControl_needsTheTokenOrLoopback(t *testing.T) {
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for name, c := range map[string]struct {
		token  string
		header http.Header
		want   int
	}{
		"loopback without a token set":         {"", nil, 200},
		"a page in a browser on this host":     {"", http.Header{"Origin": {"http://evil.example"}}, 401},
		"a page whose name leads to this host": {"", http.Header{"Host": {"evil.example:8482"}}, 401},
		"this host by name":                    {"", http.Header{"Host": {"localhost:8482"}}, 200},
		"this host by its IPv6 address":        {"", http.Header{"Host": {"[::1]:8482"}}, 200},
		"a proxy on this host":                 {"", http.Header{"X-Forwarded-For": {"10.1.2.3"}}, 401},
		"another proxy on this host":           {"", http.Header{"Forwarded": {"for=10.1.2.3"}}, 401},
		"the right token":                      {"s3cret", bearer("s3cret"), 200},
		"loopback does not replace a token":    {"s3cret", nil, 401},
		"a wrong token":                        {"s3cret", bearer("s3cre"), 401},
		"another scheme":                       {"s3cret", http.Header{"Authorization": {"Basic s3cret"}}, 401},
		"an address in a header":               {"s3cret", http.Header{"X-Forwarded-For": {"127.0.0.1"}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			base := newServer(t, func(o *Options) {
				o.Token, o.Pprof = c.token, true
				o.Control = map[string]func(context.Context, []byte) (any, error){
					"echo": func(_ context.Context, b []byte) (any, error) { return string(b), nil },
				}
			})
			if resp, body := do(t, "POST", base+"/control/echo", "hello", c.header); resp.StatusCode != c.want {
				t.Errorf("control = %d %s, want %d", resp.StatusCode, body, c.want)
			}
			if resp, _ := do(t, "GET", base+"/debug/pprof/cmdline", "", c.header); resp.StatusCode != c.want {
				t.Errorf("pprof = %d, want %d", resp.StatusCode, c.want)
			}
			if resp, _ := do(t, "GET", base+"/readyz", "", nil); resp.StatusCode != 200 {
				t.Errorf("readyz = %d, want 200 for anybody", resp.StatusCode)
			}
		})
	}
}

func TestControl_tellsWhatWasWrong(t *testing.T) {
	base := newServer(t, func(o *Options) {
		o.Control = map[string]func(context.Context, []byte) (any, error){
			"pause": func(context.Context, []byte) (any, error) { return nil, errors.New(`app "shpo" is not known`) },
		}
	})
	resp, body := do(t, "POST", base+"/control/pause", "{}", nil)
	if resp.StatusCode != 400 || !strings.Contains(body, `app \"shpo\" is not known`) {
		t.Errorf("control = %d %s, want 400 with the reason", resp.StatusCode, body)
	}
}

type notThere struct{}

func (notThere) Error() string  { return `no app is called "shpo"` }
func (notThere) NotFound() bool { return true }

func TestControl_tellsWhatIsNotThere(t *testing.T) {
	base := newServer(t, func(o *Options) {
		o.Control = map[string]func(context.Context, []byte) (any, error){
			"pause": func(context.Context, []byte) (any, error) { return nil, fmt.Errorf("pause: %w", notThere{}) },
		}
	})
	resp, body := do(t, "POST", base+"/control/pause", "{}", nil)
	if resp.StatusCode != 404 || !strings.Contains(body, `no app is called \"shpo\"`) {
		t.Errorf("control = %d %s, want 404 with the reason", resp.StatusCode, body)
	}
}
