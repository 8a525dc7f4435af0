package apps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Mode is how calls are verified and signed between the gateway and an app.
type Mode string

// The signing modes of an app.
const (
	Passthrough Mode = "passthrough" // the app holds the real key and verifies too
	Resign      Mode = "resign"      // the app holds a local key; both directions are signed anew
	Strip       Mode = "strip"       // the app runs without verification and sees no signature
)

// PairOptions configures a Pair.
type PairOptions struct {
	Mode         Mode
	Keys         signature.Keyring // real keys; none only with SkipVerify
	Local        signature.Keyring // keys between gateway and app; for Resign, where a current one is needed
	SkipVerify   bool              // insecure_skip_verify: believe every request
	Tolerance    time.Duration     // how far a signature's time may be off, > 0
	MaxCanonical int               // as in signature.Options
	MaxAnswer    int               // bytes of the largest 201 stream that is sealed, > 0
	Budget       *budget.Budget    // charged for what a stream has to hold back
	Now          func() time.Time
}

// A Pair verifies and signs on both sides of one app. inbound calls the four
// methods in the order of a call's life:
//
//	OpenRequest → SealRequest → the app → OpenAnswer → SealAnswer
//
// If NeedsWhole, an answer must be complete and without content coding before
// OpenAnswer; only a 201 may still be a stream. Compression comes after
// SealAnswer. A Pair is safe for use by several goroutines at once.
type Pair struct {
	verifier *signature.Verifier // of what Inngest sent; nil: verification is off
	inngest  signer              // signs what goes to Inngest
	app      appSide
}

// appSide is what depends on the mode: passthrough, resign or strip.
type appSide interface {
	needsWhole() bool
	sealRequest(c *call.Call)
	sealChanged(c *call.Call)
	openAnswer(a *call.Answer) error
	sealAnswer(a *call.Answer) error

	syncKeys() []signature.Key               // keys that the app may believe, the likeliest first
	syncVerifier() *signature.Verifier       // of what the app signed; nil: it does not sign
	wrapper(body []byte) ([][]byte, error)   // a 201's final object, sealed, in pieces
	stream(from io.ReadCloser) io.ReadCloser // a 201 as it arrives, sealed
}

// NewPair builds the pair of an app.
func NewPair(o PairOptions) (*Pair, error) {
	switch {
	case o.Tolerance <= 0:
		return nil, fmt.Errorf("option Tolerance is %v, must be above 0", o.Tolerance)
	case o.MaxAnswer <= 0:
		return nil, fmt.Errorf("option MaxAnswer is %d, must be above 0", o.MaxAnswer)
	case o.Budget == nil:
		return nil, errors.New("option Budget is missing")
	case o.Now == nil:
		return nil, errors.New("option Now is missing")
	case o.Keys.Current.IsZero() && !o.SkipVerify:
		return nil, errors.New("no signing key, and verification is on")
	case o.Mode == Resign && o.Local.Current.IsZero():
		return nil, errors.New("mode resign needs a local signing key")
	}
	verifier, err := o.verifier(o.Keys)
	if err != nil {
		return nil, err
	}
	p := &Pair{verifier: verifier, inngest: signer{o.Keys.Current, o.Now}}
	if o.SkipVerify {
		p.verifier = nil
	}
	seals := sealing{inngest: p.inngest, budget: o.Budget, maxAnswer: o.MaxAnswer}
	switch o.Mode {
	case Passthrough:
		p.app = &passthrough{keys: o.Keys.All(), verifier: p.verifier, inngest: p.inngest}
	case Resign:
		if seals.fromApp, err = o.verifier(o.Local); err != nil {
			return nil, fmt.Errorf("local keys: %w", err)
		}
		p.app = &resign{sealing: seals, keys: o.Local.All(), app: signer{o.Local.Current, o.Now}}
	case Strip:
		p.app = &strip{seals}
	default:
		return nil, fmt.Errorf("mode %q is none of %s, %s, %s", o.Mode, Passthrough, Resign, Strip)
	}
	return p, nil
}

