package apps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

type sdk = func(*appDouble, *call.Call) (int, string, bool, string)

// sdks are the apps that there are, with the app id and the functions of each.
func sdks() map[string]sdk { return map[string]sdk{"JS": js, "an old JS": jsOld, "Go": golang} }

func modes() []Mode { return []Mode{Passthrough, Resign, Strip} }

// wantRegistered fails the test unless a body registers the functions that the
// SDK has, under the gateway's URL.
func wantRegistered(t *testing.T, body []byte) {
	t.Helper()
	var got inngest.RegisterRequest
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	want := map[string]int{"js-app": 31, "go-app": 37}[got.AppName]
	if want == 0 {
		t.Fatalf("appName %q", got.AppName)
	}
	wantFunctions(t, got.Functions, want)
	if got.URL != shopURL || got.DeployType != "ping" || !strings.Contains(got.SDK, ":v") || len(got.Capabilities) == 0 {
		t.Errorf("registered %s, %s, %s, %s", got.URL, got.DeployType, got.SDK, got.Capabilities)
	}
}

func wantFunctions(t *testing.T, got []json.RawMessage, number int) {
	t.Helper()
	body, err := rewriteURLs(recording(t, number).Request.Body, mustURL(t, shopURL))
	if err != nil {
		t.Fatal(err)
	}
	var want inngest.RegisterRequest
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatal(err)
	}
	if !inngest.SameFunctions(got, want.Functions) {
		t.Errorf("%d functions that are not the %d of recording %d with the gateway's URLs", len(got), len(want.Functions), number)
	}
}

// wantInBand fails the test unless an answer tells the functions in band,
// signed with the real key.
func wantInBand(t *testing.T, a *call.Answer) {
	t.Helper()
	var got inngest.InBandAnswer
	if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != 200 {
		t.Fatalf("answer %d %s: %v", a.Status, a.Body, err)
	}
	wantFunctions(t, got.Functions, map[string]int{"js-app": 31, "go-app": 37}[got.AppID])
	if got.URL != shopURL || got.SDKAuthor != "inngest" || len(got.Inspection) == 0 {
		t.Errorf("answered %.200s", a.Body)
	}
	if kind := string(a.Get(inngest.HeaderSyncKind)); kind != inngest.SyncInBand || !a.Has(inngest.HeaderSDK) || a.Has("ETag") && a.Status == 0 {
		t.Errorf("sync kind %q, SDK %q", kind, a.Get(inngest.HeaderSDK))
	}
	wantSigned(t, a)
}

func wantSigned(t *testing.T, a *call.Answer) {
	t.Helper()
	body := bytes.TrimRight(a.Body, "\n")
	if by := signedBy(t, a.Get(inngest.HeaderSignature), body, time.Now()); by != "real" {
		t.Errorf("the answer %.80s is signed by %s, want the real key", a.Body, by)
	}
}

func TestPut_registersWithAServerThatExpectsIt(t *testing.T) {
	for name, sdk := range sdks() {
		for _, mode := range modes() {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				w := newWorld(t, sdk, func(_ *Options, a *App) { a.Mode = mode })
				a := w.put(t, signedPut())
				var got inngest.SyncResult
				if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != 200 || got != (inngest.SyncResult{Message: "Successfully registered", Modified: true}) {
					t.Errorf("answer %d %s", a.Status, a.Body)
				}
				if kind := string(a.Get(inngest.HeaderSyncKind)); kind != inngest.SyncOutOfBand || !a.Has(inngest.HeaderSDK) {
					t.Errorf("sync kind %q, SDK %q", kind, a.Get(inngest.HeaderSDK))
				}
				wantSigned(t, a)
				posts := w.server.got()
				if len(posts) != 1 {
					t.Fatalf("%d registrations, want one", len(posts))
				}
				wantRegistered(t, posts[0].Body)
			})
		}
	}
}

func TestPut_unsignedLeadsToARegistrationToo(t *testing.T) {
	for name, sdk := range sdks() {
		for _, mode := range modes() {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, sdk, func(_ *Options, a *App) { a.Mode = mode })
					w.run(t)
					a := w.put(t, Put{Body: []byte(`{"url":"http://evil.example.com/api/shop"}`), ServerKind: "cloud"})
					wantHandled(t, a)
					posts := w.server.got()
					if len(posts) != 1 {
						t.Fatalf("%d registrations, want one", len(posts))
					}
					wantRegistered(t, posts[0].Body)
				})
			})
		}
	}
}

