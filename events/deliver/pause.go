package deliver

import (
	"context"
	"errors"
	"time"
)

// pause waits for the next attempt.
func (w *worker) pause(ctx context.Context, result Result) {
	environment := w.queue[0].batch.Environment
	wait, asked := w.wait(result)
	w.block()
	if wait > maxHold {
		w.giveBack(ctx)
	}
	var recovered <-chan struct{}
	if !asked {
		recovered = w.d.o.Client.Recovered(environment)
	}
	sleep(ctx, wait, recovered)
}

// wait is how long the lane stands still, and whether Inngest asked for it.
func (w *worker) wait(result Result) (wait time.Duration, asked bool) {
	if errors.Is(result.Err, ErrDown) {
		// Not tried at all. Whoever is the probe soon knows more.
		return max(result.RetryAfter, w.d.o.Backoff.Wait(1)), false
	}
	if !errors.Is(result.Err, ErrHeld) {
		w.failed++
	}
	wait = w.d.o.Backoff.Wait(w.failed)
	if result.RetryAfter > 0 {
		// A little later than asked, so that lanes do not come all at once.
		return result.RetryAfter + wait/4, true
	}
	return wait, false
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, wait time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
}
