package inngest

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Fault is one thing in a function's configuration that the server refuses,
// or changes silently.
type Fault struct {
	Path string // concurrency[1].key
	Got  string
	Want string // what would be accepted, in words
}

// Check returns everything that is wrong with the configuration. Expressions
// are not parsed.
func (f *Function) Check() []Fault {
	var c checker
	c.filled("id", f.ID)
	c.filled("name", f.Name)
	c.triggers(f.Triggers)
	c.steps(f.Steps)
	if f.Retries != nil {
		c.between("retries", *f.Retries, 0, MaxRetries)
	}
	if f.RateLimit != nil {
		c.atLeast("rateLimit.limit", f.RateLimit.Limit, 1)
		c.duration("rateLimit.period", f.RateLimit.Period, time.Second, MaxRateLimitPeriod)
	}
	if f.Throttle != nil {
		c.atLeast("throttle.limit", f.Throttle.Limit, 1)
		c.atLeast("throttle.burst", f.Throttle.Burst, 0)
		c.duration("throttle.period", f.Throttle.Period, time.Second, MaxThrottlePeriod)
	}
	if f.Concurrency != nil {
		c.concurrency(f.Concurrency)
	}
	if f.Debounce != nil {
		c.duration("debounce.period", f.Debounce.Period, MinDebounce, MaxDebounce)
		c.optionalDuration("debounce.timeout", f.Debounce.Timeout)
	}
	if f.Priority != nil {
		c.filled("priority.run", f.Priority.Run)
	}
	if f.Timeouts != nil {
		c.optionalDuration("timeouts.start", f.Timeouts.Start)
		c.optionalDuration("timeouts.finish", f.Timeouts.Finish)
	}
	if len(f.Cancel) > MaxCancels {
		c.add("cancel", strconv.Itoa(len(f.Cancel))+" events", fmt.Sprintf("at most %d", MaxCancels))
	}
	for i, cancel := range f.Cancel {
		c.filled(fmt.Sprintf("cancel[%d].event", i), cancel.Event)
		c.optionalDuration(fmt.Sprintf("cancel[%d].timeout", i), cancel.Timeout)
	}
	if f.BatchEvents != nil {
		c.batch(f)
	}
	if f.Singleton != nil && f.Singleton.Mode != SingletonSkip && f.Singleton.Mode != SingletonCancel {
		c.add("singleton.mode", f.Singleton.Mode, "skip or cancel")
	}
	return c.faults
}

type checker struct{ faults []Fault }

func (c *checker) add(path, got, want string) {
	c.faults = append(c.faults, Fault{path, got, want})
}

func (c *checker) filled(path, text string) {
	if text == "" {
		c.add(path, "nothing", "a text")
	}
}

func (c *checker) atLeast(path string, n, least int) {
	if n < least {
		c.add(path, strconv.Itoa(n), fmt.Sprintf("a number from %d", least))
	}
}

func (c *checker) between(path string, n, least, most int) {
	if n < least || n > most {
		c.add(path, strconv.Itoa(n), fmt.Sprintf("a number from %d to %d", least, most))
	}
}

func (c *checker) duration(path, text string, least, most time.Duration) {
	if d, err := ParseDuration(text); err != nil || d < least || d > most {
		c.add(path, text, fmt.Sprintf("a duration from %v to %v", least, most))
	}
}

func (c *checker) optionalDuration(path, text string) {
	if text == "" {
		return
	}
	if _, err := ParseDuration(text); err != nil {
		c.add(path, text, "a duration, as in 1d12h")
	}
}

