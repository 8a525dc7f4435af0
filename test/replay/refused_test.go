package replay

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// A forgery is a recorded request that somebody has changed.
type forgery struct {
	change func(testing.TB, *message)
	code   inngest.Code
}

// forgeries are what no app may see. The clock stands where the recording was
// signed, and the tolerance is 5 minutes.
func forgeries() map[string]forgery {
	const (
		missing   = inngest.CodeSignatureMissing
		malformed = inngest.CodeSignatureMalformed
		expired   = inngest.CodeSignatureExpired
		mismatch  = inngest.CodeSignatureMismatch
	)
	all := map[string]forgery{
		"no header":             {sign(func(string, string) string { return "" }), missing},
		"two headers":           {again, malformed},
		"two headers, one foul": {againAs("x"), malformed},

		"key of somebody else": {signedBy(strangeKey, 0), mismatch},
		"key of the app":       {signedBy(localKey, 0), mismatch},
		"one byte more":        {tampered(func(b []byte) []byte { return append(b, ' ', '1') }), mismatch},
		"one byte less":        {tampered(func(b []byte) []byte { return b[:len(b)-1] }), mismatch},
		"one bit":              {tampered(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), mismatch},
		"no body":              {tampered(func([]byte) []byte { return nil }), mismatch},
		"another call's body":  {anotherBody, mismatch},
		"time moved":           {moved(time.Second), mismatch},
		"one digit of the sum": {sign(func(at, sum string) string { return "t=" + at + "&s=" + string(sum[0]^1) + sum[1:] }), mismatch},

		"too old":          {signedBy(recorded.SigningKey, -5*time.Minute-time.Second), expired},
		"too new":          {signedBy(recorded.SigningKey, 5*time.Minute+time.Second), expired},
		"a day old":        {signedBy(recorded.SigningKey, -24*time.Hour), expired},
		"a year ahead":     {signedBy(recorded.SigningKey, 365*24*time.Hour), expired},
		"in milliseconds":  {sign(func(at, sum string) string { return "t=" + at + "000&s=" + sum }), expired},
		"the first second": {sign(func(_, sum string) string { return "t=1&s=" + sum }), expired},
	}
	for name, form := range malformedForms() {
		all["form: "+name] = forgery{sign(form), malformed}
	}
	return all
}