// verifier returns the verifier of a ring's keys, nil if it has none.
func (o *PairOptions) verifier(ring signature.Keyring) (*signature.Verifier, error) {
	keys := ring.All()
	if len(keys) == 0 {
		return nil, nil
	}
	return signature.NewVerifier(signature.Options{
		Keys: keys, Tolerance: o.Tolerance, MaxCanonical: o.MaxCanonical, Now: o.Now,
	})
}

// Verifies tells whether requests are verified at all.
func (p *Pair) Verifies() bool { return p.verifier != nil }

// NeedsWhole tells whether answers must be complete before they are opened and
// sealed: a header cannot be signed after the body.
func (p *Pair) NeedsWhole() bool { return p.app.needsWhole() }

// CheckHeader tells what can be told of a request's signature before its body
// is there. A failure is a [*signature.RejectError].
func (p *Pair) CheckHeader(sig []byte) error {
	if p.verifier == nil {
		return nil
	}
	return p.verifier.CheckHeader(sig)
}

// OpenRequest tells whether Inngest signed the request. A failure is a
// [*signature.RejectError]; while verification is off there is none.
func (p *Pair) OpenRequest(sig, body []byte) error {
	if p.verifier == nil {
		return nil
	}
	return p.verifier.Verify(sig, body)
}

// SealRequest makes the signature that the app is to see: passthrough leaves
// the one that came, resign puts one by the local key in its place, strip
// takes it away. Body and head, Authorization included, stay as they are.
func (p *Pair) SealRequest(c *call.Call) error {
	p.app.sealRequest(c)
	return nil
}

// SealChanged is SealRequest for a call whose body the gateway has changed: the
// signature that came does not fit it any more, so passthrough makes one by the
// real key.
func (p *Pair) SealChanged(c *call.Call) error {
	p.app.sealChanged(c)
	return nil
}

// OpenAnswer tells whether the app made the answer. Call answers need no
// signature (Go sends none); resign refuses one that is there and wrong with an
// [*Error] of [inngest.CodeUpstreamUntrusted]. passthrough lets everything
// through: it streams, and the server gets the signature as it came and does
// not check it. strip has no key to verify with.
func (p *Pair) OpenAnswer(a *call.Answer) error { return p.app.openAnswer(a) }

// SealAnswer signs the answer with the real key: resign and strip. Of a 201,
// whole or a stream, the inner headers get the signature and the outer ones
// lose theirs, see [Pair.SealStream]. passthrough changes nothing.
func (p *Pair) SealAnswer(a *call.Answer) error { return p.app.sealAnswer(a) }

// SealWrapper signs the body of a 201, {"status":…,"headers":…,"body":…}, in
// its inner headers over its inner body, and verifies the app's signature there
// first. Nothing else in it changes. passthrough returns the body.
func (p *Pair) SealWrapper(body []byte) ([]byte, error) {
	pieces, err := p.app.wrapper(body)
	if err != nil {
		return nil, err
	}
	if len(pieces) == 1 {
		return pieces[0], nil
	}
	return bytes.Join(pieces, nil), nil
}

// SealStream is [Pair.SealWrapper] for a 201 that is still arriving. Leading
// white space, which keeps the connection alive while a step runs, passes at
// once; the object is held back until it is complete. Where it cannot be
// sealed, Read fails with an [*Error].
func (p *Pair) SealStream(from io.ReadCloser) io.ReadCloser {
	return p.app.stream(from)
}

// sign signs an answer that the gateway itself made, in every mode.
func (p *Pair) sign(a *call.Answer) {
	a.Del(inngest.HeaderSignature)
	if sig := p.inngest.sign(a.Body); sig != "" {
		a.Set(inngest.HeaderSignature, sig)
	}
}

// A signer signs with one key, or does not where there is none.
type signer struct {
	key signature.Key
	now func() time.Time
}

func (s signer) sign(body []byte) string {
	if s.key.IsZero() {
		return ""
	}
	return signature.Sign(s.key, body, s.now())
}