// wantHandled fails the test if an answer tells a stranger anything.
func wantHandled(t *testing.T, a *call.Answer) {
	t.Helper()
	names := []string{}
	for _, f := range a.Fields {
		names = append(names, strings.ToLower(string(f.Name)))
	}
	want := []string{"content-type", "x-inngest-sdk-handled"}
	if body := `{"message":"Sync requested","modified":false}`; a.Status != 200 || string(a.Body) != body || !cmp.Equal(names, want) {
		t.Errorf("answer %d %s %q, want 200 %s %q", a.Status, a.Body, names, body, want)
	}
}

func TestPut_answersAServerThatKnowsInBandOnly(t *testing.T) {
	for name, sdk := range sdks() {
		for _, mode := range modes() {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				w := newWorld(t, sdk, func(_ *Options, a *App) { a.Mode = mode })
				w.server.status = 400 // its /fn/register takes nothing, or is not there
				p := signedPut()
				p.SyncKind = inngest.SyncInBand
				a := w.put(t, p)
				wantInBand(t, a)
				if n := len(w.server.got()); n != 0 {
					t.Errorf("%d registrations with a server that gets its answer", n)
				}
				if s := w.Status()[0]; s.Functions == 0 || s.Synced.IsZero() || s.Failure != "" {
					t.Errorf("status %+v", s)
				}
			})
		}
	}
}

// Such a server may say nothing of a sync kind: its register tells it.
func TestPut_answersInBandWhereRegisterIsGone(t *testing.T) {
	for _, status := range []int{404, 405, 410} {
		w := newWorld(t, golang, nil)
		w.server.status = status
		wantInBand(t, w.put(t, signedPut()))
		if s := w.Status()[0]; s.Server != DialectInBand {
			t.Errorf("after %d the server takes %s", status, s.Server)
		}
		w.server.set(func(s *serverDouble) { s.status = 200 })
		w.put(t, signedPut())
		if s := w.Status()[0]; s.Server != DialectAuto {
			t.Errorf("after a good registration the server takes %s", s.Server)
		}
	}
}

func TestPut_dialectCanBePinned(t *testing.T) {
	in := newWorld(t, golang, func(o *Options, _ *App) { o.Dialect = DialectInBand })
	wantInBand(t, in.put(t, signedPut()))
	if n := len(in.server.got()); n != 0 {
		t.Errorf("%d registrations with a server that takes none", n)
	}
	out := newWorld(t, golang, func(o *Options, _ *App) { o.Dialect = DialectRegister })
	out.server.status = 404
	a := out.put(t, signedPut())
	if want := `{"message":"no such thing","modified":false}`; a.Status != 404 || string(a.Body) != want {
		t.Errorf("answer %d %s, want the server's own 404", a.Status, a.Body)
	}
	wantSigned(t, a)
}

func TestPut_asksTheAppInItsOwnTerms(t *testing.T) {
	for name, c := range map[string]struct {
		mode         Mode
		by, head     string
		put          Put
		body, target string
	}{
		"passthrough": {Passthrough, "real", "X-Inngest-Server-Kind: cloud\r\n", signedPut(), `{"url":"` + shopURL + `"}`, "/api/inngest"},
		"resign":      {Resign, "local", "X-Inngest-Server-Kind: cloud\r\n", signedPut(), `{"url":"` + shopURL + `"}`, "/api/inngest"},
		"strip":       {Strip, "nobody", "", signedPut(), `{"url":"` + shopURL + `"}`, "/api/inngest"},
		"with a query": {Passthrough, "real", "", Put{
			Signed: true, Query: "deployId=a%20b&fnId=x", Body: []byte(`{"url":"http://x/y?bypass=1&deployId=2","more":1}`),
		}, `{"url":"` + shopURL + `?bypass=1"}`, "/api/inngest?deployId=a+b"},
		"with a head that nobody signed": {Passthrough, "real", "", Put{
			Signed: true, ServerKind: "cloud\r\nX-A: b", Body: []byte(`{}`),
		}, `{"url":"` + shopURL + `"}`, "/api/inngest"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, js, func(_ *Options, a *App) { a.Mode = c.mode })
			w.put(t, c.put)
			asked := w.app.asked[0]
			head := "Content-Type: application/json\r\nX-Inngest-Sync-Kind: in_band\r\n" + c.head
			if asked.Method != "PUT" || string(asked.Target) != c.target || string(asked.Body) != c.body || string(asked.Head) != head || !asked.WholeAnswer {
				t.Errorf("asked %s %s %q %s, want %s %q %s", asked.Method, asked.Target, asked.Head, asked.Body, c.target, head, c.body)
			}
			if by := signedBy(t, asked.Signature, asked.Body, time.Now()); by != c.by {
				t.Errorf("signed by %s, want %s", by, c.by)
			}
		})
	}
}

func TestPut_asksWithTheOlderKeyWhileAppsHaveIt(t *testing.T) {
	w := newWorld(t, golang, nil)
	w.app.key = mustKey(t, fallbackText)
	if a := w.put(t, signedPut()); a.Status != 200 {
		t.Errorf("answer %d %s", a.Status, a.Body)
	}
}

func TestPut_passesDeployIDAndServerKindToTheServer(t *testing.T) {
	w := newWorld(t, golang, nil)
	p := signedPut()
	p.Query = "deployId=a%2Fb&x=y"
	w.put(t, p)
	post := w.server.got()[0]
	if post.Query != "deployId=a%2Fb" || post.Header.Get(inngest.HeaderExpectedServerKind) != "cloud" {
		t.Errorf("query %q, expected kind %q", post.Query, post.Header.Get(inngest.HeaderExpectedServerKind))
	}
}

func TestPut_saysWhatTheServerSaidOfTheRegistration(t *testing.T) {
	w := newWorld(t, golang, nil)
	w.server.status = 400
	a := w.put(t, signedPut())
	if want := `{"message":"no such thing","modified":false}`; a.Status != 400 || string(a.Body) != want || !a.Has(inngest.HeaderSDK) {
		t.Errorf("answer %d %s, want 400 %s", a.Status, a.Body, want)
	}
	wantSigned(t, a)
	if s := w.Status()[0]; !strings.Contains(s.Failure, "no such thing") || s.Functions != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestPut_passesOnAnInBandAnswerThatIsRightAlready(t *testing.T) {
	w := newWorld(t, golang, nil)
	p := signedPut()
	p.SyncKind = inngest.SyncInBand
	a := w.put(t, p) // the app believed the URL that it was told
	if !bytes.HasSuffix(a.Body, []byte("}\n")) {
		t.Errorf("the body of the app was changed: it ends in %q", a.Body[len(a.Body)-5:])
	}
}

func TestPut_sealsAnInBandAnswerThatChangesAsCanonicalJSON(t *testing.T) {
	w := newWorld(t, func(d *appDouble, c *call.Call) (int, string, bool, string) {
		status, body, signed, sync := golang(d, c)
		return status, strings.ReplaceAll(body, publicURL, "http://10.0.0.7"), signed, sync // INNGEST_SERVE_ORIGIN
	}, nil)
	p := signedPut()
	p.SyncKind = inngest.SyncInBand
	a := w.put(t, p)
	wantInBand(t, a)
	canonical, err := signature.Canonical(a.Body)
	if err != nil || !bytes.Equal(canonical, a.Body) || a.Has("ETag") {
		t.Errorf("not canonical, or with the tag of another body: %s", a.Body)
	}
}

func TestPut_refusesWhatIsNoSync(t *testing.T) {
	answer := func(status int, body string, fields ...string) sdk {
		return func(*appDouble, *call.Call) (int, string, bool, string) { return status, body, false, "" }
	}
	for name, c := range map[string]struct {
		sdk    sdk
		change func(*Options, *App)
		put    Put
		status int
		code   inngest.Code
	}{
		"a dev server":          {golang, nil, Put{Signed: true, ServerKind: "dev"}, 400, inngest.CodeServerKindRefused},
		"no public URL":         {golang, func(o *Options, _ *App) { o.PublicURL = "" }, Put{Signed: true, Body: []byte(`{"url":"/x"}`)}, 503, inngest.CodePublicURLUnknown},
		"no functions":          {func(*appDouble, *call.Call) (int, string, bool, string) { return 200, `{}`, false, inngest.SyncInBand }, nil, signedPut(), 400, inngest.CodeMalformedRegister},
		"functions of no kind":  {answer(200, `{"app_id":"js-app","functions":7}`), nil, signedPut(), 400, inngest.CodeMalformedRegister},
		"no name":               {answer(200, `{"functions":[]}`), nil, signedPut(), 400, inngest.CodeMalformedRegister},
		"a redirect":            {answer(307, ``), nil, signedPut(), 503, inngest.CodeUpstreamRedirect},
		"registered elsewhere":  {answer(200, `{"message":"Successfully registered"}`), nil, Put{Signed: true, SyncKind: inngest.SyncInBand}, 502, inngest.CodeUpstreamBadAnswer},
		"refused when unsigned": {golang, func(_ *Options, a *App) { a.UnsignedSync = UnsignedRefuse }, Put{}, 401, inngest.CodeUnsignedSyncRefused},
	} {
		t.Run(name, func(t *testing.T) {
			a := newWorld(t, c.sdk, c.change).put(t, c.put)
			var problem refusal
			if err := json.Unmarshal(a.Body, &problem); err != nil || a.Status != c.status || a.Code != c.code {
				t.Fatalf("answer %d %s %s, want %d %s (%v)", a.Status, a.Code, a.Body, c.status, c.code, err)
			}
			if problem.Detail == "" || problem.Message != problem.Detail || string(a.Get(inngest.HeaderGatewayError)) != string(c.code) || a.Has(inngest.HeaderSDK) {
				t.Errorf("problem %+v, fields %s", problem, a.Fields)
			}
		})
	}
}

func TestPut_refusesAnAppThatHasAnotherName(t *testing.T) {
	w := newWorld(t, golang, func(o *Options, a *App) {
		other := *a
		other.ID, other.Path = "billing", "/api/billing"
		o.Apps = []App{other}
	})
	if a := w.put(t, signedPut()); a.Code != inngest.CodeUnknownApp || !strings.Contains(string(a.Body), `\"go-app\"`) {
		t.Errorf("answer %d %s", a.Status, a.Body)
	}
}

func TestPut_refusesAnAnswerThatSomebodyElseSigned(t *testing.T) {
	w := newWorld(t, golang, func(_ *Options, a *App) { a.Mode = Resign })
	key := w.app.key
	w.app.sdk = func(d *appDouble, c *call.Call) (int, string, bool, string) {
		status, body, signed, sync := golang(d, c)
		d.key = mustKey(t, recorded.SigningKey)
		return status, body, signed, sync
	}
	if a := w.put(t, signedPut()); a.Code != inngest.CodeUpstreamUntrusted {
		t.Errorf("answer %d %s %s", a.Status, a.Code, a.Body)
	}
	w.app.key, w.app.sdk = key, golang
	if n := len(w.server.got()); n != 0 {
		t.Errorf("%d registrations of a manifest that nobody vouches for", n)
	}
}

func TestPut_ofAnAppThatIsAwayIsTheCalleesError(t *testing.T) {
	w := newWorld(t, golang, nil)
	w.app.down = errDown
	if a, err := w.Put(t.Context(), Put{App: "js-app", Signed: true, Body: []byte(`{}`)}); a != nil || !errors.Is(err, errDown) {
		t.Errorf("Put = %v, %v; want %v", a, err, errDown)
	}
	if n := testutil.ToFloat64(w.metrics.Syncs.WithLabelValues("js-app", "in_band", "failed")); n != 1 {
		t.Errorf("%v failed syncs counted, want 1", n)
	}
}

func TestPut_doesNotWaitForAnAppForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, golang, func(_ *Options, a *App) { a.Callee = hanging{} })
		began := time.Now()
		if a := w.put(t, signedPut()); a.Code != inngest.CodeUpstreamTimeout || time.Since(began) != 10*time.Second {
			t.Errorf("answer %d %s %s after %v", a.Status, a.Code, a.Body, time.Since(began))
		}
	})
}

// hanging is an app that never answers.
type hanging struct{}

func (hanging) Do(ctx context.Context, _ *call.Call) (*call.Answer, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestPut_withoutVerificationBelievesTheServer(t *testing.T) {
	w := newWorld(t, js, func(o *Options, a *App) { a.SkipVerify, o.PublicURL = true, "" })
	a := w.put(t, Put{Body: []byte(`{"url":"` + shopURL + `"}`), ServerKind: "dev"})
	if a.Status != 200 || w.PublicURL("js-app") != shopURL {
		t.Errorf("answer %d %s, public URL %q", a.Status, a.Body, w.PublicURL("js-app"))
	}
	wantRegistered(t, w.server.got()[0].Body)
}
