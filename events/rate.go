package events

import (
	"sync"
	"time"
)

// maxBuckets bounds the keys whose rate is known; a key that is forgotten begins
// with a full bucket.
const maxBuckets = 10_000

// A limiter bounds the events a second of each key: a bucket of burst events
// that fills at the rate. A request is taken while there is anything in it and
// may leave a debt, since it cannot be cut.
type limiter struct {
	perSecond, burst float64

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
}

type bucketKey struct{ environment, keyID string }

type bucket struct {
	left float64
	at   time.Time
}

// newLimiter returns nil, which limits nothing, for a rate of 0.
func newLimiter(perSecond, burst int) *limiter {
	if perSecond == 0 {
		return nil
	}
	return &limiter{perSecond: float64(perSecond), burst: float64(burst), buckets: map[bucketKey]*bucket{}}
}

// take takes n events of a key, or says after how long it could.
func (l *limiter) take(k bucketKey, n int) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	b := l.buckets[k]
	if b == nil {
		l.forget(now)
		b = &bucket{left: l.burst, at: now}
		l.buckets[k] = b
	}
	b.left = min(l.burst, b.left+l.perSecond*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return time.Duration((1 - b.left) / l.perSecond * float64(time.Second)), false
	}
	b.left -= float64(n)
	return 0, true
}

// forget makes room: buckets that are full again by now say nothing. If too many
// are in use a tenth of them goes, so that this is rare.
func (l *limiter) forget(now time.Time) {
	if len(l.buckets) < maxBuckets {
		return
	}
	for k, b := range l.buckets {
		if b.left+l.perSecond*now.Sub(b.at).Seconds() >= l.burst {
			delete(l.buckets, k)
		}
	}
	for k := range l.buckets {
		if len(l.buckets) <= maxBuckets*9/10 {
			return
		}
		delete(l.buckets, k)
	}
}
