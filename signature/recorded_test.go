package signature

import (
	"errors"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const maxCanonical = 1 << 20

func mustKey(tb testing.TB, text string) Key {
	tb.Helper()
	k, err := ParseKey(text)
	if err != nil {
		tb.Fatalf("ParseKey: %v", err)
	}
	return k
}

// verifierAt returns a verifier whose clock stands at that time.
func verifierAt(tb testing.TB, at time.Time, keys ...Key) *Verifier {
	tb.Helper()
	return newVerifier(tb, Options{
		Keys:         keys,
		Tolerance:    5 * time.Minute,
		MaxCanonical: maxCanonical,
		Now:          func() time.Time { return at },
	})
}

func newVerifier(tb testing.TB, o Options) *Verifier {
	tb.Helper()
	v, err := NewVerifier(o)
	if err != nil {
		tb.Fatalf("NewVerifier: %v", err)
	}
	return v
}

// reason returns why a verification failed, the empty reason if it did not.
func reason(tb testing.TB, err error) Reason {
	tb.Helper()
	var reject *RejectError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &reject):
		tb.Fatalf("error %v is no RejectError", err)
	}
	return reject.Reason
}

// rawVerifier verifies over raw bytes alone.
func rawVerifier(tb testing.TB, header string) *Verifier {
	tb.Helper()
	return newVerifier(tb, Options{
		Keys:         []Key{mustKey(tb, recorded.SigningKey)},
		Tolerance:    time.Second,
		MaxCanonical: -1,
		Now:          func() time.Time { return recorded.SignedAt(header) },
	})
}

func TestVerify_believesEveryRecordedRequest(t *testing.T) {
	signed := 0
	for _, x := range recorded.Load(t) {
		header := x.Request.Get(inngest.HeaderSignature)
		if header == "" {
			continue
		}
		signed++
		if err := rawVerifier(t, header).Verify([]byte(header), x.Request.Body); err != nil {
			t.Errorf("%s: %v", x.Name, err)
		}
	}
	if signed < 85 {
		t.Errorf("only %d recorded requests are signed", signed)
	}
}

func TestVerifyAnswer_believesEveryRecordedAnswer(t *testing.T) {
	newline := map[int]bool{32: true, 34: true}      // Go signs before it appends a newline
	compressed := map[int]bool{101: true, 102: true} // signed before the compression
	signed := 0
	for _, x := range recorded.Load(t) {
		header := x.Response.Get(inngest.HeaderSignature)
		if header == "" {
			continue
		}
		signed++
		v := rawVerifier(t, header)
		if err := v.VerifyAnswer([]byte(header), x.Response.Plain(t)); err != nil {
			t.Errorf("%s: %v", x.Name, err)
		}
		wantRaw := Reason("")
		if newline[x.Number] || compressed[x.Number] {
			wantRaw = ReasonMismatch
		}
		if got := reason(t, v.Verify([]byte(header), x.Response.Body)); got != wantRaw {
			t.Errorf("%s: over the bytes as they were sent: reason %q, want %q", x.Name, got, wantRaw)
		}
	}
	if signed < 60 {
		t.Errorf("only %d recorded answers are signed", signed)
	}
}

func TestSign_makesEveryRecordedSignature(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	for _, x := range recorded.Load(t) {
		want := x.Request.Get(inngest.HeaderSignature)
		if want == "" {
			continue
		}
		if got := Sign(key, x.Request.Body, recorded.SignedAt(want)); got != want {
			t.Errorf("%s: Sign = %s, want %s", x.Name, got, want)
		}
	}
}

func TestBearerToken_isTheRecordedOne(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	seen := 0
	for _, x := range recorded.Load(t) {
		if x.Number != 1 && x.Number != 25 && x.Number != 31 && x.Number != 37 {
			continue
		}
		seen++
		if got, want := "Bearer "+BearerToken(key), x.Request.Get("Authorization"); got != want {
			t.Errorf("%s: BearerToken = %s, want %s", x.Name, got, want)
		}
	}
	if seen != 4 {
		t.Errorf("%d recorded registrations, want 4", seen)
	}
}

func TestCanonical_leavesEveryRecordedCallAsItIs(t *testing.T) {
	calls := 0
	for _, x := range recorded.Load(t) {
		if x.Direction != recorded.ToApp || x.Request.Method != "POST" || len(x.Request.Body) == 0 {
			continue
		}
		calls++
		got, err := Canonical(x.Request.Body)
		if err != nil || string(got) != string(x.Request.Body) {
			t.Errorf("%s: Canonical = %s, %v, want %s", x.Name, got, err, x.Request.Body)
		}
	}
	if calls < 60 {
		t.Errorf("only %d recorded calls", calls)
	}
}

// The server's PUT is 43 bytes long: every bit of it, of its time and of its
// signature counts.
func TestVerify_noticesEveryChangedBit(t *testing.T) {
	x := recorded.One(t, 29)
	header, body := []byte(x.Request.Get(inngest.HeaderSignature)), x.Request.Body
	v := verifierAt(t, recorded.SignedAt(string(header)), mustKey(t, recorded.SigningKey))
	if err := v.VerifyAnswer(header, body); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for part, text := range map[string][]byte{"header": header, "body": body} {
		for bit := range 8 * len(text) {
			text[bit/8] ^= 1 << (bit % 8)
			if v.Verify(header, body) == nil || v.VerifyAnswer(header, body) == nil {
				t.Errorf("bit %d of the %s changed, still believed: %q %q", bit, part, header, body)
			}
			text[bit/8] ^= 1 << (bit % 8)
		}
	}
	for cut := range len(body) {
		if v.VerifyAnswer(header, body[:cut]) == nil || v.VerifyAnswer(header, body[cut+1:]) == nil {
			t.Errorf("body cut at %d, still believed", cut)
		}
	}
}
