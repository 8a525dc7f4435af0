package pool

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// says returns a fault that answers with that status and these header lines.
func says(status, lines string) func(*faultyapp.Exchange) bool {
	return func(x *faultyapp.Exchange) bool {
		return x.Send("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n" + lines + "\r\n")
	}
}

func three(o *Options) { o.Breaker.ConsecutiveFailures = 3 }

func TestDo_takesOutEndpointsThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(*faultyapp.Exchange) bool
		out   bool
	}{
		"a proxy's 502":        {says("502 Bad Gateway", ""), true},
		"a framework's 404":    {says("404 Not Found", ""), true},
		"an SDK's 500":         {says("500 Internal Server Error", "X-Inngest-Sdk: go:v0.16\r\n"), false},
		"an SDK's 401":         {says("401 Unauthorized", "x-inngest-sdk-handled: 1\r\n"), false},
		"a 200 of nobody":      {says("200 OK", ""), false},
		"a redirect of nobody": {says("302 Found", "Location: /x\r\n"), false},
		"resets":               {faultyapp.Named("resets without a word").Serve, true},
		"silence":              {faultyapp.Named("never answers").Serve, true},
		"garbage":              {faultyapp.Named("no head at all").Serve, true},
		"an endless head":      {faultyapp.Named("a flood of header lines").Serve, false},
		"a stream that breaks": {func(x *faultyapp.Exchange) bool {
			x.Send("HTTP/1.1 201 Created\r\nX-Inngest-Sdk: js\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
			x.Pause(time.Second)
			return false
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.serve, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
				for range 3 {
					if !u.Usable() {
						t.Fatal("taken out too early")
					}
					if a, err := u.Do(t.Context(), post("x")); err == nil {
						drain(a)
						a.Release()
					}
				}
				if u.Usable() == c.out {
					t.Errorf("usable %v after three of them", u.Usable())
				}
			}, three, func(o *Options) { o.Breaker.OpenFor = time.Hour })
		})
	}
}

// Errors of a backend without an SDK are answers to one call, not signs of a
// sick endpoint: what fails for one run must not stop all others.
func TestDo_keepsPlainBackendsThatAnswer(t *testing.T) {
	for status, out := range map[string]bool{
		"404 Not Found": false, "500 Internal Server Error": false, "429 Too Many Requests": false,
		"502 Bad Gateway": true, "503 Service Unavailable": true, "504 Gateway Timeout": true,
	} {
		t.Run(status, func(t *testing.T) {
			bubble(t, says(status, ""), func(t *testing.T, u *Upstream, _ *faultyapp.App) {
				for range 3 {
					cl := post("x")
					cl.Plain = true
					a, err := u.Do(t.Context(), cl)
					if err != nil {
						t.Fatal(err)
					}
					a.Release()
				}
				if u.Usable() == out {
					t.Errorf("usable %v after three of them", u.Usable())
				}
			}, three, func(o *Options) { o.Breaker.OpenFor = time.Hour })
		})
	}
}

func TestDo_takesOutEndpointsThatRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		var log bytes.Buffer
		o := options(t, "http://app:80").inMemory(&network)
		o.Breaker.ConsecutiveFailures = 3
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		u := run(t, o)
		for range 3 {
			_, err := u.Do(t.Context(), post("x"))
			wantError(t, err, inngest.CodeUpstreamRefused)
		}
		opened := time.Now()
		time.Sleep(7 * time.Second) // probes fail meanwhile
		_, err := u.Do(t.Context(), post("x"))
		e := wantError(t, err, inngest.CodeUpstreamOpen)
		if e.Sent || !e.Since.Equal(opened) || e.Endpoint != "http://app:80" {
			t.Errorf("since %v (want %v), endpoint %q, sent %v", e.Since, opened, e.Endpoint, e.Sent)
		}
		s := u.Status()[0]
		if s.State == breaker.Closed || !s.DownSince.Equal(opened) || s.LastError == nil || u.Usable() {
			t.Errorf("status %+v", s)
		}

		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("app:80")})
		app.Make(faultyapp.Fault{Serve: says("401 Unauthorized", "X-Inngest-Sdk-Handled: 1\r\n")})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !u.Usable() || !u.Status()[0].DownSince.IsZero() {
			t.Errorf("not back after a good probe: %+v", u.Status()[0])
		}
		mustDo(t, u, post("x"))
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("%d log lines, want one for each way:\n%s", lines, log.String())
		}
		app.Stop()
	})
}

