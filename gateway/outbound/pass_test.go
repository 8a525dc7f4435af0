package outbound

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// Everything that apps asked of the recorded server comes back as recorded,
// and arrives there as it was sent. Events and registrations do not pass: they
// are compared by packages events and gateway/apps.
func TestServer_passesRecordedExchanges(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Passthrough))
	for _, x := range recorded.Load(t) {
		if x.Direction != recorded.ToInngest || x.Request.Target == "/fn/register" || strings.HasPrefix(x.Request.Target, "/e/") || x.Response.Status == http.StatusSwitchingProtocols {
			continue
		}
		t.Run(x.Name, func(t *testing.T) {
			d.reply(func(w http.ResponseWriter, _ *http.Request) {
				for _, h := range x.Response.Headers {
					w.Header().Add(h.Name, h.Value)
				}
				w.WriteHeader(x.Response.Status)
				w.Write(x.Response.Body)
			})
			var fields []string
			for _, h := range x.Request.Headers {
				switch strings.ToLower(h.Name) {
				case "host", "content-length", "connection", "transfer-encoding":
				default:
					fields = append(fields, h.Name+": "+h.Value)
				}
			}
			res, body := l.do(t, x.Request.Method, x.Request.Target, string(x.Request.Body), fields...)
			if res.StatusCode != x.Response.Status || body != string(x.Response.Body) {
				t.Errorf("answer = %d %q, want %d %q", res.StatusCode, body, x.Response.Status, x.Response.Body)
			}
			want := http.Header{}
			for _, h := range x.Response.Headers {
				want.Add(h.Name, h.Value)
			}
			for _, h := range []http.Header{want, res.Header} {
				h.Del("Date") // the gateway's own
				h.Del("Content-Length")
			}
			if diff := cmp.Diff(want, res.Header); diff != "" {
				t.Errorf("fields of the answer (-want +got):\n%s", diff)
			}
			got := d.got()[0]
			if got.Method != x.Request.Method || got.Target != x.Request.Target || got.Body != string(x.Request.Body) {
				t.Errorf("inngest got %s %s %q", got.Method, got.Target, got.Body)
			}
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				if got.Header.Get(name) != value {
					t.Errorf("inngest got %s: %q, want %q", name, got.Header.Get(name), value)
				}
			}
		})
	}
}

func TestServer_passesTargetsByteForByte(t *testing.T) {
	d := newInngest(t, nil)
	o := options(t, d.url+"/base/", apps.Passthrough)
	l := serve(t, o)
	for _, target := range []string{
		"/v1/events?after=a%20b&x=%zz",
		"/v2/sessions/k%2Fey/a%2fb/runs",
		"/v1/apps/a'b(c)!/functions",
		"/v1/apps/caf%C3%A9;x=1/functions?",
		"/dev",
		"/",
	} {
		l.do(t, "GET", target, "")
		if got, want := d.one(t).Target, "/base"+strings.TrimSuffix(target, "?"); got != want {
			t.Errorf("target = %q, want %q", got, want)
		}
	}
}

func TestServer_dropsWhatOnlyItMaySay(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Hop, Content-Type, X-Inngest-Server-Kind")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=5")
		h.Set("Proxy-Authenticate", "Basic")
		h.Set("X-Gateway-Error", "unauthorized")
		h.Set("X-Inngest-Server-Kind", "cloud")
		h.Set("Content-Type", "application/json")
		h.Set("Content-Encoding", "odd")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		io.WriteString(w, "{}")
	})
	o := options(t, d.url, apps.Passthrough)
	o.Environments[0].Branch = "feature"
	l := serve(t, o)
	res, _ := l.do(t, "POST", "/v1/signals", "{}",
		"Authorization: Bearer "+token(t, realKey), "Connection: X-Hop, X-Inngest-Sdk", "X-Hop: 1", "X-Inngest-Sdk: js:v4",
		"Keep-Alive: 1", "Te: trailers", "Upgrade: h2c", "Http2-Settings: x", "Proxy-Authorization: x", "Proxy: x", "Expect: nothing",
		"X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "X_Forwarded_For: 1.2.3.4", "Forwarded: for=1", "X-Real-Ip: 1", "X-Original-Url: /x",
		"X-Http-Method-Override: DELETE", "X-Gateway-Error: x", "X-Inngest-Server-Kind: dev", "X-Own: kept", "Accept-Encoding: br", "Accept: */*", "User-Agent: app")
	got := d.one(t)
	if diff := cmp.Diff(http.Header{
		"Authorization": {"Bearer " + token(t, realKey)}, "X-Inngest-Sdk": {"js:v4"}, "X-Own": {"kept"}, "X-Inngest-Env": {"feature"},
		"Accept-Encoding": {"br"}, "Accept": {"*/*"}, "User-Agent": {"app"}, "Content-Length": {"2"},
	}, got.Header); diff != "" {
		t.Errorf("fields at inngest (-want +got):\n%s", diff)
	}
	if want := strings.TrimPrefix(d.url, "http://"); got.Host != want {
		t.Errorf("Host = %s, want %s", got.Host, want)
	}
	res.Header.Del("Date")
	if diff := cmp.Diff(http.Header{
		"X-Inngest-Server-Kind": {"cloud"}, "Content-Type": {"application/json"}, "Content-Encoding": {"odd"},
		"Set-Cookie": {"a=1", "b=2"}, "Content-Length": {"2"},
	}, res.Header); diff != "" {
		t.Errorf("fields of the answer (-want +got):\n%s", diff)
	}
}

