package apps

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

const (
	fallbackText = "signkey-prod-fedcba0987654321fedcba0987654321"
	localText    = "signkey-local-0011223344556677"
)

func mustKey(t testing.TB, text string) signature.Key {
	t.Helper()
	k, err := signature.ParseKey(text)
	if err != nil {
		t.Fatalf("ParseKey: %v", err)
	}
	return k
}

func newBudget(t testing.TB, bytes int64) *budget.Budget {
	t.Helper()
	b, err := budget.New(budget.Options{Max: bytes, Wait: 10 * time.Millisecond, Metrics: metrics.New(prometheus.NewRegistry()).Budget})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used := b.Used(); used != 0 {
			t.Errorf("%d bytes of the budget were not given back", used)
		}
	})
	return b
}

// pairOptions returns what a pair with the recorded key needs.
func pairOptions(t testing.TB, mode Mode, now func() time.Time) PairOptions {
	return PairOptions{
		Mode:         mode,
		Keys:         signature.Keyring{Current: mustKey(t, recorded.SigningKey), Others: []signature.Key{mustKey(t, fallbackText)}},
		Local:        signature.Keyring{Current: mustKey(t, localText)},
		Tolerance:    5 * time.Minute,
		MaxCanonical: 1 << 20,
		MaxAnswer:    1 << 20,
		Budget:       newBudget(t, 4<<20),
		Now:          now,
	}
}

func newPair(t testing.TB, o PairOptions) *Pair {
	t.Helper()
	p, err := NewPair(o)
	if err != nil {
		t.Fatalf("NewPair: %v", err)
	}
	return p
}

// signedBy returns which of the keys made the signature.
func signedBy(t testing.TB, sig, body []byte, now time.Time) string {
	t.Helper()
	if len(sig) == 0 {
		return "nobody"
	}
	by := "a stranger"
	for name, text := range map[string]string{"real": recorded.SigningKey, "fallback": fallbackText, "local": localText} {
		v, err := signature.NewVerifier(signature.Options{
			Keys: []signature.Key{mustKey(t, text)}, Tolerance: time.Minute, MaxCanonical: -1, Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		if v.Verify(sig, body) == nil {
			by = name
		}
	}
	return by
}

func at(when time.Time) func() time.Time { return func() time.Time { return when } }

func TestPair_signsWithTheKeyOfItsModeOnly(t *testing.T) {
	x := recording(t, 5) // a call and its answer, both signed
	sig := []byte(x.Request.Get(inngest.HeaderSignature))
	now := recorded.SignedAt(string(sig))
	for name, c := range map[string]struct {
		mode          Mode
		answerKey     string
		request, back string
	}{
		"passthrough": {Passthrough, recorded.SigningKey, "real", "real"},
		"resign":      {Resign, localText, "local", "real"},
		"strip":       {Strip, "", "nobody", "real"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, pairOptions(t, c.mode, at(now.Add(time.Second))))
			if err := errors.Join(p.CheckHeader(sig), p.OpenRequest(sig, x.Request.Body)); err != nil {
				t.Fatalf("OpenRequest: %v", err)
			}
			cl := &call.Call{Body: x.Request.Body, Signature: sig}
			if err := p.SealRequest(cl); err != nil {
				t.Fatal(err)
			}
			if got := signedBy(t, cl.Signature, cl.Body, now); got != c.request {
				t.Errorf("the request is signed by %s, want %s", got, c.request)
			}
			a := &call.Answer{Status: 206, Body: x.Response.Body}
			if c.answerKey != "" {
				a.Set(inngest.HeaderSignature, signature.Sign(mustKey(t, c.answerKey), a.Body, now))
			}
			if err := errors.Join(p.OpenAnswer(a), p.SealAnswer(a)); err != nil {
				t.Fatal(err)
			}
			if got := signedBy(t, a.Get(inngest.HeaderSignature), a.Body, now); got != c.back {
				t.Errorf("the answer is signed by %s, want %s", got, c.back)
			}
			if string(a.Body) != string(x.Response.Body) {
				t.Error("the body of the answer changed")
			}
		})
	}
}

func TestPair_signsCallsThatTheGatewayHasChanged(t *testing.T) {
	now := time.Unix(1795541406, 0)
	for mode, want := range map[Mode]string{Passthrough: "real", Resign: "local", Strip: "nobody"} {
		cl := &call.Call{Body: []byte(`{"changed":true}`), Signature: []byte("t=1&s=x")}
		if err := newPair(t, pairOptions(t, mode, at(now))).SealChanged(cl); err != nil {
			t.Fatal(err)
		}
		if got := signedBy(t, cl.Signature, cl.Body, now); got != want {
			t.Errorf("%s: the call is signed by %s, want %s", mode, got, want)
		}
	}
}

