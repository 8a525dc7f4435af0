package deliver

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxAccounts bounds what is remembered of accounts. One that does not fit in
// takes another's place, which then learns again.
const maxAccounts = 4096

// An account is what Inngest sees behind a key: limits and throttling are per
// account there, whatever the branch.
type account struct{ environment, keyID string }

// learnt is what answers have told about an account.
type learnt struct {
	limit   int       // bytes of a body; 0: none
	limitAt time.Time // when limit was learnt, or last grew
	held    time.Time // nothing goes out before
	key     string    // that was taken after the first one was not; empty: none
	keyTill time.Time // when the first one is tried again
}

// memory is what is learnt of all accounts.
type memory struct {
	regrow, remember time.Duration
	maxBytes         int

	mu sync.Mutex
	of map[account]*learnt
}

func newMemory(o Options) *memory {
	return &memory{regrow: o.Regrow, remember: o.Remember, maxBytes: o.MaxBytes, of: map[account]*learnt{}}
}

// change gives f the account's entry. The lock is held.
func (m *memory) change(a account, f func(*learnt)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of[a]
	if l == nil {
		if len(m.of) >= maxAccounts {
			for other := range m.of {
				delete(m.of, other)
				break
			}
		}
		l = &learnt{}
		m.of[a] = l
	}
	f(l)
}

// tooLarge learns from a body of so many bytes that was refused, and returns
// the new limit: a little more than the half, so that most halves are within.
func (m *memory) tooLarge(a account, bytes int) (limit int) {
	m.change(a, func(l *learnt) {
		if less := max(bytes/2+bytes/8, 1); l.limit == 0 || less < l.limit {
			l.limit = less
		}
		l.limitAt = time.Now()
		limit = l.limit
	})
	return limit
}

// limit returns the bytes that a body may have.
func (m *memory) limit(a account) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of[a]
	if l == nil || l.limit == 0 {
		return m.maxBytes
	}
	for time.Since(l.limitAt) >= m.regrow && l.limit < m.maxBytes {
		l.limit += l.limit/2 + 1
		l.limitAt = l.limitAt.Add(m.regrow)
	}
	if l.limit >= m.maxBytes {
		l.limit = 0
		return m.maxBytes
	}
	return l.limit
}

// hold keeps an account from sending for a while.
func (m *memory) hold(a account, wait time.Duration) {
	m.change(a, func(l *learnt) { l.held = time.Now().Add(wait) })
}

// held returns how long an account must still wait.
func (m *memory) held(a account) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.of[a]; l != nil {
		return max(time.Until(l.held), 0)
	}
	return 0
}

// order returns the keys as they are to be tried.
func (m *memory) order(a account, keys []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.of[a]
	if l == nil || l.key == "" || !time.Now().Before(l.keyTill) {
		return keys
	}
	at := slices.Index(keys, l.key)
	if at <= 0 {
		return keys
	}
	ordered := append([]string{l.key}, keys[:at]...)
	return append(ordered, keys[at+1:]...)
}

// tookKey notes which key was taken after another was not.
func (m *memory) tookKey(a account, key string) {
	m.change(a, func(l *learnt) { l.key, l.keyTill = key, time.Now().Add(m.remember) })
}

// AccountStatus is what was learnt about the account behind a key.
type AccountStatus struct {
	Environment string
	KeyID       string
	MaxBytes    int       // of a body, learnt from a 413; 0: nothing smaller than the configured size
	HeldUntil   time.Time // nothing goes out before; zero: it may
	Fallback    bool      // another key than the first is tried first
}

func (m *memory) status() []AccountStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []AccountStatus
	now := time.Now()
	for a, l := range m.of {
		s := AccountStatus{Environment: a.environment, KeyID: a.keyID, MaxBytes: l.limit, Fallback: l.key != "" && now.Before(l.keyTill)}
		if now.Before(l.held) {
			s.HeldUntil = l.held
		}
		if s.MaxBytes > 0 || s.Fallback || !s.HeldUntil.IsZero() {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y AccountStatus) int {
		return cmp.Or(cmp.Compare(x.Environment, y.Environment), cmp.Compare(x.KeyID, y.KeyID))
	})
	return all
}
