package signature

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Options configures a Verifier.
type Options struct {
	Keys         []Key            // at least one; any of them may have signed, the likeliest first
	Tolerance    time.Duration    // how far a signature's time may be off, before or after; > 0
	MaxCanonical int              // bytes of the largest body that is also tried in canonical form; negative: none is
	Now          func() time.Time // the clock
}

// A Verifier verifies signatures with a fixed set of keys. It is safe for use
// by several goroutines at once.
type Verifier struct {
	opts Options
	// turns bounds how many bodies are brought into canonical form at once:
	// more than there are processors would finish no sooner, and the memory it
	// takes, some 25 times the body at worst, is in no budget.
	turns chan struct{}
}

// NewVerifier returns a Verifier.
func NewVerifier(o Options) (*Verifier, error) {
	switch {
	case len(o.Keys) == 0:
		return nil, errors.New("signature: no key")
	case slices.ContainsFunc(o.Keys, Key.IsZero):
		return nil, errors.New("signature: a key is not set")
	case o.Tolerance <= 0:
		return nil, fmt.Errorf("signature: tolerance %v is not above 0", o.Tolerance)
	case o.MaxCanonical == 0:
		return nil, errors.New("signature: MaxCanonical is not set")
	case o.Now == nil:
		return nil, errors.New("signature: no clock")
	}
	o.Keys = slices.Clone(o.Keys)
	return &Verifier{o, make(chan struct{}, runtime.GOMAXPROCS(0))}, nil
}

// A Reason is why a signature was not believed.
type Reason string

// The reasons.
const (
	ReasonMissing   Reason = "missing"   // no header, or an empty one
	ReasonMalformed Reason = "malformed" // not "t=<digits>&s=<64 lower hex digits>"
	ReasonExpired   Reason = "expired"   // the time is too far from ours, in either direction
	ReasonMismatch  Reason = "mismatch"  // no key made this signature over this body
)

// Code returns the gateway's error code for the reason.
func (r Reason) Code() inngest.Code {
	switch r {
	case ReasonMissing:
		return inngest.CodeSignatureMissing
	case ReasonMalformed:
		return inngest.CodeSignatureMalformed
	case ReasonExpired:
		return inngest.CodeSignatureExpired
	default:
		return inngest.CodeSignatureMismatch
	}
}

// A RejectError says why a signature was not believed.
type RejectError struct {
	Reason Reason
	Age    time.Duration // for ReasonExpired: our time minus the signature's; negative if that lies ahead of ours
}

func (e *RejectError) Error() string {
	switch e.Reason {
	case ReasonMissing:
		return "no signature"
	case ReasonMalformed:
		return "signature is not t=<unix seconds>&s=<64 lower-case hex digits>"
	case ReasonExpired:
		if e.Age < 0 {
			return fmt.Sprintf("signature was made %v ahead of our clock", -max(e.Age, -math.MaxInt64))
		}
		return fmt.Sprintf("signature was made %v ago", e.Age)
	default:
		return "signature fits none of our keys and this body"
	}
}

// Verify tells whether one of the keys made the signature over the body: over
// its raw bytes or, if that fails, over its canonical form. A failure is a
// [*RejectError].
func (v *Verifier) Verify(header, body []byte) error {
	h, err := v.check(header)
	if err != nil {
		return err
	}
	if v.signed(&h, body) || v.signedCanonical(&h, body) {
		return nil
	}
	return &RejectError{Reason: ReasonMismatch}
}

// VerifyAnswer is Verify for the answer of an app: it is also good if the
// signature fits the body without its trailing white space.
func (v *Verifier) VerifyAnswer(header, body []byte) error {
	h, err := v.check(header)
	if err != nil {
		return err
	}
	if v.signed(&h, body) || v.signedCanonical(&h, body) {
		return nil
	}
	if trimmed := bytes.TrimRight(body, " \t\r\n"); len(trimmed) < len(body) && v.signed(&h, trimmed) {
		return nil
	}
	return &RejectError{Reason: ReasonMismatch}
}

// CheckHeader tells what can be told before the body is there: whether the
// header is well formed and its time within the tolerance. A failure is a
// [*RejectError].
func (v *Verifier) CheckHeader(header []byte) error {
	_, err := v.check(header)
	return err
}

func (v *Verifier) check(text []byte) (header, error) {
	if len(text) == 0 {
		return header{}, &RejectError{Reason: ReasonMissing}
	}
	h, ok := parseHeader(text)
	if !ok {
		return h, &RejectError{Reason: ReasonMalformed}
	}
	if age := ageOf(h.unix, v.opts.Now()); age > v.opts.Tolerance || age < -v.opts.Tolerance {
		return h, &RejectError{Reason: ReasonExpired, Age: age}
	}
	return h, nil
}

// maxUnix is the largest time that ageOf computes with: beyond it package time
// overflows. It is the end of the year 9999.
const maxUnix = 253402300799

// ageOf returns how long before now the time lies, clamped to what a Duration
// holds.
func ageOf(unix int64, now time.Time) time.Duration {
	return now.Sub(time.Unix(min(unix, maxUnix), 0))
}

// signed tells whether one of the keys made the signature over these bytes.
func (v *Verifier) signed(h *header, body []byte) bool {
	for _, k := range v.opts.Keys {
		s := k.hashers.Get().(*hasher)
		s.hash(body, h.digits)
		ok := hmac.Equal(s.sum[:], h.sum[:])
		k.hashers.Put(s)
		if ok {
			return true
		}
	}
	return false
}

// signedCanonical is signed for the canonical form of the body, if the body is
// small enough for the attempt and not in that form already.
func (v *Verifier) signedCanonical(h *header, body []byte) bool {
	if len(body) == 0 || len(body) > v.opts.MaxCanonical {
		return false
	}
	v.turns <- struct{}{}
	canonical, err := Canonical(body)
	<-v.turns
	return err == nil && !bytes.Equal(canonical, body) && v.signed(h, canonical)
}
