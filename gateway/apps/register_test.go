package apps

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// registrationOf returns a recorded registration as the apps listener hands it over.
func registrationOf(t testing.TB, number int) Registration {
	t.Helper()
	x := recording(t, number)
	r := Registration{Header: http.Header{}, Body: x.Request.Body}
	for _, h := range x.Request.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	_, r.Query, _ = strings.Cut(x.Request.Target, "?")
	return r
}

func (w *world) register(t testing.TB, r Registration) Result {
	t.Helper()
	got, err := w.Register(t.Context(), r)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return got
}

func TestRegister_leadsTheServerToTheGateway(t *testing.T) {
	for _, number := range []int{1, 25, 31, 37, 39} {
		w := newWorld(t, js, nil)
		reg := registrationOf(t, number)
		got := w.register(t, reg)
		if got.Status != 200 || string(got.Body) != `{"ok":true,"modified":true,"sync_id":"x"}` {
			t.Errorf("%d: answer %d %s, want the server's", number, got.Status, got.Body)
		}
		post := w.server.got()[0]
		want, err := rewriteURLs(reg.Body, mustURL(t, shopURL))
		if err != nil || string(post.Body) != string(want) {
			t.Errorf("%d: posted %.300s, want the body with other URLs and nothing else changed (%v)", number, post.Body, err)
		}
	}
}

func TestRegister_carriesTheProtocolsFieldsAndNoOthers(t *testing.T) {
	w := newWorld(t, js, nil)
	reg := registrationOf(t, 31)
	reg.Query = "deployId=7"
	reg.Header.Set(inngest.HeaderSignature, "t=1&s=x")
	got := w.register(t, reg)
	post := w.server.got()[0]
	want := http.Header{
		"Content-Type":                   {"application/json"},
		"User-Agent":                     {"inngest-js:v4.24.0"},
		"X-Inngest-Sdk":                  {"inngest-js:v4.24.0"},
		"X-Inngest-Sdk-Handled":          {"true"},
		"X-Inngest-Framework":            {"express"},
		"X-Inngest-Expected-Server-Kind": {"cloud"},
		"X-Inngest-Sync-Kind":            {"out_of_band"},
	}
	if diff := cmp.Diff(want, post.Header); diff != "" || post.Query != "deployId=7" {
		t.Errorf("query %q, fields: %s", post.Query, diff)
	}
	want = http.Header{"Content-Type": {"text/plain"}, "X-Inngest-Server-Kind": {"cloud"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("fields of the answer: %s", diff)
	}
}

func TestRegister_refuses(t *testing.T) {
	two := func(o *Options, a *App) {
		other := *a
		other.ID, other.Path = "billing", "/api/billing"
		o.Apps = []App{other}
	}
	dev := registrationOf(t, 31)
	dev.Header.Set(inngest.HeaderExpectedServerKind, "dev")
	foreign := registrationOf(t, 31)
	foreign.From = "billing"
	for name, c := range map[string]struct {
		change func(*Options, *App)
		reg    Registration
		status int
		code   inngest.Code
		says   string
	}{
		"an unknown app":       {two, registrationOf(t, 37), 400, inngest.CodeUnknownApp, "billing, js-app"},
		"the token of another": {two, foreign, 400, inngest.CodeUnknownApp, `"js-app"`},
		"a dev server":         {nil, dev, 400, inngest.CodeServerKindRefused, "dev server"},
		"no JSON":              {nil, Registration{Body: []byte("{")}, 400, inngest.CodeMalformedRegister, "no JSON"},
		"no object":            {nil, Registration{Body: []byte("[]")}, 400, inngest.CodeMalformedRegister, "cannot be read"},
		"no name":              {nil, Registration{Body: []byte(`{"url":"http://a"}`)}, 400, inngest.CodeMalformedRegister, "appName"},
		"no public URL":        {func(o *Options, _ *App) { o.PublicURL = "" }, registrationOf(t, 31), 503, inngest.CodePublicURLUnknown, "public_url"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, js, c.change)
			got := w.register(t, c.reg)
			wantRefused(t, got, c.status, c.code, c.says)
			if n := len(w.server.got()); n != 0 {
				t.Errorf("%d registrations were sent on", n)
			}
		})
	}
}

// wantRefused fails the test unless every SDK sees that it was refused.
func wantRefused(t *testing.T, got Result, status int, code inngest.Code, says string) {
	t.Helper()
	if !strings.HasPrefix(string(got.Body), `{"detail":`) || got.Status != status || got.Code != code {
		t.Errorf("answer %d %s %s, want %d %s", got.Status, got.Code, got.Body, status, code)
	}
	var read struct { // as JS, Go and Python do
		Status int
		Error  string
	}
	if err := json.Unmarshal(got.Body, &read); err != nil || read.Status != status || !strings.Contains(read.Error, says) {
		t.Errorf("an SDK reads %+v (%v), want status %d and %q", read, err, status, says)
	}
	if got.Header.Get(inngest.HeaderGatewayError) != string(code) {
		t.Errorf("fields %v", got.Header)
	}
}

