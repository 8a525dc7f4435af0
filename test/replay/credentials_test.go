package replay

import (
	"testing"

	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

// appCredentials is a header as an app in that mode sends it: with the token of
// the key that it has in the place of the recorded one, which is the real one's.
func (m mode) appCredentials(tb testing.TB, header []recorded.Header) []recorded.Header {
	tb.Helper()
	request := message{fields: header}
	switch real := "Bearer " + signature.BearerToken(m.real); {
	case request.get("Authorization") != real || m.signing == config.SigningPassthrough:
		return header
	case m.app.IsZero():
		return with(header, "Authorization", "")
	default:
		return with(header, "Authorization", "Bearer "+signature.BearerToken(m.app))
	}
}
