package gateway

import (
	"crypto/rand"
	"encoding/hex"
)

// NewSigningKey makes a signing key that is known to nobody but who gets it: for
// an app in mode resign, or for a development server.
func NewSigningKey() string { return "signkey-local-" + randomHex(32) }

// NewEventKey makes an event key for the same.
func NewEventKey() string { return randomHex(16) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