func TestPair_passthroughLeavesSignaturesAsTheyCame(t *testing.T) {
	p := newPair(t, pairOptions(t, Passthrough, time.Now))
	c := &call.Call{Signature: []byte("t=1&s=x")}
	a := &call.Answer{Status: 200, Body: []byte("x")}
	a.Set(inngest.HeaderSignature, "t=1&s=x")
	if err := errors.Join(p.SealRequest(c), p.OpenAnswer(a), p.SealAnswer(a)); err != nil {
		t.Fatal(err)
	}
	if string(c.Signature) != "t=1&s=x" || string(a.Get(inngest.HeaderSignature)) != "t=1&s=x" || p.NeedsWhole() {
		t.Errorf("passthrough changed something: %q, %q, whole %v", c.Signature, a.Get(inngest.HeaderSignature), p.NeedsWhole())
	}
}

func TestPair_believesEveryRealKeyAndNoOther(t *testing.T) {
	now := time.Unix(1795541406, 0)
	body := []byte(`{"a":1}`)
	for name, c := range map[string]struct {
		key  string
		want signature.Reason
	}{
		"current":  {recorded.SigningKey, ""},
		"fallback": {fallbackText, ""},
		"local":    {localText, signature.ReasonMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []Mode{Passthrough, Resign, Strip} {
				err := newPair(t, pairOptions(t, mode, at(now))).
					OpenRequest([]byte(signature.Sign(mustKey(t, c.key), body, now)), body)
				var reject *signature.RejectError
				if errors.As(err, &reject) != (c.want != "") || reject != nil && reject.Reason != c.want {
					t.Errorf("%s: OpenRequest = %v, want reason %q", mode, err, c.want)
				}
			}
		})
	}
}

func TestPair_withoutVerificationBelievesAll(t *testing.T) {
	o := pairOptions(t, Passthrough, time.Now)
	o.SkipVerify, o.Keys = true, signature.Keyring{}
	p := newPair(t, o)
	if err := errors.Join(p.CheckHeader(nil), p.OpenRequest(nil, []byte("x"))); err != nil || p.Verifies() {
		t.Errorf("OpenRequest = %v, Verifies = %v", err, p.Verifies())
	}
	o.Mode = Strip
	a := &call.Answer{Status: 200}
	a.Set(inngest.HeaderSignature, "t=1&s=x")
	if err := newPair(t, o).SealAnswer(a); err != nil || a.Has(inngest.HeaderSignature) {
		t.Errorf("without a key SealAnswer left %q (%v)", a.Get(inngest.HeaderSignature), err)
	}
}

func TestPair_resignRefusesAnswersOfAnotherKey(t *testing.T) {
	now := time.Unix(1795541406, 0)
	p := newPair(t, pairOptions(t, Resign, at(now)))
	a := &call.Answer{Status: 200, Body: []byte("{}")}
	if err := p.OpenAnswer(a); err != nil {
		t.Errorf("an answer without a signature: %v", err) // Go signs none
	}
	a.Set(inngest.HeaderSignature, signature.Sign(mustKey(t, localText), []byte("{}"), now))
	if err := p.OpenAnswer(a); err != nil {
		t.Errorf("an answer by the local key: %v", err)
	}
	a.Set(inngest.HeaderSignature, signature.Sign(mustKey(t, recorded.SigningKey), []byte("{}"), now))
	var untrusted *Error
	if err := p.OpenAnswer(a); !errors.As(err, &untrusted) || untrusted.Code != inngest.CodeUpstreamUntrusted {
		t.Errorf("an answer by the real key: %v, want %s", err, inngest.CodeUpstreamUntrusted)
	}
}

func TestPair_doesNotSignWhatIsCompressed(t *testing.T) {
	p := newPair(t, pairOptions(t, Strip, time.Now))
	a := &call.Answer{Status: 200, Body: []byte("x")}
	a.Set("Content-Encoding", "gzip")
	var refusal *Error
	if err := p.SealAnswer(a); !errors.As(err, &refusal) || refusal.Code != inngest.CodeUpstreamEncoding {
		t.Errorf("SealAnswer = %v, want %s", err, inngest.CodeUpstreamEncoding)
	}
}

func TestNewPair_refusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*PairOptions){
		"no key":                   func(o *PairOptions) { o.Keys = signature.Keyring{} },
		"resign without local key": func(o *PairOptions) { o.Mode, o.Local = Resign, signature.Keyring{} },
		"another mode":             func(o *PairOptions) { o.Mode = "pass" },
		"no tolerance":             func(o *PairOptions) { o.Tolerance = 0 },
		"no limit":                 func(o *PairOptions) { o.MaxAnswer = 0 },
		"no budget":                func(o *PairOptions) { o.Budget = nil },
		"no clock":                 func(o *PairOptions) { o.Now = nil },
		"canonical limit not set":  func(o *PairOptions) { o.MaxCanonical = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := pairOptions(t, Passthrough, time.Now)
			change(&o)
			if _, err := NewPair(o); err == nil {
				t.Error("NewPair took it")
			}
		})
	}
}
