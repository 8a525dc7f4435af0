package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// A Reader reads configurations of functions.
type Reader struct {
	App string // id of the app of functions that name none; empty: each must

	// Secret returns what a text refers to that begins with env: or file:, or
	// what would be accepted instead. Nil: no text is a reference.
	Secret func(text string) (value, want string)
}

// Read reads a list of functions as a decoder of YAML or JSON gives it: nil,
// bool, int, int64, uint64, float64, string, []any and map[string]any. at is
// the path where it was written, functions. Without problems every function is
// complete; with some, the list is not to be used.
func (r Reader) Read(source any, at string) ([]Function, Problems) {
	return r.read(&reading{Reader: r}, source, at)
}

func (r Reader) read(in *reading, source any, at string) ([]Function, Problems) {
	var all []Function
	in.list(source, at, func(v any, at string) {
		if f, ok := in.function(v, at); ok {
			all = append(all, f)
		}
	})
	in.distinct(all)
	return all, in.problems
}

// function reads one function, false if it is no group at all.
func (r *reading) function(v any, at string) (Function, bool) {
	f := Function{App: r.App, At: at}
	s := &f.Settings
	keys := map[string]setting{
		"id":          r.text(&f.ID),
		"app":         r.text(&f.App),
		"name":        r.text(&f.Name),
		"description": r.text(&f.Description),
		"triggers":    r.triggers(&s.Triggers),
		"retries":     optional(&s.Retries, r.number),
		"rateLimit":   optional(&s.RateLimit, r.rateLimit),
		"throttle":    optional(&s.Throttle, r.throttle),
		"concurrency": optional(&s.Concurrency, r.concurrency),
		"debounce":    optional(&s.Debounce, r.debounce),
		"priority":    optional(&s.Priority, r.priority),
		"timeouts":    optional(&s.Timeouts, r.timeouts),
		"cancelOn":    r.cancelOn(&s.Cancel),
		"batchEvents": optional(&s.BatchEvents, r.batchEvents),
		"idempotency": r.text(&s.Idempotency),
		"singleton":   optional(&s.Singleton, r.singleton),
		"onFailure":   r.onFailure(&f),
	}
	maps.Copy(keys, r.body(&f.Body, &f))
	if !r.group(v, at, keys) {
		return f, false
	}
	if f.Name == "" {
		f.Name = f.ID
	}
	r.checkNames(&f)
	r.oneBody(v, at)
	r.checkSettings(v, &f)
	r.checkExpressions(&f)
	return f, true
}

// optional makes the reader of a value the reader of a pointer to one.
func optional[T any](into **T, of func(*T) setting) setting {
	return func(v any, at string) {
		one := new(T)
		of(one)(v, at)
		*into = one
	}
}

// An id is part of the query of a URL, of an expression and of log lines.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

const mostID = 200 // bytes: the server's column, with room for the app's id

const wantID = `letters, digits, "-", "_" and ".", with a letter or digit first, at most 200`

func (r *reading) checkNames(f *Function) {
	switch {
	case f.ID == "":
		r.add(f.At+".id", gotNothing, wantID)
	case !idPattern.MatchString(f.ID) || len(f.ID) > mostID:
		r.add(f.At+".id", shown(f.ID), wantID)
	}
	switch {
	case r.base != nil && f.App != r.App:
		r.add(f.At+".app", shown(f.App), "no app: a manifest's functions are in the app that asks for it")
	case f.App == "":
		r.add(f.At+".app", gotNothing, "the id of one of function_apps: there are several")
	}
}

// distinct notes functions that would be registered under the same id.
func (r *reading) distinct(all []Function) {
	first := map[string]*Function{}
	for i := range all {
		f := &all[i]
		for _, part := range f.Parts(f.App) {
			other, taken := first[f.App+"\x00"+part.ID]
			switch {
			case f.ID == "":
			case !taken:
				first[f.App+"\x00"+part.ID] = f
			case part.Failure || strings.TrimSuffix(f.ID, failureSuffix) == other.ID && other.OnFailure != nil && f.ID != other.ID:
				r.add(f.At+".id", shown(f.ID), fmt.Sprintf("an id that differs from that of %s and of its onFailure, which ends in %q", other.At, failureSuffix))
			default:
				r.add(f.At+".id", shown(f.ID), "another id than that of "+other.At)
			}
		}
	}
}

// oneBody notes a function that says nothing of what it does, or too much.
func (r *reading) oneBody(v any, at string) {
	m, _ := v.(map[string]any)
	var set []string
	for _, kind := range []Kind{KindConversation, KindEndpoint, KindSteps} {
		if m[string(kind)] != nil {
			set = append(set, string(kind))
		}
	}
	const want = "exactly one of endpoint, steps and conversation"
	switch len(set) {
	case 0:
		r.note(at, "without endpoint, steps and conversation", want)
	case 1:
	default:
		r.note(at, "a function with "+strings.Join(set, " and "), want)
	}
}

// nearest returns the known key that a wrong one was most likely meant to be,
// empty if none is near: SDKs of other languages write rate_limit and cancel.
func nearest(key string, known []string) string {
	folded := spelling.Fold(key)
	for _, k := range known {
		if spelling.Fold(k) == synonyms()[folded] {
			return k
		}
	}
	return spelling.Nearest(key, known)
}

// synonyms are other words for keys, folded.
func synonyms() map[string]string {
	return map[string]string{
		"trigger": "triggers", "cancel": "cancelon", "batch": "batchevents", "expression": "if", "url": "endpoint",
		"schedule": "cron", "retry": "retries", "onerror": "onfailure", "failure": "onfailure", "fnid": "id",
	}
}

// Apps lists the ids of the apps that functions are in, sorted.
func Apps(functions []Function) []string {
	var ids []string
	for _, f := range functions {
		ids = append(ids, f.App)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
