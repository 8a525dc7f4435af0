package devserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// functionConfig is a function as /fn/register and in-band answers tell it.
// Go's SDK writes some names with a capital: encoding/json does not mind.
type functionConfig struct {
	ID          string                `json:"id"`
	Name        string                `json:"name"`
	Triggers    []triggerConfig       `json:"triggers"`
	Steps       map[string]stepConfig `json:"steps"`
	Retries     *int                  `json:"retries"`
	Concurrency concurrencyConfig     `json:"concurrency"`
	Batch       *batchConfig          `json:"batchEvents"`
	Idempotency *string               `json:"idempotency"`
	RateLimit   *rateConfig           `json:"rateLimit"`
	Throttle    *rateConfig           `json:"throttle"`
	Debounce    *debounceConfig       `json:"debounce"`
	Priority    *priorityConfig       `json:"priority"`
	Cancel      []cancelConfig        `json:"cancel"`
	Timeouts    *timeoutsConfig       `json:"timeouts"`
	Singleton   *singletonConfig      `json:"singleton"`
}

type triggerConfig struct {
	Event      string  `json:"event"`
	Expression string  `json:"expression"`
	Cron       string  `json:"cron"`
	Jitter     *period `json:"jitter"`
}

type stepConfig struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Runtime struct {
		URL string `json:"url"`
	} `json:"runtime"`
	Retries *struct {
		Attempts int `json:"attempts"`
	} `json:"retries"`
}

// concurrencyConfig is a number, one limit, a list of limits, or
// {"fn": [...], "step": [...]}.
type concurrencyConfig []concurrencyLimit

type concurrencyLimit struct {
	Limit int    `json:"limit"`
	Key   string `json:"key"`
	Scope string `json:"scope"` // fn (also if empty), env or account
	whole bool   // of {"fn": ...}: counts runs, not steps
}

type batchConfig struct {
	MaxSize int    `json:"maxSize"`
	Timeout period `json:"timeout"`
	Key     string `json:"key"`
	If      string `json:"if"`
}

type rateConfig struct {
	Limit  int    `json:"limit"`
	Period period `json:"period"`
	Burst  int    `json:"burst"`
	Key    string `json:"key"`
}

type debounceConfig struct {
	Period  period  `json:"period"`
	Timeout *period `json:"timeout"`
	Key     string  `json:"key"`
}

type priorityConfig struct {
	Run string `json:"run"`
}

type cancelConfig struct {
	Event   string  `json:"event"`
	Timeout *period `json:"timeout"`
	If      string  `json:"if"`
}

type timeoutsConfig struct {
	Start  *period `json:"start"`
	Finish *period `json:"finish"`
}

type singletonConfig struct {
	Key  string `json:"key"`
	Mode string `json:"mode"` // skip or cancel
}

// UnmarshalJSON reads the four shapes.
func (c *concurrencyConfig) UnmarshalJSON(b []byte) error {
	*c = nil
	switch b = bytes.TrimSpace(b); {
	case bytes.Equal(b, []byte("null")):
		return nil
	case b[0] == '[':
		return json.Unmarshal(b, (*[]concurrencyLimit)(c))
	case b[0] != '{':
		var n int
		if err := json.Unmarshal(b, &n); err != nil {
			return err
		}
		if n > 0 {
			*c = concurrencyConfig{{Limit: n}}
		}
		return nil
	}
	var both struct {
		concurrencyLimit
		Fn   []concurrencyLimit `json:"fn"`
		Step []concurrencyLimit `json:"step"`
	}
	if err := json.Unmarshal(b, &both); err != nil {
		return err
	}
	if both.Limit > 0 {
		*c = append(*c, both.concurrencyLimit)
	}
	for _, l := range both.Fn {
		l.whole = true
		*c = append(*c, l)
	}
	*c = append(*c, both.Step...)
	return nil
}