func TestProbe_knowsAHealthyApp(t *testing.T) {
	for name, c := range map[string]struct {
		kind  ProbeKind
		serve func(*faultyapp.Exchange) bool
		good  bool
	}{
		"sdk: introspection":      {ProbeSDK, says("200 OK", "X-Inngest-Sdk: js:v4\r\n"), true},
		"sdk: refused unsigned":   {ProbeSDK, says("401 Unauthorized", "X-Inngest-Sdk-Handled: true\r\n"), true},
		"sdk: its own error":      {ProbeSDK, says("500 Oops", "X-Inngest-Sdk: js:v4\r\n"), true},
		"sdk: another server":     {ProbeSDK, says("200 OK", ""), false},
		"sdk: a proxy's 503":      {ProbeSDK, says("503 No", ""), false},
		"sdk: garbage":            {ProbeSDK, faultyapp.Named("no head at all").Serve, false},
		"sdk: silence":            {ProbeSDK, faultyapp.Named("never answers").Serve, false},
		"http: fine":              {ProbeHTTP, says("204 No Content", ""), true},
		"http: a redirect":        {ProbeHTTP, says("302 Found", "Location: /\r\n"), true},
		"http: not found":         {ProbeHTTP, says("404 Not Found", ""), false},
		"http: failing":           {ProbeHTTP, says("503 No", ""), false},
		"tcp: even if it is mute": {ProbeTCP, faultyapp.Named("never answers").Serve, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(x *faultyapp.Exchange) bool {
				if x.Request.Method == "POST" {
					return false
				}
				if x.Request.Method != "GET" || x.Request.URL.Path != "/api/inngest" || x.Request.Header.Get("X-Inngest-Signature") != "" || !x.Request.Close {
					t.Errorf("probe %s %s %v", x.Request.Method, x.Request.URL, x.Request.Header)
				}
				return c.serve(x)
			}, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
				_, err := u.Do(t.Context(), post("x"))
				wantError(t, err, inngest.CodeUpstreamReset)
				if u.Usable() {
					t.Fatal("still in use")
				}
				time.Sleep(u.opt.Breaker.OpenFor + u.opt.Breaker.ProbeTimeout + time.Millisecond)
				synctest.Wait()
				if u.Usable() != c.good {
					t.Errorf("usable %v after the probe", u.Usable())
				}
			}, func(o *Options) { o.Breaker.ConsecutiveFailures, o.Probe = 1, c.kind })
		})
	}
}

func TestHealthChecks_takeOutAnEndpointWithoutCalls(t *testing.T) {
	bubble(t, nil, func(t *testing.T, u *Upstream, app *faultyapp.App) {
		app.Make(faultyapp.Fault{Serve: says("503 No", "")})
		time.Sleep(29 * time.Second)
		if !u.Usable() {
			t.Error("taken out after fewer than three bad checks")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if u.Usable() {
			t.Error("in use after three bad checks")
		}
		app.Make(faultyapp.Fault{Serve: says("200 OK", "X-Inngest-Sdk: js:v4\r\n")})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !u.Usable() {
			t.Error("not back after a good probe")
		}
	}, three, func(o *Options) { o.HealthInterval = 10 * time.Second })
}

// The app path answers, its calls fail: good checks must not hide that.
func TestHealthChecks_endNoSequenceOfFailedCalls(t *testing.T) {
	bubble(t, func(x *faultyapp.Exchange) bool {
		if x.Request.Method == "GET" {
			return says("200 OK", "X-Inngest-Sdk: js:v4\r\n")(x)
		}
		return false
	}, func(t *testing.T, u *Upstream, _ *faultyapp.App) {
		for range 3 {
			_, err := u.Do(t.Context(), post("x"))
			wantError(t, err, inngest.CodeUpstreamReset)
			time.Sleep(2 * time.Second)
		}
		if s := u.Status()[0]; s.DownSince.IsZero() {
			t.Error("three calls in a row failed and the endpoint is in use")
		}
	}, three, func(o *Options) { o.HealthInterval, o.Breaker.OpenFor = time.Second, time.Hour })
}
