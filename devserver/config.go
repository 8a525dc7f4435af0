package devserver

import (
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// checkFunction tells the first thing that the server would refuse of a
// function: its values, then its expressions.
func (m *matcher) checkFunction(f *inngest.Function) error {
	for _, fault := range f.Check() {
		if fault.Path == "retries" || fault.Path == "steps.step.retries.attempts" {
			continue // cut silently, see EffectiveRetries
		}
		return fmt.Errorf("function %s: %s is %q, want %s", f.ID, fault.Path, fault.Got, fault.Want)
	}
	var expressions []string
	for _, t := range f.Triggers {
		expressions = append(expressions, t.Expression)
	}
	for _, c := range f.Cancel {
		expressions = append(expressions, c.If)
	}
	if b := f.BatchEvents; b != nil {
		expressions = append(expressions, b.Key, b.If)
	}
	for _, l := range limitsOf(f) {
		expressions = append(expressions, l.Key)
	}
	for _, e := range expressions {
		if e == "" {
			continue
		}
		if err := m.check(e); err != nil {
			return fmt.Errorf("function %s: %w", f.ID, err)
		}
	}
	return nil
}

// A limit is a concurrency limit: of runs as a whole, or of calls at once.
type limit struct {
	inngest.ConcurrencyLimit
	whole bool
}

func limitsOf(f *inngest.Function) []limit {
	var out []limit
	if f.Concurrency == nil {
		return nil
	}
	for _, l := range f.Concurrency.Fn {
		out = append(out, limit{l, true})
	}
	for _, list := range [][]inngest.ConcurrencyLimit{f.Concurrency.Step, f.Concurrency.Limits} {
		for _, l := range list {
			out = append(out, limit{l, false})
		}
	}
	return out
}

// lasting reads a duration that was checked when the function was registered.
// An empty or bad one is 0.
func lasting(text string) time.Duration {
	d, err := inngest.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}