func TestRegister_takesPythonsSpelling(t *testing.T) {
	w := newWorld(t, js, func(o *Options, a *App) {
		other := *a
		other.ID, other.Path = "billing", "/api/billing"
		o.Apps = []App{other}
	})
	got := w.register(t, Registration{Body: []byte(`{"appname":"billing","url":"http://a","functions":[]}`)})
	if got.Status != 200 || string(w.server.got()[0].Body) != `{"appname":"billing","url":"https://gw.example.com/api/billing","functions":[]}` {
		t.Errorf("answer %d %s", got.Status, got.Body)
	}
}

func TestRegister_whereOneAppIsTheNameMayBeAnother(t *testing.T) {
	w := newWorld(t, golang, func(_ *Options, a *App) { a.ID = "the-one" })
	if got := w.register(t, registrationOf(t, 37)); got.Status != 200 {
		t.Errorf("answer %d %s", got.Status, got.Body)
	}
	if s := w.Status()[0]; s.App != "the-one" || s.Functions != 3 || s.InBand {
		t.Errorf("status %+v", s)
	}
}

func TestRegister_isKeptForAServerThatTakesNone(t *testing.T) {
	for name, dialect := range map[string]Dialect{"found out": DialectAuto, "configured": DialectInBand} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, jsOld, func(o *Options, _ *App) { o.Dialect = dialect })
			w.server.status = 404
			for _, want := range []string{`{"ok":true,"modified":true}`, `{"ok":true,"modified":false}`} {
				if got := w.register(t, registrationOf(t, 31)); got.Status != 200 || string(got.Body) != want {
					t.Errorf("answer %d %s, want %s", got.Status, got.Body, want)
				}
			}
			w.app.set(func(d *appDouble) { // it need not register again
				d.sdk = func(d *appDouble, c *call.Call) (int, string, bool, string) {
					if c.Method == "GET" {
						return 200, `{"schema_version":"2024-05-24"}`, true, ""
					}
					return 200, `{"message":"Successfully registered","modified":false}`, true, inngest.SyncOutOfBand
				}
			})
			p := signedPut()
			p.SyncKind = inngest.SyncInBand
			a := w.put(t, p)
			wantInBand(t, a)
			if sdk := string(a.Get(inngest.HeaderSDK)); sdk != "inngest-js:v4.24.0" || !strings.Contains(string(a.Body), `"inspection":{"schema_version":"2024-05-24"}`) {
				t.Errorf("the app is %q: %.300s", sdk, a.Body)
			}
		})
	}
}

func TestRegister_passesOnWhatTheServerRefuses(t *testing.T) {
	w := newWorld(t, js, nil)
	w.server.status = 400
	if got := w.register(t, registrationOf(t, 31)); got.Status != 400 || got.Code != "" || string(got.Body) != `{"error":"no such thing","status":400}` {
		t.Errorf("answer %d %s %s", got.Status, got.Code, got.Body)
	}
	if s := w.Status()[0]; s.Functions != 0 || s.Pending {
		t.Errorf("status %+v", s)
	}
}

func TestRegister_saysThatInngestIsAway(t *testing.T) {
	w := newWorld(t, js, nil)
	w.server.down = errors.New("dial tcp 10.0.0.9:8288: refused")
	got := w.register(t, registrationOf(t, 31))
	wantRefused(t, got, 503, inngest.CodeInngestUnavailable, "Inngest server cannot be reached")
	if strings.Contains(string(got.Body), "10.0.0.9") {
		t.Errorf("the answer tells an address: %s", got.Body)
	}
	if s := w.Status()[0]; !s.Pending || s.Failure == "" {
		t.Errorf("status %+v", s)
	}
}

func TestRegister_theNewerOfTwoWins(t *testing.T) {
	w := newWorld(t, js, nil)
	w.register(t, registrationOf(t, 31))
	// A question asked before that, whose answer comes now.
	m, err := newManifest("js-app", registrationOf(t, 1).Body, http.Header{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.tell(t.Context(), w.byID["js-app"], telling{manifest: m, number: 0})
	if err != nil || !v.ok() || len(w.server.got()) != 1 {
		t.Errorf("tell = %+v, %v after %d posts: an older manifest went over a newer one", v, err, len(w.server.got()))
	}
}

func TestRegister_endsWithItsCaller(t *testing.T) {
	w := newWorld(t, js, nil)
	w.server.block = make(chan struct{})
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the app hung up")
	cancel(gone)
	if _, err := w.Register(ctx, registrationOf(t, 31)); !errors.Is(err, gone) {
		t.Errorf("Register = %v, want %v", err, gone)
	}
}
