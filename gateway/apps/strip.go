package apps

import (
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// strip is the app side of an app that runs without verification.
type strip struct{ sealing }

func (*strip) sealRequest(c *call.Call)          { c.Signature = nil }
func (*strip) sealChanged(c *call.Call)          { c.Signature = nil }
func (*strip) openAnswer(*call.Answer) error     { return nil }
func (*strip) syncKeys() []signature.Key         { return nil }
func (*strip) syncVerifier() *signature.Verifier { return nil }
