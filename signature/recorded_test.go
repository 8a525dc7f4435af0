package signature

import (
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const maxCanonical = 1 << 20

func mustKey(t testing.TB, text string) Key {
	t.Helper()
	k, err := ParseKey(text)
	if err != nil {
		t.Fatalf("ParseKey: %v", err)
	}
	return k
}

// verifierAt returns a verifier whose clock stands at that time.
func verifierAt(t testing.TB, at time.Time, keys ...Key) *Verifier {
	t.Helper()
	v, err := NewVerifier(Options{
		Keys:         keys,
		Tolerance:    5 * time.Minute,
		MaxCanonical: maxCanonical,
		Now:          func() time.Time { return at },
	})
	if err != nil {
		t.Fatalf("NewVerifier: %v", err)
	}
	return v
}

func TestVerify_believesEveryRecordedSignature(t *testing.T) {
	key := mustKey(t, recorded.SigningKey)
	requests, answers := 0, 0
	for _, x := range recorded.Load(t) {
		if sig := x.Request.Get(inngest.HeaderSignature); sig != "" {
			requests++
			v := verifierAt(t, recorded.SignedAt(sig), key)
			if err := v.Verify([]byte(sig), x.Request.Body); err != nil {
				t.Errorf("%s: request: %v", x.Name, err)
			}
		}
		sig := x.Response.Get(inngest.HeaderSignature)
		if sig == "" {
			continue
		}
		answers++
		v := verifierAt(t, recorded.SignedAt(sig), key)
		err := v.VerifyAnswer([]byte(sig), x.Response.Plain(t))
		if err != nil {
			t.Errorf("%s: answer: %v", x.Name, err)
		}
	}
	if requests < 80 || answers < 60 {
		t.Errorf("only %d requests and %d answers were signed", requests, answers)
	}
}
