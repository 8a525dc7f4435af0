package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// checkSettings holds a function's settings to the server's limits.
func (r *reading) checkSettings(source any, f *Function) {
	candidate := f.Settings
	candidate.ID, candidate.Name = "x", "x" // checked before
	candidate.Steps = map[string]inngest.Step{inngest.TargetAny: {Name: "x", Runtime: inngest.Runtime{URL: "http://x"}}}
	m, _ := source.(map[string]any)
	for _, fault := range candidate.Check() {
		path := asWritten(fault.Path, m)
		got := fault.Got
		switch {
		case got == "" || got == "nothing" || fault.Path == "triggers" && got == "0":
			got = gotNothing
		case counted.MatchString(fault.Path):
			r.note(f.At+"."+path, got, fault.Want)
			continue
		case quotable.MatchString(path):
			got = shown(got)
		}
		if strings.HasPrefix(got, "beside ") {
			r.note(f.At+"."+path, strings.Replace(got, "cancel", "cancelOn", 1), strings.Replace(fault.Want, "cancel", "cancelOn", 1))
			continue
		}
		r.add(f.At+"."+path, got, fault.Want)
	}
	for i, t := range f.Settings.Triggers {
		r.checkTrigger(t, fmt.Sprintf("%s.triggers[%d]", f.At, i))
	}
	for i, c := range f.Settings.Cancel {
		r.checkEventName(c.Event, fmt.Sprintf("%s.cancelOn[%d].event", f.At, i))
	}
	if f.Settings.Idempotency != "" && f.Settings.RateLimit != nil {
		r.note(f.At+".rateLimit", "beside idempotency", "one of the two: idempotency is a rateLimit of one run in 24 hours, and replaces it")
	}
}

// counted are lists that may be too long while their elements are good.
var counted = regexp.MustCompile(`^(triggers|cancel|concurrency(\.fn|\.step)?)$`)

// quotable are settings whose value is a text.
var quotable = regexp.MustCompile(`\.(cron|event|period|timeout|jitter|start|finish|scope|mode)$`)

// asWritten returns the path under which a user wrote what the server calls by
// another name or index.
func asWritten(path string, source map[string]any) string {
	if rest, ok := strings.CutPrefix(path, "cancel"); ok {
		return "cancelOn" + rest
	}
	if path != "concurrency" && !strings.HasPrefix(path, "concurrency") {
		return path
	}
	switch c := source["concurrency"].(type) {
	case map[string]any:
		for _, list := range []string{"fn", "step"} {
			if rest, ok := strings.CutPrefix(path, "concurrency."+list+"[0]"); ok {
				return "concurrency." + list + oneOf(c[list], rest)
			}
		}
		if rest, ok := strings.CutPrefix(path, "concurrency[0]"); ok {
			return "concurrency" + rest
		}
	case []any:
	default: // a number
		return "concurrency"
	}
	return path
}

// oneOf returns what follows the path of the first of some limits, where the
// list may have been written as its only element or as a number.
func oneOf(list any, rest string) string {
	switch list.(type) {
	case []any:
		return "[0]" + rest
	case map[string]any:
		return rest
	}
	return ""
}

func (r *reading) checkTrigger(t inngest.Trigger, at string) {
	r.checkEventName(t.Event, at+".event")
	if t.Cron != "" && t.Event == "" && t.Expression != "" {
		r.add(at+".if", shown(t.Expression), "nothing: only an event has a condition")
	}
}

// checkEventName refuses names that no event can match: the server knows * at
// the end of a name only, behind a separator.
func (r *reading) checkEventName(name, at string) {
	if i := strings.IndexByte(name, '*'); i >= 0 {
		if before := name[:i]; i != len(name)-1 || !strings.HasSuffix(before, "/") && !strings.HasSuffix(before, ".") {
			r.add(at, shown(name), `a name with "*" at its end only, behind "/" or "."`)
		}
	}
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, isControl) {
		r.add(at, strconv.Quote(name), "a name without white space around it and without control characters")
	}
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }
