package devserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

func TestRegister_answersAsRecorded(t *testing.T) {
	for name, numbers := range map[string][]string{
		"the first registration":                  {"01"},
		"every option of a function, then again":  {"25", "31"},
		"the Go SDK":                              {"37"},
		"an in-band answer as it stands":          {"38"},
		"an in-band answer under the other names": {"39"},
	} {
		t.Run(name, func(t *testing.T) {
			_, base := newServer(t, Options{})
			for _, number := range numbers {
				r := record(t, number)
				status, h, body := r.Request.ask(t, base)
				if diff := answerDiffers(t, r.Response, status, h, body); diff != "" {
					t.Errorf("recording %s: %s", number, diff)
				}
				// The app's id is no accident.
				want := r.Response.body(t)
				if i := strings.Index(want, `"app_id"`); i >= 0 && !strings.Contains(body, want[i:]) {
					t.Errorf("recording %s: %s, want %s in it", number, body, want[i:])
				}
			}
		})
	}
}

func TestRegister_refuses(t *testing.T) {
	function := func(more string) string {
		return `{"url":"http://a/b","appName":"x","functions":[{"id":"x-f","name":"f","steps":{"step":{"id":"step","name":"step","runtime":{"url":"http://a/b"}}}` + more + `}]}`
	}
	invalid := `{"error":"At least one function is invalid","data":null,"status":400}` + "\n"
	for name, c := range map[string]struct {
		body, kind, auth string
		status           int
		want             string
	}{
		"a token of another key":        {auth: "Bearer signkey-prod-00", status: 401, want: "Authentication failed\n"},
		"no token":                      {auth: "none", status: 401, want: "Authentication failed\n"},
		"another server kind":           {body: "{}", kind: "dev", status: 400, want: `{"error":"Expected server kind cloud, got dev"}` + "\n"},
		"a function without triggers":   {body: function(``), status: 400, want: invalid},
		"a cron of six fields":          {body: function(`,"triggers":[{"cron":"* * * * * *"}]`), status: 400, want: invalid},
		"an expression that is none":    {body: function(`,"triggers":[{"event":"a","expression":"event.data."}]`), status: 400, want: invalid},
		"batches beside a cancellation": {body: function(`,"triggers":[{"event":"a"}],"batchEvents":{"maxSize":2,"timeout":"1s"},"cancel":[{"event":"b"}]`), status: 400, want: invalid},
		"six cancellations":             {body: function(`,"triggers":[{"event":"a"}],"cancel":[{"event":"b"},{"event":"b"},{"event":"b"},{"event":"b"},{"event":"b"},{"event":"b"}]`), status: 400, want: invalid},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{})
			req := authorised(t, http.MethodPost, base+"/fn/register", c.body)
			if c.kind != "" {
				req.Header.Set(inngest.HeaderExpectedServerKind, c.kind)
			}
			switch c.auth {
			case "":
			case "none":
				req.Header.Del("Authorization")
			default:
				req.Header.Set("Authorization", c.auth)
			}
			status, _, body := do(t, req)
			if status != c.status || body != c.want {
				t.Errorf("answer = %d %q, want %d %q", status, body, c.status, c.want)
			}
			if apps := s.Apps(); len(apps) != 0 {
				t.Errorf("apps = %+v, want none", apps)
			}
		})
	}
}

// puts records the PUTs that an app gets and answers them.
type puts struct {
	mu     sync.Mutex
	got    []call
	answer func(n int, body []byte) reply
}

func (p *puts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.got = append(p.got, call{r.Method, r.URL.RequestURI(), r.Header.Clone(), string(body)})
	n := len(p.got)
	p.mu.Unlock()
	p.answer(n, body).write(w)
}

func (p *puts) calls() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]call(nil), p.got...)
}

func TestSync_sendsWhatIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		number string
		signed bool
	}{
		"an address from the settings": {"29", true},
		"an address that was added":    {"30", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newServer(t, Options{})
			p := &puts{answer: func(int, []byte) reply { return result(`{}`) }}
			app := httptest.NewServer(p)
			defer app.Close()
			if err := s.Sync(soon(t), app.URL+"/api/inngest", c.signed); err != nil {
				t.Fatal(err)
			}
			got, want := p.calls()[0], record(t, c.number).Request
			port := app.URL[strings.LastIndexByte(app.URL, ':'):]
			if body := strings.ReplaceAll(want.body(t), ":3100", port); got.body != body || got.target != want.Target {
				t.Errorf("PUT %s %s, want %s %s", got.target, got.body, want.Target, body)
			}
			if c.signed {
				verify(t, got)
			}
			compareHeaders(t, got.header, want)
		})
	}
}

// compareHeaders compares the names of header fields and those values that
// are always the same.
func compareHeaders(t testing.TB, got http.Header, want recorded) {
	t.Helper()
	values := func(h http.Header) map[string]string {
		out := map[string]string{}
		for name, v := range h {
			switch name {
			case "Host", "Connection": // net/http takes them out of a request's header
			case "Content-Length", inngest.HeaderSignature, inngest.HeaderTraceparent, inngest.HeaderTracestate, inngest.HeaderRunID,
				inngest.HeaderRequestID, inngest.HeaderJobID, "Referer":
				out[name] = "*"
			default:
				out[name] = v[0]
			}
		}
		return out
	}
	if diff := cmp.Diff(values(want.header()), values(got)); diff != "" {
		t.Errorf("header differs (-recorded +sent):\n%s", diff)
	}
}

