// Package signature signs and verifies what travels between Inngest and apps,
// and makes the bearer token of the API. It reads no header but the one it is
// given and no key but those it is given: which header counts is gateway/inbound's
// job, which keys an app has is gateway/apps'.
//
// # What is signed
//
// X-Inngest-Signature is "t=<unix seconds>&s=<64 lower hex digits>", in this
// order and nothing else. s is the HMAC-SHA256 of the raw body followed by the
// digits of t. The key is the text of the signing key without its prefix
// "signkey-<env>-", as it is written, not decoded from hex. Neither method nor
// path nor any header is covered: who a call is for must be read from the body.
//
// The server sends canonical JSON (RFC 8785) and so signs it. An app may have
// parsed and written the body again before it signed or verified, so a
// signature that does not fit the raw bytes is tried once more over their
// canonical form, up to Options.MaxCanonical bytes: canonical JSON costs many
// times what the hash costs, and whoever sends a wrong signature makes us pay
// it. The Go SDK signs its in-band answers before a newline is appended to
// them; [Verifier.VerifyAnswer] therefore leaves out trailing white space as a
// last try. What the gateway changes and signs must leave as [Canonical] text,
// because SDKs bring it into that form before they verify.
//
// # Clock
//
// A signature is good while t is no more than Options.Tolerance before or
// after our own clock, the bounds included; the protocol's tolerance is five
// minutes. It is the only protection against replay, and it holds in both
// directions: a caller whose clock is ahead is refused as one whose clock is
// behind. A body is signed once and may wait on its way, so the tolerance also
// bounds how long a signed call can be held back before an app that verifies
// refuses it.
//
// # Key rotation
//
// Every key of a [Verifier] is accepted, the current one tried first. During a
// rotation Options.Keys holds the new key and the old one, in either order:
// calls that were signed with the old key and are still under way verify,
// before, while and after the server switches. Signatures that the gateway
// makes carry the current key alone, because a header has room for one. When
// the old key is taken out, a call that it signed is a [ReasonMismatch]. A
// wrong signature costs one hash per key, so remove keys that are of no use.
//
// The bearer token of the API is another derivation of the same key, see
// [BearerToken].
package signature
