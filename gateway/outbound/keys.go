package outbound

import (
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/signature"
)

// Keys is the real signing keys of one Inngest environment as bearer tokens,
// and the memory of which of them works. One value is shared by the [Server]
// and the [Client] of an environment: what one learns the other knows.
type Keys struct {
	tokens   []string // bearer tokens, the current key's first
	remember time.Duration

	mu     sync.Mutex
	worked int       // index of a key that was taken after the current one was not
	until  time.Time // when the current key is tried first again
}

// NewKeys makes the tokens of a ring. A ring without keys is allowed: a
// development server wants none. Remember is how long a fallback key that
// worked is tried before the current one.
func NewKeys(ring signature.Keyring, remember time.Duration) *Keys {
	k := &Keys{remember: remember}
	for _, key := range ring.All() {
		k.tokens = append(k.tokens, signature.BearerToken(key))
	}
	return k
}

// empty tells whether the environment has no keys at all.
func (k *Keys) empty() bool { return len(k.tokens) == 0 }

// order returns the tokens in the order in which they are to be tried.
func (k *Keys) order() []string {
	first := k.preferred()
	ordered := make([]string, 0, len(k.tokens))
	if first < len(k.tokens) {
		ordered = append(ordered, k.tokens[first])
	}
	for i, t := range k.tokens {
		if i != first {
			ordered = append(ordered, t)
		}
	}
	return ordered
}

func (k *Keys) preferred() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.worked != 0 && time.Now().After(k.until) {
		k.worked = 0
	}
	return k.worked
}

// took notes that Inngest took a token after it had not taken another.
func (k *Keys) took(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, t := range k.tokens {
		if t == token {
			k.worked, k.until = i, time.Now().Add(k.remember)
			return
		}
	}
}
