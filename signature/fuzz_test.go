package signature

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"testing"

	cyberphone "github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/gowebpki/jcs"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// headerForm is the reference that parseHeader is compared with.
var headerForm = regexp.MustCompile(`\At=(0|[1-9][0-9]*)&s=([0-9a-f]{64})\z`)

func FuzzParseHeader(f *testing.F) {
	for _, x := range recorded.Load(f) {
		f.Add([]byte(x.Request.Get(inngest.HeaderSignature)))
		f.Add([]byte(x.Response.Get(inngest.HeaderSignature)))
	}
	f.Add([]byte("t=9223372036854775808&s=654932a0f9bb5f8be12fba32bfdf9b63cf9ba4614ce37cd34cab55c802e70cf4"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := parseHeader(text)
		form := headerForm.FindSubmatch(text)
		wantOK := form != nil
		var want int64
		if wantOK {
			var err error
			want, err = strconv.ParseInt(string(form[1]), 10, 64)
			wantOK = err == nil
		}
		if ok != wantOK {
			t.Fatalf("parseHeader(%q) = %v, the reference says %v", text, ok, wantOK)
		}
		if !ok {
			return
		}
		if got.unix != want || string(got.digits) != string(form[1]) || hex.EncodeToString(got.sum[:]) != string(form[2]) {
			t.Errorf("parseHeader(%q) = %+v", text, got)
		}
		if again := "t=" + strconv.FormatInt(got.unix, 10) + "&s=" + hex.EncodeToString(got.sum[:]); again != string(text) {
			t.Errorf("parseHeader(%q) reads what is written %q", text, again)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, x := range recorded.Load(f) {
		f.Add(x.Request.Body)
		f.Add(x.Response.Body)
	}
	for _, text := range []string{
		`[1e21,1e-7,-0,0.1,9007199254740993,1e400,333333333.33333329,4.50,2e-3]`,
		`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`,
		`"\ud800"`, `{"a":1,"a":2}`, " [ ] ", `"\u2028<>&\/\b"`, "[\"\xff\"]", `[1,]`, `01`, `[NaN]`, `nul`, ``, `7`, `"s"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got, err := Canonical(body)
		if !bytes.Equal(before, body) {
			t.Fatalf("Canonical changed its argument %q to %q", before, body)
		}
		first, firstErr := jcs.Transform(append([]byte{}, body...))
		if (err == nil) != (firstErr == nil) || !bytes.Equal(got, first) {
			t.Errorf("Canonical(%q) = %q, %v, jcs says %q, %v", body, got, err, first, firstErr)
		}
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Errorf("Canonical(%q) = %q, which is no JSON", body, got)
		}
		if again, err := Canonical(got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("Canonical(%q) = %q, %v: not idempotent", got, again, err)
		}
		// The second library knows no bare values at the top.
		second, secondErr := cyberphone.Transform(body)
		if bare := got[0] != '{' && got[0] != '['; !bare && (secondErr != nil || !bytes.Equal(second, got)) {
			t.Errorf("Canonical(%q) = %q, the second library says %q, %v", body, got, second, secondErr)
		}
	})
}

// Whatever body is signed, verifies, and in any spelling of it too.
func FuzzSignVerify(f *testing.F) {
	key := mustKey(f, recorded.SigningKey)
	v := verifierAt(f, at, mustKey(f, otherKey), key)
	for _, x := range recorded.Load(f) {
		f.Add(x.Request.Body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		header := []byte(Sign(key, body, at))
		if err := v.Verify(header, body); err != nil {
			t.Errorf("Verify of %q: %v", body, err)
		}
		if canonical, err := Canonical(body); err == nil {
			header = []byte(Sign(key, canonical, at))
			if err := v.Verify(header, body); err != nil {
				t.Errorf("Verify of %q, signed in canonical form: %v", body, err)
			}
		}
		if changed := append(bytes.Clone(body), '!'); v.Verify(header, changed) == nil || v.VerifyAnswer(header, changed) == nil {
			t.Errorf("Verify believes %q", changed)
		}
	})
}