// verify checks the signature of what the server sent.
func verify(t testing.TB, c call) {
	t.Helper()
	key, err := signature.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.NewVerifier(signature.Options{Keys: []signature.Key{key}, Tolerance: time.Minute, MaxCanonical: -1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify([]byte(c.header.Get(inngest.HeaderSignature)), []byte(c.body)); err != nil {
		t.Errorf("signature of %s %s: %v", c.method, c.target, err)
	}
}

func TestSync_takesInBandAnswersOnly(t *testing.T) {
	key, err := signature.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(body string) reply {
		return reply{status: 200, body: body, header: map[string]string{
			inngest.HeaderSyncKind: inngest.SyncInBand, inngest.HeaderSignature: signature.Sign(key, []byte(strings.TrimRight(body, "\n")), time.Now()),
		}}
	}
	js, goSDK := record(t, "26").Response.body(t), record(t, "34").Response.body(t)
	forged := signed(js)
	forged.header[inngest.HeaderSignature] = "t=1&s=" + strings.Repeat("0", 64)
	outOfBand := signed(js)
	delete(outOfBand.header, inngest.HeaderSyncKind)
	for name, c := range map[string]struct {
		answer    reply
		app       string
		functions int
	}{
		"JavaScript":                            {signed(js), "js-app", 38},
		"Go, signed without its newline":        {signed(goSDK), "go-app", 3},
		"a forged signature":                    {forged, "", 0},
		"an answer that says it is out of band": {outOfBand, "", 0},
		"a refusal":                             {reply{status: 401, body: `{"message":"Unauthorized"}`}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, base := newServer(t, Options{Dialect: InBandOnly})
			p := &puts{answer: func(int, []byte) reply { return c.answer }}
			app := httptest.NewServer(p)
			defer app.Close()
			err := s.Sync(soon(t), app.URL+"/api/inngest", true)
			if (err == nil) != (c.app != "") {
				t.Fatalf("Sync = %v", err)
			}
			got := p.calls()[0]
			verify(t, got)
			if kind := got.header.Get(inngest.HeaderSyncKind); kind != inngest.SyncInBand {
				t.Errorf("sync kind %q", kind)
			}
			apps := s.Apps()
			if c.app == "" {
				if len(apps) != 0 {
					t.Errorf("apps = %+v, want none", apps)
				}
			} else if len(apps) != 1 || apps[0].Name != c.app || len(apps[0].Functions) != c.functions || apps[0].SyncKind != "in_band" {
				t.Errorf("apps = %+v, want %s with %d functions", apps, c.app, c.functions)
			}
			status, _, body := record(t, "01").Request.ask(t, base)
			if status != 400 || !strings.Contains(body, "in-band") {
				t.Errorf("/fn/register = %d %s, want a refusal", status, body)
			}
		})
	}
}

func TestSync_isRepeatedWhileItFails(t *testing.T) {
	p := &puts{answer: func(n int, _ []byte) reply {
		if n < 3 {
			return reply{status: 500, body: "{}"}
		}
		return result("{}")
	}}
	app := httptest.NewServer(p)
	defer app.Close()
	third := make(chan struct{})
	answer := p.answer
	p.answer = func(n int, body []byte) reply {
		if n == 3 {
			close(third)
		}
		return answer(n, body)
	}
	newServer(t, Options{AppURLs: []string{app.URL}, SyncInterval: time.Millisecond})
	select {
	case <-third:
	case <-soon(t).Done():
		t.Fatalf("%d PUTs, want 3", len(p.calls()))
	}
	for _, c := range p.calls() {
		verify(t, c)
	}
}

func TestSync_reportsAnAppThatDoesNotAnswer(t *testing.T) {
	s, _ := newServer(t, Options{SyncTimeout: 10 * time.Millisecond})
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does net/http notice that the caller hung up
		<-r.Context().Done()
	}))
	defer app.Close()
	if err := s.Sync(context.Background(), app.URL, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync = %v, want a deadline", err)
	}
}

func TestProbe_believesSignedAnswersOnly(t *testing.T) {
	s, base := newServer(t, Options{})
	address := newSample(t, base)
	if err := s.Probe(soon(t), address); err != nil {
		t.Error(err)
	}
	info, err := s.Introspect(soon(t), address)
	if err != nil || info.AppID != "sample" || info.SchemaVersion != inngest.IntrospectionSchema || info.FunctionCount != 3 {
		t.Errorf("Introspect = %+v, %v", info, err)
	}
	p := &puts{answer: func(int, []byte) reply { return result("{}") }}
	stranger := httptest.NewServer(p)
	defer stranger.Close()
	var reject *signature.RejectError
	if err := s.Probe(soon(t), stranger.URL); !errors.As(err, &reject) || reject.Reason != signature.ReasonMissing {
		t.Errorf("Probe of a stranger = %v", err)
	}
	other, err := New(Options{SigningKey: "signkey-prod-00"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Probe(soon(t), address); err == nil {
		t.Error("a probe with another key was answered")
	}
}
