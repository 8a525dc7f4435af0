package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"sync"
)

// A Key is a signing key. It prints as its prefix and "***" wherever it is
// formatted, logged or marshalled. The zero Key is no key, see [Key.IsZero].
type Key struct{ *secret }

// secret is what a Key knows. It is shared by all copies of the Key, so that
// they share the pool too.
type secret struct {
	prefix  string // "signkey-prod-", or empty
	text    string // without the prefix: the key of the HMAC
	decoded []byte // text decoded from hex: what the bearer token hashes
	hashers sync.Pool
}

// A hasher is an HMAC state that is used again and again, with room for its
// result. After the first Reset the standard library keeps the two states that
// depend on the key alone, so a signature costs no hashing of the key.
type hasher struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// A Keyring is the keys that one side of the gateway knows.
type Keyring struct {
	Current Key   // signs and verifies
	Others  []Key // verify only: fallback and further keys
}

// All returns the keys of the ring that are set, the current one first.
func (r Keyring) All() []Key {
	all := make([]Key, 0, 1+len(r.Others))
	for _, k := range append([]Key{r.Current}, r.Others...) {
		if !k.IsZero() {
			all = append(all, k)
		}
	}
	return all
}

// ParseKey reads a signing key as Inngest shows it, "signkey-<env>-<hex>", or
// the hex alone. Keys that are no hex are refused, because no bearer token can
// be made of them; the errors do not tell what the key is.
func ParseKey(text string) (Key, error) {
	if text == "" {
		return Key{}, errors.New("signing key: empty")
	}
	if strings.TrimSpace(text) != text {
		return Key{}, errors.New("signing key: white space at its start or end")
	}
	prefix := keyPrefix(text)
	s := &secret{prefix: prefix, text: text[len(prefix):]}
	if s.text == "" {
		return Key{}, fmt.Errorf("signing key: nothing after %q", prefix)
	}
	decoded, err := hex.DecodeString(s.text)
	if err != nil {
		return Key{}, errors.New(`signing key: not an even number of hex digits after an optional "signkey-<env>-"`)
	}
	s.decoded = decoded
	s.hashers.New = func() any {
		return &hasher{mac: hmac.New(sha256.New, []byte(s.text))}
	}
	return Key{s}, nil
}

// keyPrefix returns "signkey-<env>-" if the text begins with it. An env is one
// word of letters, digits and underscores, as in the SDKs.
func keyPrefix(text string) string {
	rest, ok := strings.CutPrefix(text, "signkey-")
	if !ok {
		return ""
	}
	env, _, ok := strings.Cut(rest, "-")
	if !ok || env == "" || strings.ContainsFunc(env, notWord) {
		return ""
	}
	return text[:len("signkey-")+len(env)+1]
}

func notWord(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// IsZero tells whether k is no key at all.
func (k Key) IsZero() bool { return k.secret == nil }

// Equal tells whether two keys make the same signatures.
func (k Key) Equal(other Key) bool {
	if k.IsZero() || other.IsZero() {
		return k.IsZero() && other.IsZero()
	}
	return subtle.ConstantTimeCompare([]byte(k.text), []byte(other.text)) == 1
}

// BearerToken returns the token that stands for the key in the API's
// Authorization header: its prefix and the hex of SHA-256 over the key decoded
// from hex. The empty string for the zero Key.
func BearerToken(k Key) string {
	if k.IsZero() {
		return ""
	}
	sum := sha256.Sum256(k.decoded)
	return k.prefix + hex.EncodeToString(sum[:])
}

// String returns the key's prefix and "***".
func (k Key) String() string {
	if k.IsZero() {
		return "none"
	}
	return k.prefix + "***"
}

// Format prints k.String() for every verb, so that no %+v or %#v of a struct
// around a key can show it.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalText returns k.String(): a key cannot leave through an encoder.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns k.String().
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
