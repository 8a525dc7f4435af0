package replay

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// Where the recorded apps were. The gateway has these as its public URLs, so
// that a URL that is made its own reads as it did.
const (
	jsOrigin = "http://127.0.0.1:3100"
	goOrigin = "http://127.0.0.1:3103"
)

// A syncCase is what becomes of a recorded PUT. No PUT reaches the app: the
// gateway asks it itself, with a PUT of its own that every SDK understands.
type syncCase struct {
	put     int            // the recording that the caller sends
	public  string         // public_url; empty: learnt from the PUT
	dialect config.Dialect // of the server; empty: auto
	refuse  bool           // unsigned_sync: refuse

	app       int // the recording of which the app gives the answer; 0: it must not be asked
	registers int // the recording of what the app registers meanwhile; 0: nothing
	tells     int // the recording of which Inngest gives the answer to a registration; 0: there must be none
	want      func(testing.TB, mode, syncCase, time.Time) message
	why       string
}

const (
	unsigned = `"an unsigned PUT is a hint at most: the gateway syncs that app itself … with the configured URLs"`
	bridged  = `"a signed PUT of a server that expects a registration becomes an in-band PUT to the app, and the gateway posts /fn/register itself"`
)

// syncs hold every recorded PUT. The sentences are of the architecture's life
// of a sync.
var syncs = map[string]syncCase{
	"in band, JS": {put: 26, app: 26, want: inBand},
	"in band, JS, a key too much": {put: 27, app: 27, want: asAnswered,
		why: "the gateway asks without it; what the app answers passes"},
	"server, signed, JS":               {put: 29, app: 29, registers: 31, tells: 31, want: asAnswered},
	"server, signed, Go":               {put: 32, app: 32, tells: 39, want: outOfBand, why: bridged},
	"by hand, Go":                      {put: 34, app: 34, tells: 39, want: outOfBand, why: bridged},
	"server in band only, signed, Go":  {put: 32, dialect: config.DialectInBand, app: 32, want: inBand},
	"server in band only, by hand, Go": {put: 34, dialect: config.DialectInBand, app: 34, want: inBand},

	"browser, JS":                     {put: 2, public: jsOrigin, app: 26, tells: 1, want: hint, why: unsigned},
	"in band, unsigned, JS":           {put: 28, public: jsOrigin, app: 26, tells: 1, want: hint, why: unsigned},
	"server, unsigned, JS":            {put: 30, public: jsOrigin, app: 29, registers: 31, tells: 31, want: hint, why: unsigned},
	"server, unsigned, Go":            {put: 33, public: goOrigin, app: 34, tells: 39, want: hint, why: unsigned},
	"browser, Go":                     {put: 35, public: goOrigin, app: 34, tells: 39, want: hint, why: unsigned},
	"browser, Go, unsigned allowed":   {put: 36, public: goOrigin, app: 34, tells: 39, want: hint, why: unsigned},
	"server, unsigned, no public URL": {put: 30, want: hint, why: `"never with what the PUT says": without a URL of its own the gateway cannot sync`},
	"server, unsigned, refused":       {put: 30, public: jsOrigin, refuse: true, want: refused, why: "unsigned_sync: refuse"},
	"server, unsigned, Go, refused":   {put: 33, public: goOrigin, refuse: true, want: refused, why: "unsigned_sync: refuse"},
}

func TestSyncs_everyRecordedPutHasItsCase(t *testing.T) {
	had := map[int]bool{}
	for _, c := range syncs {
		had[c.put] = true
	}
	for _, x := range recorded.Load(t) {
		if x.Direction == recorded.ToApp && x.Request.Method == "PUT" && !had[x.Number] {
			t.Errorf("no case sends %s", x.Name)
		}
	}
}

func TestSyncs_comeToWhatWasRecorded(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		for name, c := range syncs {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				replaySync(t, m, c)
			})
		}
	})
}

func replaySync(t *testing.T, m mode, c syncCase) {
	put := recorded.One(t, c.put)
	id := "js-app"
	if strings.Contains(put.Name, "go") {
		id = "go-app"
	}
	upstream, server, at := startDouble(t), startDouble(t), &clock{}
	at.set(recorded.SignedAt(put.Request.Get(inngest.HeaderSignature)))
	app := m.appAt(upstream, id, appPath)
	if c.refuse {
		app.UnsignedSync = config.UnsignedSyncRefuse
	}
	cfg := configuration(server, app)
	cfg.PublicURL = c.public
	if c.dialect != "" {
		cfg.Sync.Dialect = c.dialect
	}
	g := startGateway(t, cfg, at)
	if c.tells != 0 {
		server.says(answerOf(recorded.One(t, c.tells)))
	}
	if c.app != 0 {
		x := recorded.One(t, c.app)
		if put.Request.Get(inngest.HeaderSignature) == "" {
			at.set(recorded.SignedAt(x.Response.Get(inngest.HeaderSignature)))
		}
		upstream.answers(func(message) message {
			if c.registers != 0 {
				m.register(t, g.AppsAddr(), recorded.One(t, c.registers))
			}
			return m.appAnswers(t, x)
		})
	}

	answer := exchange(t, g.InngestAddr(), requestOf(put))
	want := c.want(t, m, c, at.now())
	if answer.status() != want.status() {
		t.Fatalf("status = %d, want %d: %s; %s", answer.status(), want.status(), answer.body, c.why)
	}
	if diff := cmp.Diff(string(want.body), string(answer.body)); diff != "" {
		t.Errorf("body (-want +got), %s:\n%s", c.why, diff)
	}
	if diff := cmp.Diff(endToEnd(want.fields, "Date"), endToEnd(answer.fields, "Date")); diff != "" {
		t.Errorf("header (-want +got), %s:\n%s", c.why, diff)
	}
	m.wantAsked(t, upstream, c, at.now())
	m.wantTold(t, server, c)
}

