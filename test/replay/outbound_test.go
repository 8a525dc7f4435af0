package replay

import (
	"bytes"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// publicOrigin is where Inngest reaches the gateway that apps talk to.
const publicOrigin = "https://gateway.example.com"

// refusals are the recorded requests of apps that the gateway itself answers,
// by number; of each the modes, the code, and where the architecture says so.
var refusals = map[int]struct {
	why   string
	modes []config.Signing
	code  inngest.Code
}{
	38: {
		why:  "life of a sync: registrations are matched by their appName, and this one has none; Inngest says 400 as well",
		code: inngest.CodeMalformedRegister,
	},
	121: {
		why:   `apps listener: "a local token is required"; the wrong event key is no local one, so Inngest never sees it and the 401 is the gateway's`,
		modes: []config.Signing{config.SigningResign},
		code:  inngest.CodeUnauthorized,
	},
	138: {
		why:   `apps listener: "a local token is required"; the wrong token is no local one`,
		modes: []config.Signing{config.SigningResign},
		code:  inngest.CodeUnauthorized,
	},
}

func TestRequestsOfApps_passAsRecorded(t *testing.T) {
	eachMode(t, func(t *testing.T, m mode) {
		app, server := startDouble(t), startDouble(t)
		cfg := configuration(server, m.appAt(app, "js-app", "/js"), m.appAt(app, "go-app", "/go"))
		cfg.PublicURL = publicOrigin
		g := startGateway(t, cfg, nil)
		for _, x := range recorded.Load(t) {
			if x.Direction == recorded.ToInngest {
				t.Run(x.Name, func(t *testing.T) { m.replayRequest(t, server, g.AppsAddr(), x) })
			}
		}
		wantNothing(t, app, "requests of apps are none for apps")
	})
}

func (m mode) replayRequest(t *testing.T, server *double, address string, x recorded.Exchange) {
	server.says(answerOf(x))
	r, refused := refusals[x.Number]
	refused = refused && (r.modes == nil || r.modes[0] == m.signing)
	switch {
	case isEvents(x) && !refused && x.Number == wrongEventKey:
		m.replayWrongKey(t, server, address, x)
		return
	case isEvents(x) && !refused:
		m.replayEvents(t, server, address, x)
		return
	}
	answer := exchange(t, address, m.appSends(t, x))

	if refused {
		if answer.status() != x.Response.Status || answer.get(inngest.HeaderGatewayError) != string(r.code) {
			t.Errorf("answer = %s %s, want %d %s: %s", answer.start, answer.body, x.Response.Status, r.code, r.why)
		}
		wantNothing(t, server, r.why)
		return
	}
	if got, want := answer.status(), x.Response.Status; got != want {
		t.Fatalf("status = %d, recorded %d: %s", got, want, answer.body)
	}
	if !bytes.Equal(answer.body, x.Response.Body) {
		t.Errorf("body = %q, recorded %q", answer.body, x.Response.Body)
	}
	// Date is the gateway's own here too.
	if diff := cmp.Diff(endToEnd(m.wantFields(x), "Date"), endToEnd(answer.fields, "Date")); diff != "" {
		t.Errorf("header of the answer (-recorded +got):\n%s", diff)
	}
	requests := server.got()
	if len(requests) != 1 {
		t.Fatalf("Inngest got %d requests", len(requests))
	}
	m.wantArrival(t, requests[0], x, server.address)
}

// isRegistration tells whether the registry takes the request: it sends the
// registration on as a request of its own.
func isRegistration(x recorded.Exchange) bool { return pathOf(x) == "/fn/register" }

// appSends is a recorded request as an app in that mode sends it: with its own
// token and event key in the place of the real ones. An app in development puts
// any word where its key should be.
func (m mode) appSends(tb testing.TB, x recorded.Exchange) message {
	request := requestOf(x)
	request.fields = m.appCredentials(tb, request.fields)
	if m.signing == config.SigningPassthrough {
		return request
	}
	key := localEventKey
	if m.signing == config.SigningStrip {
		key = "NO_EVENT_KEY_SET"
	}
	request.start = strings.Replace(request.start, "/e/"+recorded.EventKey+" ", "/e/"+key+" ", 1)
	return request
}

// wantFields is the header that the app must get. In the answer to a
// registration, which the registry makes of Inngest's, nothing is left of what
// only matters to caches.
func (m mode) wantFields(x recorded.Exchange) []recorded.Header {
	if isRegistration(x) {
		return with(x.Response.Headers, "Vary", "")
	}
	return x.Response.Headers
}

// wantArrival compares what Inngest got with what was recorded. Target, body
// and header are the recorded ones, in all modes with the real token and the
// real event key, but for
//   - Host, which is the server's,
//   - registrations, see wantRegistration,
//   - events, see replayEvents,
//   - the wrong credentials of 138, which in strip are as good as none at all:
//     nobody can tell who asks, so the listener is private.
func (m mode) wantArrival(t *testing.T, got message, x recorded.Exchange, host string) {
	t.Helper()
	if isRegistration(x) {
		m.wantRegistration(t, got, x, host)
		return
	}
	want := requestOf(x)
	want.fields = with(want.fields, "Host", host)
	if real := "Bearer " + signature.BearerToken(m.real); m.signing == config.SigningStrip {
		if want.get("Authorization") != "" {
			want.fields = with(want.fields, "Authorization", real)
		}
	}
	if got.start != want.start {
		t.Errorf("Inngest got %q, want %q", got.start, want.start)
	}
	if !bytes.Equal(got.body, want.body) {
		t.Errorf("Inngest got the body %q, want %q", got.body, want.body)
	}
	if diff := cmp.Diff(endToEnd(want.fields), endToEnd(got.fields)); diff != "" {
		t.Errorf("header that Inngest got (-recorded +got):\n%s", diff)
	}
}

// wantRegistration checks a registration on its way to Inngest. Its URLs lead
// to the gateway, with scheme, host and path of its public URL, and all else in
// it is as the app wrote it. The request is the gateway's own: what the SDK says
// of itself in headers passes, what its HTTP client says does not.
func (m mode) wantRegistration(t *testing.T, got message, x recorded.Exchange, host string) {
	t.Helper()
	if got.start != "POST "+x.Request.Target+" HTTP/1.1" {
		t.Errorf("Inngest got %q", got.start)
	}
	origin, path := jsOrigin, "/js"
	if bytes.Contains(x.Request.Body, []byte(`"appName":"go-app"`)) {
		origin, path = goOrigin, "/go"
	}
	body := bytes.ReplaceAll(x.Request.Body, []byte(origin+appPath), []byte(publicOrigin+path))
	body = bytes.ReplaceAll(body, []byte(`\u0026`), []byte("&")) // of Go, in URLs alone, which are written anew
	if diff := cmp.Diff(string(body), string(got.body)); diff != "" {
		t.Errorf("registration (-want +got):\n%s", diff)
	}
	want := fields("Host", host, "Content-Type", "application/json",
		"Authorization", "Bearer "+signature.BearerToken(m.real), inngest.HeaderSyncKind, inngest.SyncOutOfBand)
	for _, f := range x.Request.Headers {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		if strings.HasPrefix(name, "X-Inngest-") || name == "User-Agent" {
			want = with(want, f.Name, f.Value)
		}
	}
	if diff := cmp.Diff(endToEnd(want), endToEnd(got.fields)); diff != "" {
		t.Errorf("header of the registration (-want +got):\n%s", diff)
	}
}