// A period is a duration as users write it: 30s, 2h30m, 7d, 1w.
type period time.Duration

// UnmarshalJSON reads a text.
func (p *period) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	d, err := parsePeriod(text)
	*p = period(d)
	return err
}

var errPeriod = errors.New("not a duration")

// parsePeriod reads numbers with units, largest first or not: ns, us, ms, s,
// m, h, d (24 h), w (7 d).
func parsePeriod(text string) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, fmt.Errorf("%q: %w", text, errPeriod)
	}
	var total float64
	for rest != "" {
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, fmt.Errorf("%q: %w", text, errPeriod)
		}
		value, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", text, errPeriod)
		}
		rest = rest[n:]
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
		if end < 0 {
			end = len(rest)
		}
		unit, ok := units[strings.TrimSpace(rest[:end])]
		if !ok {
			return 0, fmt.Errorf("%q: %w", text, errPeriod)
		}
		total += value * float64(unit)
		rest = rest[end:]
	}
	if total > math.MaxInt64 {
		return 0, fmt.Errorf("%q: %w", text, errPeriod)
	}
	return time.Duration(total), nil
}

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// check tells what the server would refuse of a function.
func (c *functionConfig) check(m *matcher) error {
	if c.ID == "" && c.Name == "" {
		return errors.New("a function has neither id nor name")
	}
	if len(c.Triggers) == 0 || len(c.Triggers) > 10 {
		return fmt.Errorf("function %s: %d triggers, want 1 to 10", c.ID, len(c.Triggers))
	}
	if c.stepURL() == "" {
		return fmt.Errorf("function %s: no step with a url", c.ID)
	}
	expressions := []string{}
	for _, t := range c.Triggers {
		switch {
		case t.Cron != "":
			if _, err := cron.ParseStandard(t.Cron); err != nil {
				return fmt.Errorf("function %s: cron %q: %w", c.ID, t.Cron, err)
			}
		case t.Event == "" || len(t.Event) > 255:
			return fmt.Errorf("function %s: a trigger's event name has %d bytes, want 1 to 255", c.ID, len(t.Event))
		}
		expressions = append(expressions, t.Expression)
	}
	if len(c.Concurrency) > 3 || len(c.Cancel) > 5 {
		return fmt.Errorf("function %s: too many concurrency limits or cancellations", c.ID)
	}
	for _, l := range c.Concurrency {
		expressions = append(expressions, l.Key)
	}
	for _, x := range c.Cancel {
		expressions = append(expressions, x.If)
	}
	if b := c.Batch; b != nil {
		if b.MaxSize < 2 || time.Duration(b.Timeout) < time.Second {
			return fmt.Errorf("function %s: batchEvents needs maxSize of at least 2 and a timeout of at least 1s", c.ID)
		}
		if len(c.Cancel) > 0 || c.Debounce != nil || c.Singleton != nil || c.Priority != nil {
			return fmt.Errorf("function %s: batchEvents excludes cancelOn, debounce, singleton and priority", c.ID)
		}
		expressions = append(expressions, b.Key, b.If)
	}
	for _, e := range expressions {
		if e == "" {
			continue
		}
		if err := m.check(e); err != nil {
			return fmt.Errorf("function %s: %w", c.ID, err)
		}
	}
	return nil
}

// stepURL is the address of the function's only step. The SDKs call it "step".
func (c *functionConfig) stepURL() string {
	if s, ok := c.Steps["step"]; ok {
		return s.Runtime.URL
	}
	for _, s := range c.Steps {
		return s.Runtime.URL
	}
	return ""
}

// attempts is how often each call may be tried again after it failed.
func (c *functionConfig) retries() int {
	n := defaultRetries
	if c.Retries != nil {
		n = *c.Retries
	}
	for _, s := range c.Steps {
		if s.Retries != nil {
			n = s.Retries.Attempts
		}
	}
	return min(max(n, 0), maxRetries)
}
