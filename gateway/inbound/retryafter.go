package inbound

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const (
	// waitRatio is the ratio of each wait to the one before it. With 6, the four
	// waits of a function with default retries are 5.6 min, 33 min, 3.3 h and
	// 20 h within an outage budget of a day: the first is short enough for a
	// deployment, and together they outlast a night.
	waitRatio = 6

	// waitJitter is the part of a wait that is added at most, so that runs that
	// failed together do not come back together. Nothing is taken away: a wait
	// that is too short is an attempt lost.
	waitJitter = 0.1

	// lastRetryAfter is said with the last attempt. Nobody waits for it: the run
	// is over unless a person starts it again.
	lastRetryAfter = time.Minute
)

// retryAfter returns how long Inngest should wait before the attempt that
// follows this one (attempts count from 0), so that the attempts of a run are
// spread over the outage budget: attempts are all that a run has. Unless the
// call says otherwise it is taken for the first of a function with the default
// retries.
func retryAfter(attempt, maxAttempts int, budget time.Duration, random func() float64) time.Duration {
	if maxAttempts <= 0 {
		attempt, maxAttempts = 0, 1+inngest.DefaultRetries
	}
	waits := maxAttempts - 1
	if attempt < 0 || attempt >= waits {
		return lastRetryAfter
	}
	// A geometric series: the first wait is budget * (ratio-1) / (ratio^waits-1).
	// Written with negative powers it stays in range for any number of attempts.
	seconds := budget.Seconds() * (waitRatio - 1) * math.Pow(waitRatio, float64(attempt-waits)) /
		(1 - math.Pow(waitRatio, -float64(waits)))
	seconds = math.Ceil(seconds * (1 + waitJitter*random()))
	return time.Duration(min(max(seconds, 1), inngest.MaxRetryAfter.Seconds())) * time.Second
}

// RetryAfter is what a call that is answered without its app is told: see
// retryAfter.
func RetryAfter(attempt, maxAttempts int, budget time.Duration) time.Duration {
	return retryAfter(attempt, maxAttempts, budget, rand.Float64)
}
