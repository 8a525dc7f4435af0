package replay

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// An exception is a recorded request that is answered in another way than it
// was recorded, and where the architecture says so.
type exception struct {
	why    string
	refuse inngest.Code                                                 // the gateway's own answer, nothing reaches the app
	sealed func(testing.TB, mode, recorded.Exchange, time.Time) message // in the modes that sign answers: what the answer becomes
	once   string                                                       // a field that was recorded twice and passes once
}

// exceptions are all of them, by the number of the recording; the syncs, whose
// numbers are 2, 26 to 30 and 32 to 36, have their own in sync_test.go.
//
// What holds for every recording stands in wantAnswer and wantRequest.
var exceptions = map[int]exception{
	3: {
		why:    `life of a sync: "Unsigned GET: the gateway's own 401; the app sees nothing of either"`,
		refuse: inngest.CodeSignatureMissing,
	},
	47: {
		why:    `life of a call, 9: "Wrong signature: 401"; an unsigned trust probe is no better`,
		refuse: inngest.CodeSignatureMissing,
	},
	125: {
		why: `life of a call, 1: a durable endpoint is entered "with x-run-id and signature"; this is its client's first request, ` +
			`which does not come through the gateway`,
		refuse: inngest.CodeUnknownPath,
	},
	45: {
		why:  "Go's SDK says Content-Type twice, alike; a field that can be there only once passes once",
		once: "Content-Type",
	},
	46: {
		why:  "as 45",
		once: "Content-Type",
	},
	101: {
		why:    `life of a call, 8: "resign/strip … inflate what is encoded, then sign" (gzip)`,
		sealed: inflated,
	},
	102: {
		why:    `life of a call, 8: "resign/strip … inflate what is encoded, then sign" (br)`,
		sealed: inflated,
	},
	103: {
		why:    `life of a call, 8: "of a 201 … its final object is re-signed in its inner headers"`,
		sealed: resealed,
	},
}

func inflated(tb testing.TB, m mode, x recorded.Exchange, at time.Time) message {
	answer := answerOf(x)
	answer.body = x.Response.Plain(tb)
	answer.fields = with(answer.fields, "Content-Encoding", "")
	answer.fields = with(answer.fields, inngest.HeaderSignature, signature.Sign(m.real, answer.body, at))
	return answer
}

// resealed is a 201 whose inner headers have got a signature over its inner
// body. White space before the object passes as it came.
func resealed(tb testing.TB, m mode, x recorded.Exchange, at time.Time) message {
	answer := answerOf(x)
	object := bytes.TrimLeft(answer.body, " ")
	var inner struct{ Body string }
	if err := json.Unmarshal(object, &inner); err != nil {
		tb.Fatal(err)
	}
	seal := `"headers":{"x-inngest-signature":"` + signature.Sign(m.real, []byte(inner.Body), at) + `",`
	sealed := bytes.Replace(object, []byte(`"headers":{`), []byte(seal), 1)
	answer.body = append(answer.body[:len(answer.body)-len(object):len(answer.body)-len(object)], sealed...)
	return answer
}

func TestCalls_passAsRecorded(t *testing.T) {
	var calls []recorded.Exchange
	for _, x := range recorded.Load(t) {
		if x.Direction == recorded.ToApp && x.Request.Method != http.MethodPut {
			calls = append(calls, x)
		}
	}
	eachMode(t, func(t *testing.T, m mode) {
		app, server, at := startDouble(t), startDouble(t), &clock{}
		g := startGateway(t, configuration(server, m.appsOf(app, calls)...), at)
		for _, x := range calls {
			t.Run(x.Name, func(t *testing.T) { replayCall(t, m, app, g.InngestAddr(), at, x) })
		}
		if n := len(server.got()); n != 0 {
			t.Errorf("calls made the gateway send %d requests to Inngest", n)
		}
	})
}

// appsOf returns an app for each path that was recorded, all behind one double.
func (m mode) appsOf(upstream *double, calls []recorded.Exchange) []config.App {
	sdk := m.appAt(upstream, "js-app", appPath)
	sdk.DurableEndpoints = []string{"/work"}
	apps, paths := []config.App{sdk}, []string{appPath, "/work"}
	for _, x := range calls {
		if path := pathOf(x); !slices.Contains(paths, path) {
			apps, paths = append(apps, m.appAt(upstream, "raw"+path, path)), append(paths, path)
		}
	}
	return apps
}

func pathOf(x recorded.Exchange) string {
	path, _, _ := strings.Cut(x.Request.Target, "?")
	return path
}

