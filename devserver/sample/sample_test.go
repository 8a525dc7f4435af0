package sample_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/inngest-gateway/inngest-gateway/devserver"
	"github.com/inngest-gateway/inngest-gateway/devserver/sample"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

const key = "signkey-prod-1234567890abcdef1234567890abcdef"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves the app and a server that it registers with.
func start(t *testing.T, o devserver.Options, signingKey string) (*devserver.Server, *sample.App, string) {
	t.Helper()
	o.SigningKey = signingKey
	if signingKey == "" {
		o.ServerKind = "dev"
	}
	s, err := devserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	front := httptest.NewServer(s.Handler())
	back := httptest.NewUnstartedServer(nil)
	app, err := sample.New(sample.Options{
		AppID: "demo", SigningKey: signingKey, BaseURL: front.URL, Origin: "http://" + back.Listener.Addr().String(),
		ServePath: "/api/inngest", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	back.Config.Handler = app.Handler()
	back.Start()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		front.Close()
		back.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return s, app, back.URL + "/api/inngest"
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// ask makes a request of the app, signed if asked for.
func ask(t *testing.T, method, url, body string, signed bool, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	k, err := signature.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if signed {
		req.Header.Set(inngest.HeaderSignature, signature.Sign(k, []byte(body), time.Now()))
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if sig := resp.Header.Get(inngest.HeaderSignature); sig != "" {
		v, err := signature.NewVerifier(signature.Options{Keys: []signature.Key{k}, Tolerance: time.Minute, MaxCanonical: -1, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify([]byte(sig), text); err != nil {
			t.Errorf("signature of the answer: %v", err)
		}
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestApp_answersStrangersWithNothing(t *testing.T) {
	_, _, url := start(t, devserver.Options{}, key)
	for name, c := range map[string]struct {
		method, query string
		header        []string
	}{
		"a call":           {"POST", "?fnId=demo-hello&stepId=step", nil},
		"a forged call":    {"POST", "?fnId=demo-hello&stepId=step", []string{inngest.HeaderSignature, "t=1&s=" + strings.Repeat("0", 64)}},
		"a probe":          {"POST", "?probe=trust", nil},
		"an introspection": {"GET", "", nil},
		"an in-band sync":  {"PUT", "", []string{inngest.HeaderSyncKind, inngest.SyncInBand}},
		"a forged PUT":     {"PUT", "", []string{inngest.HeaderSignature, "t=1&s=" + strings.Repeat("0", 64)}},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, body := ask(t, c.method, url+c.query, "{}", false, c.header...)
			if status != 401 || body != `{"message":"Unauthorized"}` || h.Get(inngest.HeaderSDKHandled) != "true" || h.Get(inngest.HeaderSDK) != "" {
				t.Errorf("answer = %d %v %s", status, h, body)
			}
		})
	}
}

func TestApp_answersProbes(t *testing.T) {
	_, _, url := start(t, devserver.Options{}, key)
	if status, h, body := ask(t, "POST", url+"?probe=trust", "{}", true); status != 200 || body != "" || h.Get(inngest.HeaderSignature) == "" {
		t.Errorf("trust probe = %d %q", status, body)
	}
	if status, _, body := ask(t, "POST", url+"?probe=other", "{}", true); status != 400 || !strings.Contains(body, "unknown probe") {
		t.Errorf("unknown probe = %d %q", status, body)
	}
	if status, h, body := ask(t, "POST", url+"?fnId=none", "{}", true); status != 500 || h.Get(inngest.HeaderNoRetry) != "false" {
		t.Errorf("unknown function = %d %q", status, body)
	}
	if status, _, body := ask(t, "POST", url+"?fnId=demo-hello&stepId=none", `{"ctx":{}}`, true); status != 500 || !strings.Contains(body, "no such step") {
		t.Errorf("unknown step = %d %q", status, body)
	}
	if status, _, _ := ask(t, "POST", url+"?fnId=demo-hello&stepId=step", `[`, true); status != 500 {
		t.Errorf("a call that is no JSON = %d", status)
	}
}

func TestApp_syncs(t *testing.T) {
	for name, c := range map[string]struct {
		dialect devserver.Dialect
		sync    func(t *testing.T, s *devserver.Server, app *sample.App, url string) error
		kind    string
	}{
		"by itself": {devserver.Register, func(t *testing.T, _ *devserver.Server, app *sample.App, _ string) error { return app.Sync(soon(t)) }, "register"},
		"at a signed PUT": {devserver.Register, func(t *testing.T, s *devserver.Server, _ *sample.App, url string) error {
			return s.Sync(soon(t), url, true)
		}, "register"},
		"at a stranger's PUT": {devserver.Register, func(t *testing.T, s *devserver.Server, _ *sample.App, url string) error {
			return s.AddApp(soon(t), url)
		}, "register"},
		"in band": {devserver.InBandOnly, func(t *testing.T, s *devserver.Server, _ *sample.App, url string) error {
			return s.Sync(soon(t), url, true)
		}, "in_band"},
	} {
		t.Run(name, func(t *testing.T) {
			s, app, url := start(t, devserver.Options{Dialect: c.dialect}, key)
			if err := c.sync(t, s, app, url); err != nil {
				t.Fatal(err)
			}
			apps := s.Apps()
			if len(apps) != 1 || apps[0].Name != "demo" || len(apps[0].Functions) != 3 || apps[0].SyncKind != c.kind {
				t.Errorf("apps = %+v", apps)
			}
		})
	}
}

func TestApp_refusesOtherInBandBodies(t *testing.T) {
	_, _, url := start(t, devserver.Options{}, key)
	for _, body := range []string{`{}`, `{"url":"http://a/","x":1}`, `{"url":"a"}`, `[`} {
		status, _, answer := ask(t, "PUT", url, body, true, inngest.HeaderSyncKind, inngest.SyncInBand)
		if status != 400 || !strings.Contains(answer, "invalid_request") {
			t.Errorf("PUT %s = %d %s", body, status, answer)
		}
	}
}

func TestApp_saysThatItsRegistrationFailed(t *testing.T) {
	_, app, url := start(t, devserver.Options{Dialect: devserver.InBandOnly}, key) // refuses /fn/register
	if err := app.Sync(soon(t)); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("Sync = %v", err)
	}
	if status, _, body := ask(t, "PUT", url, "{}", true); status != 500 || !strings.Contains(body, "Failed to register") {
		t.Errorf("PUT = %d %s", status, body)
	}
}

func TestApp_readsLargeStateFromTheAPI(t *testing.T) {
	for name, signingKey := range map[string]string{"signed": key, "without a key": ""} {
		t.Run(name, func(t *testing.T) {
			clock := devserver.NewClock()
			s, app, _ := start(t, devserver.Options{Clock: clock, StateLimit: 1024}, signingKey) // every call is too large
			if err := app.Sync(soon(t)); err != nil {
				t.Fatal(err)
			}
			id, err := s.SendEvent(soon(t), "demo/hello", map[string]string{"name": "Ada"})
			if err != nil {
				t.Fatal(err)
			}
			err = s.WaitFor(soon(t), func(_ []devserver.App, runs []devserver.Run) bool {
				return len(runs) == 1 && len(runs[0].Calls) == 2 // the second is the sleep
			})
			if err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Second)
			runs, err := s.WaitRunsOf(soon(t), id)
			if err != nil || string(runs[0].Output) != `{"said":"Hello, Ada!"}` {
				t.Errorf("runs = %+v, %v", runs, err)
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	good := sample.Options{AppID: "a", BaseURL: "http://a", Origin: "http://b", ServePath: "/p", Log: slog.New(slog.DiscardHandler)}
	for name, change := range map[string]func(*sample.Options){
		"no app id":     func(o *sample.Options) { o.AppID = "" },
		"no base url":   func(o *sample.Options) { o.BaseURL = "" },
		"no origin":     func(o *sample.Options) { o.Origin = "b" },
		"a serve path":  func(o *sample.Options) { o.ServePath = "p" },
		"no log":        func(o *sample.Options) { o.Log = nil },
		"a key, no hex": func(o *sample.Options) { o.SigningKey = "signkey-prod-x" },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := sample.New(o); err == nil {
				t.Error("New gave no error")
			}
		})
	}
}
