package apps

import (
	"io"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// passthrough is the app side of an app that holds the real key: calls and
// answers pass as they are, so nothing need be read to its end.
type passthrough struct {
	keys     []signature.Key     // none in development
	verifier *signature.Verifier // of these keys, for syncs only; nil: verification is off
	inngest  signer              // for calls that the gateway has changed
}

func (*passthrough) needsWhole() bool                        { return false }
func (*passthrough) sealRequest(*call.Call)                  {}
func (*passthrough) openAnswer(*call.Answer) error           { return nil }
func (*passthrough) sealAnswer(*call.Answer) error           { return nil }
func (*passthrough) wrapper(body []byte) ([][]byte, error)   { return [][]byte{body}, nil }
func (*passthrough) stream(from io.ReadCloser) io.ReadCloser { return from }
func (p *passthrough) sealChanged(c *call.Call)              { c.Signature = []byte(p.inngest.sign(c.Body)) }
func (p *passthrough) syncKeys() []signature.Key             { return p.keys }
func (p *passthrough) syncVerifier() *signature.Verifier     { return p.verifier }