func TestServer_addsNoFieldsOfItsOwn(t *testing.T) {
	d := newInngest(t, nil)
	l := serve(t, options(t, d.url, apps.Passthrough))
	l.do(t, "GET", "/v1/events", "", "User-Agent: ", "Accept-Encoding: identity")
	if diff := cmp.Diff(http.Header{"Accept-Encoding": {"identity"}}, d.one(t).Header); diff != "" {
		t.Errorf("fields at inngest (-want +got):\n%s", diff)
	}
}

func TestServer_answersHeadAndBodylessStatuses(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "HEAD" {
			w.Header().Set("Content-Length", "77")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	l := serve(t, options(t, d.url, apps.Passthrough))
	if res, _ := l.do(t, "HEAD", "/dev", ""); res.StatusCode != 200 || res.ContentLength != 77 {
		t.Errorf("HEAD = %d with length %d, want 200 with 77", res.StatusCode, res.ContentLength)
	}
	if res, body := l.do(t, "DELETE", "/v1/cancellations/1", ""); res.StatusCode != 204 || body != "" {
		t.Errorf("DELETE = %d %q, want 204", res.StatusCode, body)
	}
}

func TestServer_doesNotFollowRedirects(t *testing.T) {
	d := newInngest(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	l := serve(t, options(t, d.url, apps.Passthrough))
	res, _ := l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer "+token(t, realKey))
	if res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != "/elsewhere" || len(d.got()) != 1 {
		t.Errorf("answer = %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestServer_saysThatInngestCannotBeReached(t *testing.T) {
	d := newInngest(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, c := range map[string]struct {
		inngest, target string
		status          int
	}{
		"refused": {"http://127.0.0.1:1", "/v1/signals", 503},
		"reset":   {d.url, "/v1/signals", 502},
	} {
		t.Run(name, func(t *testing.T) {
			d.got()
			l := serve(t, options(t, c.inngest, apps.Resign))
			res, body := l.do(t, "POST", c.target, "{}", "Authorization: Bearer "+token(t, localKey))
			if res.StatusCode != c.status || res.Header.Get(inngest.HeaderGatewayError) != string(inngest.CodeInngestUnavailable) {
				t.Errorf("answer = %d %v, want %d inngest_unavailable", res.StatusCode, res.Header, c.status)
			}
			if len(d.got()) > 1 {
				t.Error("the request was sent again")
			}
			checkRefusal(t, res, body, false)
		})
	}
}

// checkRefusal checks the shape of an answer that the gateway made itself.
func checkRefusal(tb testing.TB, res *http.Response, body string, event bool) {
	tb.Helper()
	if event {
		var e struct {
			Error  string
			Status int
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error == "" || e.Status != res.StatusCode {
			tb.Errorf("body = %s, want the shape of the event API", body)
		}
		if ct := res.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" && res.StatusCode != 401 {
			tb.Errorf("content type = %s", ct)
		}
		return
	}
	if !strings.HasPrefix(body, `{"detail":"`) || res.Header.Get("Content-Type") != inngest.ContentTypeProblem {
		tb.Errorf("body = %s (%s), want a problem", body, res.Header.Get("Content-Type"))
	}
	if code := res.Header.Get(inngest.HeaderGatewayError); !strings.Contains(body, `"code":"`+code+`"`) {
		tb.Errorf("body = %s, want the code %s", body, code)
	}
}

func TestServer_logsNeitherQueryNorSecrets(t *testing.T) {
	l := serve(t, options(t, "http://127.0.0.1:1", apps.Resign))
	l.do(t, "GET", "/v1/http/runs/01M8/output?token=SECRET-IN-QUERY", "")
	l.do(t, "POST", "/v1/signals", "SECRET-IN-BODY", "Authorization: Bearer "+token(t, localKey))
	l.do(t, "POST", "/v1/signals", "{}", "Authorization: Bearer SECRET-TOKEN")
	l.do(t, "POST", "/e/SECRET-EVENT-KEY", "{}")
	l.do(t, "GET", "/gateway/connect/SECRET-TICKET", "")
	log := l.log.String()
	for _, secret := range []string{"SECRET", token(t, localKey), token(t, realKey), strings.TrimPrefix(realKey, "signkey-prod-")} {
		if strings.Contains(log, secret) {
			t.Errorf("the log shows %s:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "path=/v1/http/runs/01M8/output ") {
		t.Errorf("the log does not name the path:\n%s", log)
	}
}
