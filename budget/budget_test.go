package budget

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

func newBudget(t testing.TB, max, reserve int64) *Budget {
	t.Helper()
	b, err := New(Options{Max: max, Reserve: reserve, Wait: 30 * time.Second, Metrics: metrics.New(prometheus.NewRegistry()).Budget})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNew_refusesMissingValues(t *testing.T) {
	good := Options{Max: 100, Reserve: 10, Wait: time.Second, Metrics: metrics.New(prometheus.NewRegistry()).Budget}
	for name, spoil := range map[string]func(*Options){
		"no maximum":          func(o *Options) { o.Max = 0 },
		"reserve is all":      func(o *Options) { o.Reserve = 100 },
		"reserve is negative": func(o *Options) { o.Reserve = -1 },
		"no wait":             func(o *Options) { o.Wait = 0 },
		"no metrics":          func(o *Options) { o.Metrics = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			spoil(&o)
			if _, err := New(o); err == nil {
				t.Error("New took it")
			}
		})
	}
}

// tryAcquire is an Acquire that does not wait.
func tryAcquire(b *Budget, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tryAcquire(n, b.requests(n))
}

// waiter is an Acquire in a goroutine of its own.
type waiter struct {
	err  error
	done bool
}

func wait(t *testing.T, acquire func(context.Context, int64) error, ctx context.Context, n int64) *waiter {
	t.Helper()
	w := new(waiter)
	go func() {
		w.err = acquire(ctx, n)
		w.done = true
	}()
	synctest.Wait()
	return w
}

func TestAcquire_servesInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 0)
		if err := b.Acquire(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		large := wait(t, b.Acquire, t.Context(), 60)
		small := wait(t, b.Acquire, t.Context(), 10)
		if tryAcquire(b, 0) {
			t.Error("a claim overtook those who wait")
		}
		b.Release(20)
		synctest.Wait()
		if large.done || small.done {
			t.Error("20 free bytes: a small claim overtook the large one before it")
		}
		b.Release(40)
		synctest.Wait()
		if !large.done || small.done {
			t.Errorf("60 free bytes: large served %v, small served %v; want the large one alone", large.done, small.done)
		}
		b.Release(10)
		synctest.Wait()
		if !small.done || small.err != nil || large.err != nil {
			t.Errorf("small served %v, errors %v and %v", small.done, large.err, small.err)
		}
		if got := b.Used(); got != 100 {
			t.Errorf("Used = %d, want 100", got)
		}
		if got := testutil.ToFloat64(b.usedBytes); got != 100 {
			t.Errorf("gauge = %v, want 100", got)
		}
	})
}

func TestAcquire_givesUpWithItsContextAndLetsOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 0)
		if err := b.Acquire(t.Context(), 70); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("caller went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		large := wait(t, b.Acquire, ctx, 60)
		small := wait(t, b.Acquire, t.Context(), 30)
		cancel(gone)
		synctest.Wait()
		if !errors.Is(large.err, ErrExhausted) || !errors.Is(large.err, gone) {
			t.Errorf("Acquire = %v, want ErrExhausted because of %v", large.err, gone)
		}
		if !small.done || small.err != nil {
			t.Errorf("the one behind: done %v, err %v; want served", small.done, small.err)
		}
	})
}

func TestAcquire_waitsNoLongerThanItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 0)
		if err := b.Acquire(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := b.Acquire(t.Context(), 1); !errors.Is(err, ErrExhausted) || time.Since(began) != 30*time.Second {
			t.Errorf("Acquire = %v after %v, want ErrExhausted after 30s", err, time.Since(began))
		}
		began = time.Now()
		if err := b.Acquire(t.Context(), 101); !errors.Is(err, ErrExhausted) || time.Since(began) != 0 {
			t.Errorf("more than there is: %v after %v, want ErrExhausted at once", err, time.Since(began))
		}
	})
}

func TestAcquireAnswer_hasItsReserveAndGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 100, 40)
		if !tryAcquire(b, 60) || tryAcquire(b, 1) {
			t.Fatal("requests may use 60 of 100 bytes, not fewer or more")
		}
		request := wait(t, b.Acquire, t.Context(), 10)
		if err := b.AcquireAnswer(t.Context(), 40); err != nil {
			t.Fatalf("AcquireAnswer of the reserve = %v", err)
		}
		answer := wait(t, b.AcquireAnswer, t.Context(), 20)
		b.Release(20)
		synctest.Wait()
		if !answer.done || request.done {
			t.Errorf("after a release: answer served %v, request served %v; want the answer alone", answer.done, request.done)
		}
		b.Release(60)
		synctest.Wait()
		if !request.done || request.err != nil {
			t.Errorf("request served %v, err %v", request.done, request.err)
		}
	})
}

func TestRelease_panicsOnMoreThanIsCharged(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Release of bytes that nobody charged did not panic")
		}
	}()
	newBudget(t, 10, 0).Release(1)
}

func TestAcquire_keepsAccountUnderContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 50, 10)
		var over []int64
		for i := range int64(200) {
			go func() {
				acquire, limit := b.Acquire, int64(40)
				if i%3 == 0 {
					acquire, limit = b.AcquireAnswer, 50
				}
				n := i%limit + 1
				if acquire(t.Context(), n) != nil {
					return
				}
				b.mu.Lock()
				if b.used > b.max {
					over = append(over, b.used)
				}
				b.mu.Unlock()
				time.Sleep(time.Duration(i) * time.Millisecond)
				b.Release(n)
			}()
		}
		time.Sleep(time.Minute)
		if len(over) > 0 {
			t.Errorf("used went to %d of 50", slices.Max(over))
		}
		if b.Used() != 0 || len(b.answers)+len(b.small)+len(b.large) != 0 {
			t.Errorf("at the end %d bytes are used, %d claims wait", b.Used(), len(b.answers)+len(b.small)+len(b.large))
		}
	})
}