// malformedForms write a good time and a good sum in a way that is not
// t=<digits>&s=<64 lower hex digits>.
func malformedForms() map[string]func(at, sum string) string {
	return map[string]func(at, sum string) string{
		"no time":               func(_, sum string) string { return "s=" + sum },
		"no sum":                func(at, _ string) string { return "t=" + at },
		"empty time":            func(_, sum string) string { return "t=&s=" + sum },
		"empty sum":             func(at, _ string) string { return "t=" + at + "&s=" },
		"other order":           func(at, sum string) string { return "s=" + sum + "&t=" + at },
		"time twice":            func(at, sum string) string { return "t=" + at + "&t=" + at + "&s=" + sum },
		"sum twice":             func(at, sum string) string { return "t=" + at + "&s=" + sum + "&s=" + sum },
		"sum twice, first foul": func(at, sum string) string { return "t=" + at + "&s=" + strings.Repeat("0", 64) + "&s=" + sum },
		"further part":          func(at, sum string) string { return "t=" + at + "&s=" + sum + "&v=1" },
		"part before":           func(at, sum string) string { return "v=1&t=" + at + "&s=" + sum },
		"ends with &":           func(at, sum string) string { return "t=" + at + "&s=" + sum + "&" },
		"plus sign":             func(at, sum string) string { return "t=+" + at + "&s=" + sum },
		"minus sign":            func(at, sum string) string { return "t=-" + at + "&s=" + sum },
		"leading zero":          func(at, sum string) string { return "t=0" + at + "&s=" + sum },
		"fraction":              func(at, sum string) string { return "t=" + at + ".0&s=" + sum },
		"exponent":              func(_, sum string) string { return "t=1e9&s=" + sum },
		"hexadecimal time":      func(_, sum string) string { return "t=0x6b05e2b0&s=" + sum },
		"overflow":              func(_, sum string) string { return "t=99999999999999999999&s=" + sum },
		"digits of elsewhere":   func(_, sum string) string { return "t=١٧٩٥٤٩٢٣٦٨&s=" + sum },
		"underscore":            func(at, sum string) string { return "t=" + at[:4] + "_" + at[4:] + "&s=" + sum },
		"space before time":     func(at, sum string) string { return "t= " + at + "&s=" + sum },
		"space behind time":     func(at, sum string) string { return "t=" + at + " &s=" + sum },
		"space before sum":      func(at, sum string) string { return "t=" + at + "&s= " + sum },
		"tab between":           func(at, sum string) string { return "t=" + at + "\t&s=" + sum },
		"upper-case hex":        func(at, sum string) string { return "t=" + at + "&s=" + strings.ToUpper(sum) },
		"upper-case names":      func(at, sum string) string { return "T=" + at + "&S=" + sum },
		"sum too short":         func(at, sum string) string { return "t=" + at + "&s=" + sum[:63] },
		"sum too long":          func(at, sum string) string { return "t=" + at + "&s=" + sum + "0" },
		"no hex":                func(at, sum string) string { return "t=" + at + "&s=" + sum[:63] + "g" },
		"sum of the prefix":     func(at, sum string) string { return "t=" + at + "&s=0x" + sum[:62] },
		"comma":                 func(at, sum string) string { return "t=" + at + ",s=" + sum },
		"semicolon":             func(at, sum string) string { return "t=" + at + ";s=" + sum },
		"encoded":               func(at, sum string) string { return "t%3D" + at + "%26s%3D" + sum },
		"quoted":                func(at, sum string) string { return `"t=` + at + "&s=" + sum + `"` },
		"two in one":            func(at, sum string) string { return "t=" + at + "&s=" + sum + ", t=" + at + "&s=" + sum },
		"sum alone":             func(_, sum string) string { return sum },
		"a bearer token":        func(_, sum string) string { return "Bearer " + sum },
		"a word":                func(string, string) string { return "true" },
	}
}

func TestSignature_whatIsNotBelievedReachesNoApp(t *testing.T) {
	call := recorded.One(t, 5)
	eachMode(t, func(t *testing.T, m mode) {
		app, server, at := startDouble(t), startDouble(t), &clock{}
		at.set(recorded.SignedAt(call.Request.Get(inngest.HeaderSignature)))
		g := startGateway(t, configuration(server, m.appAt(app, "js-app", appPath)), at)
		for name, f := range forgeries() {
			t.Run(name, func(t *testing.T) {
				request := requestOf(call)
				f.change(t, &request)
				wantRefusal(t, exchange(t, g.InngestAddr(), request), 401, f.code)
			})
		}
		if n := app.connections(); n != 0 {
			t.Fatalf("the app saw %d connections", n)
		}
		// What is good, and at the very edge of the tolerance, passes: the rest
		// was not refused for a reason of the test.
		app.says(m.appAnswers(t, call))
		for _, age := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
			request := requestOf(call)
			signedBy(recorded.SigningKey, age)(t, &request)
			if answer := exchange(t, g.InngestAddr(), request); answer.status() != call.Response.Status {
				t.Errorf("signed %v away: answer = %s %s", age, answer.start, answer.body)
			}
		}
	})
}

