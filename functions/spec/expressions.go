package spec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
)

// checkExpressions compiles what the server evaluates, with the names that it
// knows there: event, and async for what came in while the run waited.
func (r *reading) checkExpressions(f *Function) {
	s := &f.Settings
	check := func(text, path string, kind expr.Kind, variables ...string) {
		if text != "" {
			r.checkExpression(text, f.At+"."+path, kind, variables)
		}
	}
	for i, t := range s.Triggers {
		if t.Cron == "" {
			check(t.Expression, fmt.Sprintf("triggers[%d].if", i), expr.Condition, "event")
		}
	}
	for i, c := range s.Cancel {
		check(c.If, fmt.Sprintf("cancelOn[%d].if", i), expr.Match, "event", "async")
	}
	check(s.Idempotency, "idempotency", expr.Any, "event")
	if s.RateLimit != nil {
		check(s.RateLimit.Key, "rateLimit.key", expr.Any, "event")
	}
	if s.Throttle != nil {
		check(s.Throttle.Key, "throttle.key", expr.Any, "event")
	}
	if s.Debounce != nil {
		check(s.Debounce.Key, "debounce.key", expr.Any, "event")
	}
	if s.Priority != nil {
		check(s.Priority.Run, "priority.run", expr.Number, "event")
	}
	if s.Singleton != nil {
		check(s.Singleton.Key, "singleton.key", expr.Any, "event")
	}
	if s.BatchEvents != nil {
		check(s.BatchEvents.Key, "batchEvents.key", expr.Any, "event")
		check(s.BatchEvents.If, "batchEvents.if", expr.Condition, "event")
	}
	if c := s.Concurrency; c != nil {
		for i, l := range c.Limits {
			check(l.Key, fmt.Sprintf("concurrency[%d].key", i), expr.Any, "event")
		}
		for i, l := range c.Fn {
			check(l.Key, fmt.Sprintf("concurrency.fn[%d].key", i), expr.Any, "event")
		}
		for i, l := range c.Step {
			check(l.Key, fmt.Sprintf("concurrency.step[%d].key", i), expr.Any, "event")
		}
	}
}

// server returns a checker of expressions over some variables, made once.
func (r *reading) server(variables []string) (*expr.Server, error) {
	names := strings.Join(variables, " ")
	if s := r.servers[names]; s != nil {
		return s, nil
	}
	s, err := expr.NewServer(variables...)
	if err != nil {
		return nil, err
	}
	if r.servers == nil {
		r.servers = map[string]*expr.Server{}
	}
	r.servers[names] = s
	return s, nil
}

func (r *reading) checkExpression(text, at string, kind expr.Kind, variables []string) {
	server, err := r.server(variables)
	if err == nil {
		err = server.Check(text, kind)
	}
	if err == nil {
		return
	}
	want := "an expression over " + listed(variables)
	var wrong *expr.SyntaxError
	switch {
	case strings.Contains(text, "${"):
		want = "an expression as it stands, without ${ and }"
	case errors.As(err, &wrong):
		want += fmt.Sprintf("; at column %d: %s", wrong.Column, wrong.Message)
		if wrong.Line > 1 {
			want = strings.Replace(want, "at column", fmt.Sprintf("at line %d, column", wrong.Line), 1)
		}
	default:
		want += ": " + err.Error()
	}
	r.add(at, shown(text), want)
}
