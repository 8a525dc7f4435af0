package config

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const mask = "***"

// A Secret is a value that is never printed: every way to format, log or
// marshal it gives ***. Only [Secret.Reveal] tells it.
//
// The text stands behind a pointer, so that a Secret in an unexported field,
// whose methods package fmt cannot call, prints as an address.
type Secret struct{ text *string }

// NewSecret returns a secret with that text; the empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text, empty if there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares two secrets in a time that depends on their lengths only.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns ***, or nothing if there is no secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return mask
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText returns what String returns; it serves JSON and YAML too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// A secretReader turns what stands in a configuration into the secret.
type secretReader struct {
	lookup   func(name string) (string, bool)
	readFile func(path string) ([]byte, error)
}

// read returns the secret that text is or refers to, or what would be accepted
// instead. An optional reference to an unset variable gives none.
func (r secretReader) read(text string, optional bool) (secret Secret, want string) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, set := r.lookup(name)
		value = strings.TrimSpace(value)
		if !set && !optional {
			return Secret{}, "a variable that is set"
		}
		return NewSecret(value), ""
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		value, err := r.readFile(path)
		if err != nil {
			return Secret{}, "a file that can be read: " + err.Error()
		}
		secret := NewSecret(strings.TrimSpace(string(value)))
		if secret.IsZero() {
			return Secret{}, "a file that is not empty"
		}
		return secret, ""
	}
	return NewSecret(strings.TrimSpace(text)), ""
}
