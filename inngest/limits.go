package inngest

import "time"

// Bounds of a function's configuration.
const (
	DefaultRetries         = 4
	MaxRetries             = 20 // more is cut silently
	MaxTriggers            = 10
	MaxCancels             = 5
	MaxConcurrencyLimits   = 2
	MaxFnConcurrencyLimits = 1
	MinBatchSize           = 2
	MinBatchTimeout        = time.Second
	MinDebounce            = time.Second
	MaxDebounce            = 7 * 24 * time.Hour
	MaxRateLimitPeriod     = 24 * time.Hour
	MaxThrottlePeriod      = 7 * 24 * time.Hour
	IdempotencyPeriod      = 24 * time.Hour
	MinCronJitter          = time.Second
	MaxCronJitter          = 5 * time.Minute
)

// Bounds of what a run does.
const (
	MaxDefersPerRun = 20
	MaxWait         = 366 * 24 * time.Hour // WaitForEvent
	MaxRetryAfter   = 24 * time.Hour
	MaxCallBytes    = 4 << 20 // steps and events of a call; beyond it use_api is true
	MaxAnswerBytes  = 8 << 20
)