// Whatever else Inngest sends is believed no sooner than a call.
func TestSignature_countsForEveryKindOfRequest(t *testing.T) {
	kinds := map[string]int{
		"introspection": 40, "probe": 42, "sync": 29, "in-band sync": 26,
		"call after a redirect, a GET": 100, "durable endpoint": 128,
	}
	forms := map[string]forgery{
		"key of somebody else": {signedBy(strangeKey, 0), inngest.CodeSignatureMismatch},
		"another body":         {tampered(func(b []byte) []byte { return append(b, 'x') }), inngest.CodeSignatureMismatch},
		"too old":              {signedBy(recorded.SigningKey, -6*time.Minute), inngest.CodeSignatureExpired},
		"too new":              {signedBy(recorded.SigningKey, 6*time.Minute), inngest.CodeSignatureExpired},
		"malformed":            {sign(malformedForms()["upper-case hex"]), inngest.CodeSignatureMalformed},
		"two headers":          {again, inngest.CodeSignatureMalformed},
		"no header":            {sign(func(string, string) string { return "" }), inngest.CodeSignatureMissing},
	}
	eachMode(t, func(t *testing.T, m mode) {
		app, server, at := startDouble(t), startDouble(t), &clock{}
		sdk, raw := m.appAt(app, "js-app", appPath), m.appAt(app, "raw", "/t/r302")
		sdk.DurableEndpoints = []string{"/work"}
		g := startGateway(t, configuration(server, sdk, raw), at)
		for kind, number := range kinds {
			x := recorded.One(t, number)
			at.set(recorded.SignedAt(x.Request.Get(inngest.HeaderSignature)))
			for name, f := range forms {
				if x.Request.Method == "PUT" && f.code == inngest.CodeSignatureMissing {
					continue // a hint, see sync_test.go
				}
				t.Run(kind+", "+name, func(t *testing.T) {
					request := requestOf(x)
					f.change(t, &request)
					wantRefusal(t, exchange(t, g.InngestAddr(), request), 401, f.code)
				})
			}
		}
		if n := app.connections(); n != 0 {
			t.Errorf("the app saw %d connections", n)
		}
		wantNothing(t, server, "it was not believed")
	})
}

// sign writes another signature header, of the recorded time and sum.
func sign(form func(at, sum string) string) func(testing.TB, *message) {
	return func(tb testing.TB, request *message) {
		at, sum, ok := strings.Cut(strings.TrimPrefix(request.get(inngest.HeaderSignature), "t="), "&s=")
		if !ok {
			tb.Fatalf("recorded signature %q", request.get(inngest.HeaderSignature))
		}
		request.fields = with(request.fields, inngest.HeaderSignature, form(at, sum))
	}
}

// signedBy signs the body with another key, or at another time than that of
// the recording.
func signedBy(text string, later time.Duration) func(testing.TB, *message) {
	return func(tb testing.TB, request *message) {
		at := recorded.SignedAt(request.get(inngest.HeaderSignature)).Add(later)
		request.fields = with(request.fields, inngest.HeaderSignature, signature.Sign(key(tb, text), request.body, at))
	}
}

// moved keeps the sum and says another time, within the tolerance.
func moved(by time.Duration) func(testing.TB, *message) {
	return func(tb testing.TB, request *message) {
		at := recorded.SignedAt(request.get(inngest.HeaderSignature)).Add(by)
		sign(func(_, sum string) string { return fmt.Sprintf("t=%d&s=%s", at.Unix(), sum) })(tb, request)
	}
}

// again says the good signature twice; a parser may take either.
func again(tb testing.TB, request *message) {
	againAs(request.get(inngest.HeaderSignature))(tb, request)
}

func againAs(value string) func(testing.TB, *message) {
	return func(_ testing.TB, request *message) {
		request.fields = append(request.fields, fields(strings.ToLower(inngest.HeaderSignature), value)...)
	}
}

// tampered changes the body and leaves the signature.
func tampered(change func([]byte) []byte) func(testing.TB, *message) {
	return func(_ testing.TB, request *message) {
		request.body = change(bytes.Clone(request.body))
		request.fields = with(request.fields, "Content-Length", fmt.Sprint(len(request.body)))
	}
}

// anotherBody replays a signature over the body of another recorded call.
func anotherBody(tb testing.TB, request *message) {
	body := recorded.One(tb, 6).Request.Body
	tampered(func([]byte) []byte { return body })(tb, request)
}