func replayCall(t *testing.T, m mode, app *double, address string, at *clock, x recorded.Exchange) {
	at.set(recorded.SignedAt(x.Request.Get(inngest.HeaderSignature)))
	app.says(m.appAnswers(t, x))
	answer := exchange(t, address, requestOf(x))

	except := exceptions[x.Number]
	if except.refuse != "" {
		wantRefusal(t, answer, except.refuse.Status(), except.refuse)
		wantNothing(t, app, except.why)
		return
	}
	want := m.wantAnswer(t, x, at.now())
	if got := answer.status(); got != want.status() {
		t.Fatalf("status = %d, want %d: %s", got, want.status(), answer.body)
	}
	if diff := cmp.Diff(string(want.body), string(answer.body)); diff != "" {
		t.Errorf("body (-recorded +got):\n%s", diff)
	}
	if diff := cmp.Diff(endToEnd(want.fields, "Date"), endToEnd(answer.fields, "Date")); diff != "" {
		t.Errorf("header of the answer (-recorded +got):\n%s", diff)
	}
	if (answer.get("Date") == "") != (x.Response.Get("Date") == "") {
		t.Errorf("Date = %q, recorded %q", answer.get("Date"), x.Response.Get("Date"))
	}

	requests := app.got()
	if len(requests) != 1 {
		t.Fatalf("the app got %d requests", len(requests))
	}
	m.wantRequest(t, requests[0], x, app.address, at.now())
}

// appAnswers is the recorded answer as the app gives it in that mode: signed
// with the key that it has.
func (m mode) appAnswers(tb testing.TB, x recorded.Exchange) message {
	answer := answerOf(x)
	sig := x.Response.Get(inngest.HeaderSignature)
	if sig == "" || m.signing == config.SigningPassthrough {
		return answer
	}
	signed, made := x.Response.Plain(tb), recorded.SignedAt(sig)
	if signature.Sign(m.real, signed, made) != sig {
		signed = bytes.TrimSuffix(signed, []byte("\n")) // Go signs in-band answers before their last byte is there
	}
	answer.fields = with(answer.fields, inngest.HeaderSignature, m.signs(signed, made))
	return answer
}

// wantAnswer is what Inngest must get. In resign and strip it is signed with
// the real key, by the gateway and now, whether the app signs or not (Go does
// not).
//
// Everywhere Date is the gateway's own: its server, as many proxies do, writes
// the time at which it sends the answer.
func (m mode) wantAnswer(tb testing.TB, x recorded.Exchange, at time.Time) message {
	want, except := answerOf(x), exceptions[x.Number]
	if except.once != "" {
		want.fields = with(want.fields, except.once, want.get(except.once))
	}
	if !m.seals() {
		return want
	}
	if except.sealed != nil {
		return except.sealed(tb, m, x, at)
	}
	want.fields = with(want.fields, inngest.HeaderSignature, signature.Sign(m.real, want.body, at))
	return want
}

// wantRequest compares what the app got with what was recorded. Target, body
// and header are the recorded ones, but for
//   - the length, which is always said for methods that have a body,
//   - Host, which is the endpoint's; X-Forwarded-* tell the one that Inngest
//     used, and the caller (step 1 of the life of a call),
//   - the signature, which is one of the local key in resign and none in strip.
func (m mode) wantRequest(t *testing.T, got message, x recorded.Exchange, host string, at time.Time) {
	t.Helper()
	if want := requestOf(x).start; got.start != want {
		t.Errorf("the app got %q, want %q", got.start, want)
	}
	if !bytes.Equal(got.body, x.Request.Body) {
		t.Errorf("the app got the body %q, want %q", got.body, x.Request.Body)
	}
	want := with(x.Request.Headers, "Host", host)
	want = append(want, fields("X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "X-Forwarded-Host", x.Request.Get("Host"))...)
	if m.seals() {
		want = with(want, inngest.HeaderSignature, m.signs(x.Request.Body, at))
	}
	if diff := cmp.Diff(endToEnd(want), endToEnd(got.fields)); diff != "" {
		t.Errorf("header that the app got (-want +got):\n%s", diff)
	}
	if connection := got.get("Connection"); connection != "" {
		t.Errorf("the app got Connection: %s, which was said about another connection", connection)
	}
}

// wantRefusal checks an answer of the gateway itself.
func wantRefusal(t *testing.T, answer message, status int, code inngest.Code) {
	t.Helper()
	var problem struct {
		Detail string
		Status int
		Code   inngest.Code
	}
	if err := json.Unmarshal(answer.body, &problem); err != nil {
		t.Fatalf("answer = %s, %q, want a refusal: %v", answer.start, answer.body, err)
	}
	if answer.status() != status || problem.Status != status || problem.Code != code || answer.get(inngest.HeaderGatewayError) != string(code) {
		t.Errorf("answer = %s %v %+v, want %d %s", answer.start, answer.fields, problem, status, code)
	}
	if problem.Detail == "" || !bytes.HasPrefix(answer.body, []byte(`{"detail":`)) {
		t.Errorf("body = %s, want the cause first", answer.body)
	}
	if got := answer.get("Content-Type"); got != inngest.ContentTypeProblem {
		t.Errorf("Content-Type = %q", got)
	}
	for _, name := range []string{inngest.HeaderSDK, inngest.HeaderSDKHandled, inngest.HeaderNoRetry, inngest.HeaderSignature, "Location"} {
		if v := answer.get(name); v != "" {
			t.Errorf("the refusal has %s: %s", name, v)
		}
	}
}

func wantNothing(t *testing.T, d *double, why string) {
	t.Helper()
	for _, request := range d.got() {
		t.Errorf("%q got through; %s", request.start, why)
	}
}
