package program

import (
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// sleeping is a sleep or a sleepUntil.
type sleeping struct {
	plain
	length *expr.Template // of a sleep
	until  *expr.Template // of a sleepUntil
}

func (c *compiler) sleep(m map[string]any, at string, v *view) statement {
	return c.step(m, at, v, &sleeping{length: c.duration(m["sleep"], at+".sleep", v, inngest.MaxWait)})
}

func (c *compiler) sleepUntil(m map[string]any, at string, v *view) statement {
	at2 := at + ".sleepUntil"
	t := c.text(m["sleepUntil"], at2, v, tells)
	if t != nil && t.Constant() {
		text, isText := m["sleepUntil"].(string)
		if _, err := parseTime(text); isText && err != nil {
			c.add(at2, text, "a time as in 2026-01-31T08:00:00Z, or a date")
		}
	}
	return c.step(m, at, v, &sleeping{until: t})
}

func (s *sleeping) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	if s.length != nil {
		return run.Step{Op: inngest.OpSleep, Text: e.duration(s.length)}, e.err
	}
	at, err := timeOf(e.value(s.until))
	e.check(err)
	return run.Step{Op: inngest.OpSleep, Text: at.UTC().Format("2006-01-02T15:04:05.000Z")}, e.err
}

func (e *evaluator) duration(t *expr.Template) string {
	text, err := durationText(e.value(t), inngest.MaxWait)
	e.check(err)
	return text
}

// durationText returns a duration as the server reads it.
func durationText(v expr.Value, most time.Duration) (string, error) {
	d, ok := v.Duration()
	text := span(d)
	if !ok {
		if text, ok = v.Text(); !ok {
			return "", fmt.Errorf("is %s, want a duration as in 5m", v.Kind())
		}
		var err error
		if d, err = inngest.ParseDuration(text); err != nil {
			return "", err
		}
	}
	if d <= 0 || d > most {
		return "", fmt.Errorf("is %s, want a duration from above 0 to %s", text, span(most))
	}
	return text, nil
}

// timeOf reads a timestamp, a text or a number of milliseconds since 1970.
func timeOf(v expr.Value) (time.Time, error) {
	at, ok := v.Time()
	if text, isText := v.Text(); isText {
		var err error
		if at, err = parseTime(text); err != nil {
			return time.Time{}, err
		}
		ok = true
	}
	if ms, isNumber := v.Int(); isNumber {
		at, ok = time.UnixMilli(ms), true
	}
	if !ok {
		return time.Time{}, fmt.Errorf("is %s, want a time", v.Kind())
	}
	if year := at.UTC().Year(); year < 1970 || year > 9999 {
		return time.Time{}, fmt.Errorf("is in the year %d", year)
	}
	return at, nil
}

func parseTime(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time as in 2026-01-31T08:00:00Z, and no date", shorten(text))
}

// eventWait is a waitForEvent.
type eventWait struct {
	plain
	event, timeout *expr.Template
	matches        *expr.ServerExpr
}

func (c *compiler) waitForEvent(m map[string]any, at string, v *view) statement {
	s := &eventWait{}
	in := at + ".waitForEvent"
	if source, ok := c.group(m["waitForEvent"], in, "event", "timeout", "if"); ok {
		s.event = c.text(source["event"], in+".event", v, tells)
		s.timeout = c.duration(source["timeout"], in+".timeout", v, inngest.MaxWait)
		if text, ok := source["if"].(string); ok {
			s.matches = c.serverExpr(text, in+".if", v)
		} else if source["if"] != nil {
			c.add(in+".if", source["if"], "an expression over event and async")
		}
	}
	return c.step(m, at, v, s)
}

func (c *compiler) serverExpr(text, at string, v *view) *expr.ServerExpr {
	x, err := v.env.ServerExpr(text, c.server)
	if err != nil {
		c.syntax(at, err.(*expr.SyntaxError), v)
		return nil
	}
	for _, inner := range x.Exprs() {
		c.check(inner, at, v, tells)
	}
	return x
}

func (s *eventWait) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	out := run.Step{Op: inngest.OpWaitForEvent, Text: e.text(s.event)}
	opts := inngest.WaitForEventOpts{Timeout: e.duration(s.timeout)}
	if e.err == nil && s.matches != nil {
		var condition string
		condition, e.err = s.matches.Text(i.ctx, f.vars, i.limits.Bytes)
		opts.If = run.Matchable(condition, i.run.Event)
	}
	out.Opts = opts
	if out.Text == "" || len(out.Text) > inngest.MaxTriggerEventLen {
		e.check(fmt.Errorf("the event's name has %d bytes, want 1 to %d", len(out.Text), inngest.MaxTriggerEventLen))
	}
	return out, e.err
}

// signalWait is a waitForSignal.
type signalWait struct {
	plain
	signal, timeout *expr.Template
	conflict        string
}

func (c *compiler) waitForSignal(m map[string]any, at string, v *view) statement {
	s := &signalWait{conflict: inngest.ConflictFail}
	in := at + ".waitForSignal"
	if source, ok := c.group(m["waitForSignal"], in, "signal", "timeout", "onConflict"); ok {
		s.signal = c.text(source["signal"], in+".signal", v, tells)
		s.timeout = c.duration(source["timeout"], in+".timeout", v, inngest.MaxWait)
		if conflict, ok := source["onConflict"]; ok {
			s.conflict, _ = conflict.(string)
			if s.conflict != inngest.ConflictFail && s.conflict != inngest.ConflictReplace {
				c.add(in+".onConflict", conflict, "%s or %s", inngest.ConflictFail, inngest.ConflictReplace)
			}
		}
	}
	return c.step(m, at, v, s)
}

func (s *signalWait) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	signal := e.text(s.signal)
	timeout := e.duration(s.timeout)
	if signal == "" {
		e.check(errors.New("the signal's name is empty"))
	}
	return run.Step{
		Op: inngest.OpWaitForSignal, Text: signal,
		Opts: inngest.WaitForSignalOpts{Signal: signal, Timeout: timeout, Conflict: s.conflict},
	}, e.err
}
