package apps

import (
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// resign is the app side of an app that holds a local key.
type resign struct {
	sealing
	keys []signature.Key
	app  signer
}

func (r *resign) sealRequest(c *call.Call) { c.Signature = []byte(r.app.sign(c.Body)) }

func (r *resign) sealChanged(c *call.Call) { r.sealRequest(c) }

func (r *resign) openAnswer(a *call.Answer) error {
	sig := a.Get(inngest.HeaderSignature)
	if sig == nil || a.Stream != nil {
		return nil
	}
	if err := r.fromApp.VerifyAnswer(sig, a.Body); err != nil {
		return refuse(inngest.CodeUpstreamUntrusted, "it is not signed with the app's key: %w", err)
	}
	return nil
}

func (r *resign) syncKeys() []signature.Key         { return r.keys }
func (r *resign) syncVerifier() *signature.Verifier { return r.fromApp }
