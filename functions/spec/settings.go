package spec

import (
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func (r *reading) triggers(into *[]inngest.Trigger) setting {
	return func(v any, at string) {
		r.list(v, at, func(v any, at string) {
			var t inngest.Trigger
			r.group(v, at, map[string]setting{
				"event": r.text(&t.Event), "if": r.text(&t.Expression), "cron": r.text(&t.Cron), "jitter": r.text(&t.Jitter),
			})
			*into = append(*into, t)
		})
	}
}

func (r *reading) rateLimit(l *inngest.RateLimit) setting {
	return r.keys(map[string]setting{"limit": r.number(&l.Limit), "period": r.text(&l.Period), "key": r.text(&l.Key)})
}

func (r *reading) throttle(t *inngest.Throttle) setting {
	return r.keys(map[string]setting{
		"limit": r.number(&t.Limit), "period": r.text(&t.Period), "burst": r.number(&t.Burst), "key": r.text(&t.Key),
	})
}

func (r *reading) debounce(d *inngest.Debounce) setting {
	return r.keys(map[string]setting{"period": r.text(&d.Period), "timeout": r.text(&d.Timeout), "key": r.text(&d.Key)})
}

func (r *reading) priority(p *inngest.Priority) setting {
	return r.keys(map[string]setting{"run": r.text(&p.Run)})
}

func (r *reading) timeouts(t *inngest.Timeouts) setting {
	return r.keys(map[string]setting{"start": r.text(&t.Start), "finish": r.text(&t.Finish)})
}

func (r *reading) batchEvents(b *inngest.BatchEvents) setting {
	return r.keys(map[string]setting{
		"maxSize": r.number(&b.MaxSize), "timeout": r.text(&b.Timeout), "key": r.text(&b.Key), "if": r.text(&b.If),
	})
}

func (r *reading) singleton(s *inngest.SingletonConfig) setting {
	s.Mode = inngest.SingletonSkip // what SDKs say by themselves
	return r.keys(map[string]setting{"key": r.text(&s.Key), "mode": r.text(&s.Mode)})
}

func (r *reading) cancelOn(into *[]inngest.Cancel) setting {
	return func(v any, at string) {
		r.list(v, at, func(v any, at string) {
			var c inngest.Cancel
			r.group(v, at, map[string]setting{"event": r.text(&c.Event), "timeout": r.text(&c.Timeout), "if": r.text(&c.If)})
			*into = append(*into, c)
		})
	}
}

// concurrency reads any of its four shapes: a number, one limit, a list of
// limits, and the group of fn and step.
func (r *reading) concurrency(c *inngest.Concurrency) setting {
	return func(v any, at string) {
		m, isGroup := v.(map[string]any)
		_, fn := m["fn"]
		_, step := m["step"]
		switch {
		case isGroup && (fn || step):
			r.group(v, at, map[string]setting{"fn": r.limits(&c.Fn), "step": r.limits(&c.Step)})
		case isGroup:
			c.Limits = make([]inngest.ConcurrencyLimit, 1)
			r.limit(&c.Limits[0])(v, at)
		default:
			r.limits(&c.Limits)(v, at)
		}
	}
}

// limits reads a list of limits, or one that stands alone.
func (r *reading) limits(into *[]inngest.ConcurrencyLimit) setting {
	one := func(v any, at string) {
		var l inngest.ConcurrencyLimit
		if n, ok := whole(v); ok {
			l.Limit = n
		} else {
			r.limit(&l)(v, at)
		}
		*into = append(*into, l)
	}
	return func(v any, at string) {
		_, isNumber := whole(v)
		_, isGroup := v.(map[string]any)
		_, isList := v.([]any)
		switch {
		case isList:
			r.list(v, at, one)
		case isNumber || isGroup:
			one(v, at)
		default:
			r.add(at, shown(v), "a whole number, {limit, key, scope}, a list of these, or {fn, step}")
		}
	}
}

func (r *reading) limit(l *inngest.ConcurrencyLimit) setting {
	return r.keys(map[string]setting{"limit": r.number(&l.Limit), "key": r.text(&l.Key), "scope": r.text(&l.Scope)})
}

// keys makes the reader of a group.
func (r *reading) keys(keys map[string]setting) setting {
	return func(v any, at string) { r.group(v, at, keys) }
}
