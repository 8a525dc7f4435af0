package apps

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// sealing signs answers with the real key, for resign and strip.
type sealing struct {
	inngest   signer
	fromApp   *signature.Verifier // of the inner signature of a 201; nil: the app does not sign
	budget    *budget.Budget
	maxAnswer int
}

func (*sealing) needsWhole() bool { return true }

func (s *sealing) sealAnswer(a *call.Answer) error {
	a.Del(inngest.HeaderSignature)
	if coding := a.Get("Content-Encoding"); coding != nil {
		return refuse(inngest.CodeUpstreamEncoding, "a body with the content coding %q cannot be signed", coding)
	}
	if a.Status == http.StatusCreated {
		return s.sealCreated(a)
	}
	if a.Stream != nil {
		return errors.New("seal answer: only a 201 can be sealed while it arrives")
	}
	if sig := s.inngest.sign(a.Body); sig != "" {
		a.Set(inngest.HeaderSignature, sig)
	}
	return nil
}

// sealCreated seals a 201: the server takes status, headers and body from the
// object in its body.
func (s *sealing) sealCreated(a *call.Answer) error {
	a.Del("ETag") // of the body as it was
	if a.Stream != nil {
		a.Stream, a.Length = s.stream(a.Stream), -1
		return nil
	}
	pieces, err := s.wrapper(a.Body)
	if err != nil {
		return err
	}
	a.Body = bytes.Join(pieces, nil)
	return nil
}

// wrapper returns the body of a 201 with a new signature in its inner headers.
// A signature that the app made must be good.
func (s *sealing) wrapper(body []byte) ([][]byte, error) {
	at, ok := whole(body)
	if !ok {
		return nil, refuse(inngest.CodeUpstreamBadAnswer, "the body of the 201 is no JSON")
	}
	top, ok := members(body, at)
	if !ok {
		return nil, refuse(inngest.CodeUpstreamBadAnswer, "the body of the 201 is no object")
	}
	w := wrapper{text: body, at: at, top: top}
	if err := w.read(); err != nil {
		return nil, err
	}
	if s.fromApp != nil && w.signature != "" {
		if err := s.fromApp.VerifyAnswer([]byte(w.signature), w.body); err != nil {
			return nil, refuse(inngest.CodeUpstreamUntrusted, "the body of the 201 is not signed with the app's key: %w", err)
		}
	}
	return parts(body, w.sealed(s.inngest.sign(w.body))), nil
}

func (s *sealing) stream(from io.ReadCloser) io.ReadCloser {
	return &sealedStream{from: from, seal: s.wrapper, held: s.budget.Answer(s.maxAnswer)}
}