func (c *checker) triggers(triggers []Trigger) {
	if len(triggers) == 0 || len(triggers) > MaxTriggers {
		c.add("triggers", strconv.Itoa(len(triggers)), fmt.Sprintf("1 to %d triggers", MaxTriggers))
	}
	seen := make(map[Trigger]bool)
	for i, t := range triggers {
		at := fmt.Sprintf("triggers[%d]", i)
		switch {
		case seen[t]:
			c.add(at, t.Event+t.Cron, "a trigger that is not in the list yet")
		case t.Event == "" && t.Cron == "":
			c.add(at, "neither", "an event or a cron schedule")
		case t.Event != "" && t.Cron != "":
			c.add(at, "both", "an event or a cron schedule, not both")
		case t.Event != "":
			if len(t.Event) > MaxTriggerEventLen {
				c.add(at+".event", t.Event, fmt.Sprintf("at most %d bytes", MaxTriggerEventLen))
			}
			if t.Jitter != "" {
				c.add(at+".jitter", t.Jitter, "nothing: only a cron schedule has a jitter")
			}
		default:
			c.cron(at, t)
		}
		seen[t] = true
	}
}

func (c *checker) cron(at string, t Trigger) {
	// The server takes no words as @daily, though what runs its crons would.
	fields := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	if _, err := fields.Parse(t.Cron); err != nil {
		c.add(at+".cron", t.Cron, `five fields (minute hour day month weekday) after an optional "TZ=<zone> "`)
	}
	if t.Jitter != "" {
		c.duration(at+".jitter", t.Jitter, MinCronJitter, MaxCronJitter)
	}
}

func (c *checker) steps(steps map[string]Step) {
	if len(steps) != 1 {
		c.add("steps", strconv.Itoa(len(steps)), "exactly one step")
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		step, at := steps[name], "steps."+name
		c.filled(at+".name", step.Name)
		u, err := url.Parse(step.Runtime.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			c.add(at+".runtime.url", step.Runtime.URL, "an http or https URL")
		}
		if step.Retries != nil {
			c.between(at+".retries.attempts", step.Retries.Attempts, 0, MaxRetries)
		}
	}
}

func (c *checker) concurrency(limits *Concurrency) {
	if n := len(limits.Limits) + len(limits.Fn) + len(limits.Step); n > MaxConcurrencyLimits && len(limits.Limits) > 0 {
		c.add("concurrency", strconv.Itoa(n)+" limits", fmt.Sprintf("at most %d", MaxConcurrencyLimits))
	}
	if len(limits.Fn) > MaxFnConcurrencyLimits {
		c.add("concurrency.fn", strconv.Itoa(len(limits.Fn))+" limits", fmt.Sprintf("at most %d", MaxFnConcurrencyLimits))
	}
	if len(limits.Step) > MaxConcurrencyLimits {
		c.add("concurrency.step", strconv.Itoa(len(limits.Step))+" limits", fmt.Sprintf("at most %d", MaxConcurrencyLimits))
	}
	c.limits("concurrency", limits.Limits)
	c.limits("concurrency.fn", limits.Fn)
	c.limits("concurrency.step", limits.Step)
}

func (c *checker) limits(list string, limits []ConcurrencyLimit) {
	for i, limit := range limits {
		at := fmt.Sprintf("%s[%d]", list, i)
		c.atLeast(at+".limit", limit.Limit, 0)
		switch limit.Scope {
		case "", ScopeFn:
		case ScopeEnv, ScopeAccount:
			if limit.Key == "" {
				c.add(at+".key", "nothing", "an expression: a limit with scope "+limit.Scope+" needs one")
			}
		default:
			c.add(at+".scope", limit.Scope, "fn, env or account")
		}
	}
}

func (c *checker) batch(f *Function) {
	c.atLeast("batchEvents.maxSize", f.BatchEvents.MaxSize, MinBatchSize)
	// The server knows no days and weeks here.
	if d, err := time.ParseDuration(f.BatchEvents.Timeout); err != nil || d < MinBatchTimeout {
		c.add("batchEvents.timeout", f.BatchEvents.Timeout, fmt.Sprintf("a duration from %v in hours, minutes and seconds", MinBatchTimeout))
	}
	var with []string
	if len(f.Cancel) > 0 {
		with = append(with, "cancel")
	}
	if f.Debounce != nil {
		with = append(with, "debounce")
	}
	if f.Singleton != nil {
		with = append(with, "singleton")
	}
	if f.Priority != nil {
		with = append(with, "priority")
	}
	if len(with) > 0 {
		c.add("batchEvents", "beside "+strings.Join(with, ", "), "no cancel, debounce, singleton or priority in the same function")
	}
}