// register has an app post a registration to the apps listener, and wants the
// recorded answer. It runs beside the test.
func (m mode) register(t *testing.T, address string, x recorded.Exchange) {
	request := requestOf(x)
	request.fields = m.appCredentials(t, request.fields)
	answer, err := try(address, request)
	if err != nil || answer.status() != x.Response.Status || !bytes.Equal(answer.body, x.Response.Body) {
		t.Errorf("registration = %s %s, %v, recorded %d %s", answer.start, answer.body, err, x.Response.Status, x.Response.Body)
	}
}

// wantAsked checks the PUT that the app got: signed with the key that it has,
// the sync kind that both SDKs know, the one member that JS takes.
func (m mode) wantAsked(t *testing.T, app *double, c syncCase, at time.Time) {
	t.Helper()
	if c.app == 0 {
		wantNothing(t, app, c.why)
		return
	}
	requests := app.got()
	if len(requests) != 1 {
		t.Fatalf("the app was asked %d times", len(requests))
	}
	put, got := recorded.One(t, c.put), requests[0]
	body := `{"url":"` + c.base(t) + `"}`
	if got.start != "PUT "+appPath+" HTTP/1.1" || string(got.body) != body {
		t.Errorf("the app was asked %q %s, want a PUT of %s", got.start, got.body, body)
	}
	want := fields("Host", app.address, "Content-Type", "application/json", inngest.HeaderSyncKind, inngest.SyncInBand)
	if sig := m.signs(got.body, at); sig != "" {
		want = with(want, inngest.HeaderSignature, sig)
	}
	kind, signed := put.Request.Get(inngest.HeaderServerKind), put.Request.Get(inngest.HeaderSignature) != ""
	if kind != "" && signed && m.signing != config.SigningStrip { // an app in strip thinks that it is in development
		want = with(want, inngest.HeaderServerKind, kind)
	}
	if diff := cmp.Diff(endToEnd(want), endToEnd(got.fields)); diff != "" {
		t.Errorf("header of what the app was asked (-want +got):\n%s", diff)
	}
}

// base is the app's URL for Inngest, as the gateway knows it.
func (c syncCase) base(tb testing.TB) string {
	tb.Helper()
	if c.public != "" {
		return c.public + appPath
	}
	var said inngest.SyncRequest
	if err := json.Unmarshal(recorded.One(tb, c.put).Request.Body, &said); err != nil {
		tb.Fatal(err)
	}
	return said.URL
}

// wantTold checks what Inngest was told: the app's own registration, or one
// that says what the app answered in band.
func (m mode) wantTold(t *testing.T, server *double, c syncCase) {
	t.Helper()
	if c.tells == 0 {
		wantNothing(t, server, c.why)
		return
	}
	requests := server.got()
	if len(requests) != 1 {
		t.Fatalf("Inngest was told %d times", len(requests))
	}
	got := requests[0]
	if got.start != "POST /fn/register HTTP/1.1" || got.get("Authorization") != "Bearer "+signature.BearerToken(m.real) {
		t.Errorf("Inngest was told by %q with %q", got.start, got.get("Authorization"))
	}
	if c.registers != 0 {
		want := bytes.ReplaceAll(recorded.One(t, c.registers).Request.Body, []byte(jsOrigin+appPath), []byte(c.base(t)))
		if diff := cmp.Diff(string(want), string(got.body)); diff != "" {
			t.Errorf("what Inngest was told (-registered +got):\n%s", diff)
		}
		return
	}
	var want, told any
	if err := json.Unmarshal(registrationOf(t, c.app), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got.body, &told); err != nil {
		t.Fatalf("Inngest was told %q: %v", got.body, err)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("what Inngest was told (-want +got):\n%s", diff)
	}
}

// registrationOf says what an in-band answer says in the words of recording 39,
// which Inngest took.
func registrationOf(tb testing.TB, number int) []byte {
	tb.Helper()
	var in map[string]json.RawMessage
	var language, version string
	if err := json.Unmarshal(recorded.One(tb, number).Response.Body, &in); err != nil {
		tb.Fatal(err)
	}
	for name, to := range map[string]*string{"sdk_language": &language, "sdk_version": &version} {
		if err := json.Unmarshal(in[name], to); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	out := map[string]any{
		"url": in["url"], "deployType": "ping", "framework": "", "appName": in["app_id"], "functions": in["functions"],
		"sdk": language + ":v" + version, "v": "0.1", "capabilities": in["capabilities"],
	}
	if string(in["framework"]) != "null" {
		out["framework"] = in["framework"]
	}
	if more := in["featureObservations"]; more != nil { // as JS has it in registrations too (25)
		out["featureObservations"] = more
	}
	if in["capabilities"] == nil { // Go has them in what it says of itself
		var inspection map[string]json.RawMessage
		if err := json.Unmarshal(in["inspection"], &inspection); err != nil {
			tb.Fatal(err)
		}
		out["capabilities"] = inspection["capabilities"]
	}
	body, err := json.Marshal(out)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}
