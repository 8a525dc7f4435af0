package inbound

import (
	"testing"
	"time"
)

func TestRetryAfter_spreadsTheAttemptsOverTheOutageBudget(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		attempt, max int
		budget       time.Duration
		rand         float64
		want         time.Duration
	}{
		"first of five":                 {0, 5, day, 0, 334 * time.Second},
		"second of five":                {1, 5, day, 0, 2002 * time.Second},
		"third of five":                 {2, 5, day, 0, 12011 * time.Second},
		"fourth of five":                {3, 5, day, 0, 72056 * time.Second},
		"last of five":                  {4, 5, day, 0, time.Minute},
		"jitter is only added":          {0, 5, day, 0.999999, 367 * time.Second},
		"the only wait":                 {0, 2, day, 0, day},
		"never more than a day":         {0, 2, day, 1, day},
		"nor with a larger budget":      {3, 5, 10 * day, 0, day},
		"never less than a second":      {0, 21, day, 0, time.Second},
		"21 attempts, the last wait":    {19, 21, day, 0, 72000 * time.Second},
		"no retries":                    {0, 1, day, 0, time.Minute},
		"the body does not say":         {0, 0, day, 0, 334 * time.Second},
		"attempts beyond the last":      {9, 5, day, 0, time.Minute},
		"as many attempts as can be":    {999_999_997, 999_999_999, day, 0, 72000 * time.Second},
		"an hour":                       {0, 5, time.Hour, 0, 14 * time.Second},
		"attempt without the number of": {3, 0, day, 0, 334 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got := retryAfter(c.attempt, c.max, c.budget, func() float64 { return c.rand })
			if diff := got - c.want; diff < -time.Second || diff > time.Second || got%time.Second != 0 {
				t.Errorf("retryAfter(%d, %d, %v) = %v, want %v", c.attempt, c.max, c.budget, got, c.want)
			}
		})
	}
}

func TestRetryAfter_ofAllWaitsComesToTheBudget(t *testing.T) {
	for attempts := 2; attempts <= 8; attempts++ {
		var sum time.Duration
		for attempt := range attempts - 1 {
			sum += retryAfter(attempt, attempts, 20*time.Hour, func() float64 { return 0 })
		}
		if sum < 20*time.Hour || sum > 20*time.Hour+10*time.Second {
			t.Errorf("waits of %d attempts come to %v, want 20 h", attempts, sum)
		}
	}
}
