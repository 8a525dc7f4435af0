package inngest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Function is one function of an app as a registration tells it.
type Function struct {
	ID          string           `json:"id"` // app id, "-", the function's own id
	Name        string           `json:"name"`
	Triggers    []Trigger        `json:"triggers"`
	Steps       map[string]Step  `json:"steps"`             // exactly one, "step"
	Retries     *int             `json:"retries,omitempty"` // of Go; Step.Retries goes first
	RateLimit   *RateLimit       `json:"rateLimit,omitempty"`
	Throttle    *Throttle        `json:"throttle,omitempty"`
	Concurrency *Concurrency     `json:"concurrency,omitempty"`
	Debounce    *Debounce        `json:"debounce,omitempty"`
	Priority    *Priority        `json:"priority,omitempty"`
	Timeouts    *Timeouts        `json:"timeouts,omitempty"`
	Cancel      []Cancel         `json:"cancel,omitempty"` // cancelOn in SDKs
	BatchEvents *BatchEvents     `json:"batchEvents,omitempty"`
	Idempotency string           `json:"idempotency,omitempty"` // key of a RateLimit of 1 per 24 h
	Singleton   *SingletonConfig `json:"singleton,omitempty"`
}

// A Trigger starts a function: an event or a cron schedule.
type Trigger struct {
	Event      string `json:"event,omitempty"`      // a name, perhaps with a wildcard
	Expression string `json:"expression,omitempty"` // CEL over event
	Cron       string `json:"cron,omitempty"`       // robfig/cron v3, five fields, perhaps TZ=
	Jitter     string `json:"jitter,omitempty"`     // of a cron
}

// A Step tells where a function is called. There is one for each function.
type Step struct {
	ID      string       `json:"id"` // "step"
	Name    string       `json:"name"`
	Runtime Runtime      `json:"runtime"`
	Retries *StepRetries `json:"retries,omitempty"`
}

// A Runtime is the address of a Step.
type Runtime struct {
	Type string `json:"type,omitempty"` // http; Go leaves it out
	URL  string `json:"url"`            // with fnId and stepId (JS) or step (Go) in its query
}

// StepRetries is how often a step is tried again.
type StepRetries struct {
	Attempts int `json:"attempts"`
}

// A RateLimit drops what is over the limit.
type RateLimit struct {
	Limit  int    `json:"limit"`
	Period string `json:"period"`
	Key    string `json:"key,omitempty"` // CEL over event
}

// A Throttle delays what is over the limit.
type Throttle struct {
	Limit  int    `json:"limit"`
	Period string `json:"period"`
	Burst  int    `json:"burst,omitempty"`
	Key    string `json:"key,omitempty"`
}

// A Debounce runs the last event of a burst.
type Debounce struct {
	Period  string `json:"period"`
	Key     string `json:"key,omitempty"`
	Timeout string `json:"timeout,omitempty"` // longest delay
}

// Priority moves runs forward or back in the queue.
type Priority struct {
	Run string `json:"run"` // CEL: seconds, -600 to 600
}

// Timeouts cancel a run that starts or finishes too late.
type Timeouts struct {
	Start  string `json:"start,omitempty"`
	Finish string `json:"finish,omitempty"`
}

// A Cancel ends runs when an event comes.
type Cancel struct {
	Event   string `json:"event"`
	Timeout string `json:"timeout,omitempty"`
	If      string `json:"if,omitempty"` // CEL over event and async
}

// BatchEvents runs a function for several events at once.
type BatchEvents struct {
	MaxSize int    `json:"maxSize"`
	Timeout string `json:"timeout"`
	Key     string `json:"key,omitempty"`
	If      string `json:"if,omitempty"`
}

// A SingletonConfig allows one run at a time.
type SingletonConfig struct {
	Key  string `json:"key,omitempty"`
	Mode string `json:"mode"` // SingletonSkip or SingletonCancel
}

// What happens to a run that meets a running one.
const (
	SingletonSkip   = "skip"   // the new one is not started
	SingletonCancel = "cancel" // the running one is cancelled
)

// Concurrency limits what runs at once. The wire has four shapes of it: a
// number, one limit, an array of limits, and {fn, step}.
type Concurrency struct {
	Limits []ConcurrencyLimit // steps at once, the first three shapes
	Fn     []ConcurrencyLimit // runs at once
	Step   []ConcurrencyLimit // steps at once
}

// A ConcurrencyLimit is one limit.
type ConcurrencyLimit struct {
	Limit int    `json:"limit"`
	Key   string `json:"key,omitempty"`   // CEL over event
	Scope string `json:"scope,omitempty"` // ScopeFn if empty
}

// Scopes of a ConcurrencyLimit.
const (
	ScopeFn      = "fn"
	ScopeEnv     = "env"
	ScopeAccount = "account"
)

// MarshalJSON writes the shortest of the four shapes.
func (c Concurrency) MarshalJSON() ([]byte, error) {
	switch {
	case len(c.Fn) > 0 || len(c.Step) > 0:
		return json.Marshal(struct {
			Fn   []ConcurrencyLimit `json:"fn,omitempty"`
			Step []ConcurrencyLimit `json:"step,omitempty"`
		}{c.Fn, append(c.Step[:len(c.Step):len(c.Step)], c.Limits...)})
	case len(c.Limits) == 1 && c.Limits[0].Key == "" && c.Limits[0].Scope == "":
		return json.Marshal(c.Limits[0].Limit)
	case c.Limits == nil:
		return []byte("[]"), nil
	default:
		return json.Marshal(c.Limits)
	}
}

// UnmarshalJSON reads any of the four shapes.
func (c *Concurrency) UnmarshalJSON(text []byte) error {
	*c = Concurrency{}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return fmt.Errorf("concurrency: empty")
	}
	switch text[0] {
	case '[':
		return json.Unmarshal(text, &c.Limits)
	case '{':
		var either struct {
			Fn   []ConcurrencyLimit
			Step []ConcurrencyLimit
			ConcurrencyLimit
		}
		if err := json.Unmarshal(text, &either); err != nil {
			return fmt.Errorf("concurrency: %w", err)
		}
		c.Fn, c.Step = either.Fn, either.Step
		if c.Fn == nil && c.Step == nil {
			c.Limits = []ConcurrencyLimit{either.ConcurrencyLimit}
		}
		return nil
	default:
		var limit int
		if err := json.Unmarshal(text, &limit); err != nil {
			return fmt.Errorf("concurrency: %w", err)
		}
		c.Limits = []ConcurrencyLimit{{Limit: limit}}
		return nil
	}
}

// EffectiveRetries returns how often the function is retried: the step's
// number, else the function's, else DefaultRetries; MaxRetries at most, as the
// server cuts it silently.
func (f *Function) EffectiveRetries() int {
	retries := DefaultRetries
	if f.Retries != nil {
		retries = *f.Retries
	}
	if step, ok := f.Steps[TargetAny]; ok && step.Retries != nil {
		retries = step.Retries.Attempts
	}
	return min(max(retries, 0), MaxRetries)
}
