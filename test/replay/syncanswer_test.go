package replay

import (
	"fmt"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// asAnswered is the app's own answer, signed by the gateway where the mode
// signs.
func asAnswered(tb testing.TB, m mode, c syncCase, at time.Time) message {
	return m.wantAnswer(tb, recorded.One(tb, c.app), at)
}

// inBand is an app's functions. Where they are signed anew they are canonical
// JSON, and nothing that spoke of other bytes stays.
func inBand(tb testing.TB, m mode, c syncCase, at time.Time) message {
	tb.Helper()
	want := answerOf(recorded.One(tb, c.app))
	want.fields = with(want.fields, "Content-Type", want.get("Content-Type")) // Go has it twice, see 45
	if !m.seals() {
		return want
	}
	body, err := signature.Canonical(want.body)
	if err != nil {
		tb.Fatal(err)
	}
	want.body = body
	want.fields = with(with(want.fields, "ETag", ""), "Content-Type", "application/json")
	want.fields = with(want.fields, inngest.HeaderSignature, signature.Sign(m.real, body, at))
	return want
}

// outOfBand is what a server hears that expects a registration: as JS answers
// it (29), in the name of the SDK that it was made for.
func outOfBand(tb testing.TB, m mode, c syncCase, at time.Time) message {
	tb.Helper()
	app := recorded.One(tb, c.app).Response
	body := []byte(`{"message":"Successfully registered","modified":true}`)
	return message{start: "HTTP/1.1 200 OK", body: body, fields: fields(
		"Content-Type", "application/json",
		"User-Agent", app.Get("User-Agent"),
		inngest.HeaderSDK, app.Get(inngest.HeaderSDK),
		inngest.HeaderSDKHandled, "true",
		inngest.HeaderRequestVersion, "2",
		inngest.HeaderSyncKind, inngest.SyncOutOfBand,
		inngest.HeaderExpectedServerKind, recorded.One(tb, c.put).Request.Get(inngest.HeaderServerKind),
		inngest.HeaderSignature, signature.Sign(m.real, body, at),
	)}
}

// hint is all that the sender of an unsigned PUT learns.
func hint(testing.TB, mode, syncCase, time.Time) message {
	return message{
		start:  "HTTP/1.1 200 OK",
		fields: fields("Content-Type", "application/json", inngest.HeaderSDKHandled, "true"),
		body:   []byte(`{"message":"Sync requested","modified":false}`),
	}
}

// refused is the answer where unsigned PUTs are not taken at all.
func refused(testing.TB, mode, syncCase, time.Time) message {
	code := inngest.CodeUnsignedSyncRefused
	detail := "The sync has no signature, and this gateway takes signed ones only."
	return message{
		start:  "HTTP/1.1 401 Unauthorized",
		fields: fields("Content-Type", inngest.ContentTypeProblem, "Cache-Control", "no-store", inngest.HeaderGatewayError, string(code)),
		body:   fmt.Appendf(nil, `{"detail":%q,"status":401,"code":%q,"message":%q,"error":%q}`, detail, code, detail, detail),
	}
}
