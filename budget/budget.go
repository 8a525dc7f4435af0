// Package budget bounds the memory that bodies take in the whole process: what
// holds one charges its storage here before it has it, and waits when nothing
// is left. What a refusal looks like is for its callers.
package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// ErrExhausted says that no memory became free in time, or that more was asked
// for than there is at all. Where a context ended the wait, the error wraps its
// cause too.
var ErrExhausted = errors.New("memory budget exhausted")

// Options configures a Budget.
type Options struct {
	Listener string // whose bodies these are, for labels: inngest or apps

	Max     int64         // bytes that may be charged at once, > 0
	Reserve int64         // bytes of Max that only answers may use: an answer that finds no room costs the attempt of a step that ran; >= 0, < Max
	Wait    time.Duration // longest wait of one Acquire, > 0
	Metrics *metrics.Budget
}

// A Budget is a number of bytes shared by everybody who holds bodies. Who has
// to wait is served in order of arrival: answers first, then small claims, for
// which an eighth is kept that large ones cannot have, then the large ones.
//
// Bodies that grow in turns could all hold a part and wait for the rest. So a
// large one whose length is known claims all of its rest at once when less than
// half is free: who gets more then, can be read to its end, answered and freed.
type Budget struct {
	wait time.Duration

	limitBytes, usedBytes prometheus.Gauge
	granted, refused      prometheus.Counter

	mu      sync.Mutex
	max     int64
	reserve int64
	used    int64
	kept    keep // storage between two bodies
	answers queue
	small   queue
	large   queue
}

// largeClaim is what a claim of a request must pass to be a large one, and a body
// to be believed what it says of its length.
const largeClaim = 64 << 10

// queue holds the claims of one kind that wait, the oldest first.
type queue []*claim

// claim is one Acquire that waits.
type claim struct {
	bytes int64
	ready chan struct{} // closed when the bytes were charged
}

// New returns a budget of which nothing is used.
func New(o Options) (*Budget, error) {
	if err := checkSize(o.Max, o.Reserve); err != nil {
		return nil, err
	}
	switch {
	case o.Wait <= 0:
		return nil, fmt.Errorf("budget: Wait is %v, must be above 0", o.Wait)
	case o.Metrics == nil:
		return nil, errors.New("budget: Metrics is missing")
	}
	b := &Budget{
		wait:       o.Wait,
		limitBytes: o.Metrics.Limit.WithLabelValues(o.Listener),
		usedBytes:  o.Metrics.Used.WithLabelValues(o.Listener),
		granted:    o.Metrics.Waits.WithLabelValues(o.Listener, "granted"),
		refused:    o.Metrics.Waits.WithLabelValues(o.Listener, "refused"),
	}
	return b, b.Resize(o.Max, o.Reserve)
}

func checkSize(max, reserve int64) error {
	switch {
	case max <= 0:
		return fmt.Errorf("budget: Max is %d, must be above 0", max)
	case reserve < 0 || reserve >= max:
		return fmt.Errorf("budget: Reserve is %d, must be from 0 to below Max (%d)", reserve, max)
	}
	return nil
}

// Resize changes how much there is, as Options.Max and Options.Reserve say. What
// is charged stays so: below that nothing is granted until enough is released.
func (b *Budget) Resize(max, reserve int64) error {
	if err := checkSize(max, reserve); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.max, b.reserve = max, reserve
	b.limitBytes.Set(float64(max))
	b.kept.resize(max, b.used)
	b.grant()
	b.usedBytes.Set(float64(b.used))
	return nil
}

// Acquire charges n bytes for a request. It waits while they are not free, until
// ctx ends or Options.Wait has passed, and then returns ErrExhausted.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	return b.acquire(ctx, n, b.requests(n))
}

// AcquireAnswer is Acquire for an answer: it may use the reserve and is served
// before requests that wait.
func (b *Budget) AcquireAnswer(ctx context.Context, n int64) error {
	return b.acquire(ctx, n, &b.answers)
}

// requests is where a request's claim for n bytes waits.
func (b *Budget) requests(n int64) *queue {
	if n > largeClaim {
		return &b.large
	}
	return &b.small
}

// limit is what those of q may use at most, with mu held.
func (b *Budget) limit(q *queue) int64 {
	switch q {
	case &b.answers:
		return b.max
	case &b.small:
		return b.max - b.reserve
	default:
		return (b.max - b.reserve) / 8 * 7
	}
}

// scarce tells whether less than half is free of what large requests, or
// answers, may use.
func (b *Budget) scarce(answer bool) bool {
	q := &b.large
	if answer {
		q = &b.answers
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used > b.limit(q)/2
}

// tryAcquire charges n bytes if they are free and no claim comes first, with mu
// held.
func (b *Budget) tryAcquire(n int64, q *queue) bool {
	if n > b.limit(q)-b.used || len(*q) > 0 || len(b.answers) > 0 {
		return false
	}
	b.used += n
	b.usedBytes.Set(float64(b.used))
	return true
}

func (b *Budget) acquire(ctx context.Context, n int64, q *queue) error {
	b.mu.Lock()
	if limit := b.limit(q); n > limit {
		b.mu.Unlock()
		return fmt.Errorf("%w: %d bytes asked for, the limit is %d", ErrExhausted, n, limit)
	}
	if b.tryAcquire(n, q) {
		b.mu.Unlock()
		return nil
	}
	c := &claim{bytes: n, ready: make(chan struct{})}
	*q = append(*q, c)
	b.mu.Unlock()

	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	var cause error
	select {
	case <-c.ready:
		b.granted.Inc()
		return nil
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-timer.C:
		cause = fmt.Errorf("nothing became free within %v", b.wait)
	}
	if b.giveUp(c, q) {
		b.refused.Inc()
		return fmt.Errorf("%w: %d bytes asked for: %w", ErrExhausted, n, cause)
	}
	b.granted.Inc() // granted in the same moment: the bytes are charged, so they are taken
	return nil
}

// giveUp takes a claim out of its queue; false says that it was granted already.
func (b *Budget) giveUp(c *claim, q *queue) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range *q {
		if other == c {
			*q = append((*q)[:i], (*q)[i+1:]...)
			b.grant() // those behind it may fit
			return true
		}
	}
	return false
}

// Release gives back n bytes that were charged.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.used {
		panic(fmt.Sprintf("budget: %d bytes released, %d are charged", n, b.used))
	}
	b.used -= n
	b.grant()
	b.usedBytes.Set(float64(b.used))
}

// grant charges the claims that fit now, answers first.
func (b *Budget) grant() {
	for _, q := range [...]*queue{&b.answers, &b.small, &b.large} {
		if b.grantFrom(q); len(*q) > 0 {
			return
		}
	}
}

func (b *Budget) grantFrom(q *queue) {
	for limit := b.limit(q); len(*q) > 0 && (*q)[0].bytes <= limit-b.used; {
		c := (*q)[0]
		(*q)[0] = nil
		*q = (*q)[1:]
		b.used += c.bytes
		close(c.ready)
	}
}

// Used returns the bytes that are charged now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Max returns the bytes that may be charged at once.
func (b *Budget) Max() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.max
}
