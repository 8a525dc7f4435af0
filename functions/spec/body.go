package spec

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/program"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// onFailure reads the body of a function that stands for another's failure.
func (r *reading) onFailure(f *Function) setting {
	return func(v any, at string) {
		f.OnFailure = &Body{}
		if r.group(v, at, r.body(f.OnFailure, f)) {
			r.oneBody(v, at)
		}
	}
}

// body returns the keys that say what a function does.
func (r *reading) body(b *Body, f *Function) map[string]setting {
	return map[string]setting{
		string(KindEndpoint):     optional(&b.Endpoint, r.backend),
		string(KindConversation): optional(&b.Conversation, r.backend),
		string(KindSteps):        r.steps(&b.Steps, f),
	}
}

// steps compiles a program. The app's key comes before, in order of the keys.
func (r *reading) steps(into **program.Program, f *Function) setting {
	return func(v any, at string) {
		if r.language == nil {
			var err error
			if r.language, err = program.NewLanguage(); err != nil {
				r.add(at, "not compiled", err.Error())
				return
			}
		}
		compiled, problems := r.language.Compile(r.local(v), program.Scope{Path: at, App: f.App, Secret: r.Secret})
		for _, p := range problems {
			r.add(p.Path, p.Got, p.Want)
		}
		if compiled == nil {
			return
		}
		*into = compiled
		for _, origin := range compiled.Origins() {
			r.reachable(strings.ToLower(origin), at, origin)
		}
	}
}

// backend reads a URL, or a group with one.
func (r *reading) backend(b *Backend) setting {
	return func(v any, at string) {
		if text, ok := v.(string); ok {
			r.url(&b.URL)(text, at)
			return
		}
		var timeout string
		ok := r.group(v, at, map[string]setting{
			"url": r.url(&b.URL), "headers": r.headers(&b.Headers), "timeout": r.text(&timeout),
		})
		if ok && b.URL == "" {
			r.add(at+".url", gotNothing, wantURL)
		}
		if timeout != "" {
			d, err := inngest.ParseDuration(timeout)
			if err != nil || d < time.Millisecond || d > mostTimeout {
				r.add(at+".timeout", shown(timeout), "a duration from 1ms to 2h, as in 30s")
			}
			b.Timeout = d
		}
	}
}

// mostTimeout is how long the server itself waits for a call.
const mostTimeout = 2 * time.Hour

const wantURL = "an http or https URL without user and fragment; it is literal, ${…} stands in steps only"

func (r *reading) url(into *string) setting {
	return func(v any, at string) {
		text, _ := v.(string)
		u, err := r.resolve(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !expr.IsPort(u) ||
			u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.Contains(text, "${") || strings.ContainsFunc(text, isControl):
			r.add(at, shown(v), wantURL)
		default:
			u.Host = strings.ToLower(u.Host) // one backend, however it is written
			u.RawQuery = encoded(u.RawQuery)
			*into = u.String()
			r.reachable(origin(u), at, text)
		}
	}
}

// encoded writes what cannot stand in a query as it can. A path is written so by
// package url.
func encoded(query string) string {
	var out strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// headers reads the fields that are sent with each request.
func (r *reading) headers(into *[]Header) setting {
	return func(v any, at string) {
		m, ok := v.(map[string]any)
		if !ok {
			r.add(at, kindOf(v), "a group of names and values")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			at := at + "." + name
			var value string
			r.text(&value)(m[name], at)
			value = r.secret(value, at)
			switch {
			case !isToken(name):
				r.add(at, "a name", "the name of a header: letters, digits and -")
			case slices.Contains(ownHeaders(), strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "x-inngest-"):
				r.add(at, "set", "no such header: the gateway writes it")
			case strings.ContainsFunc(value, isControl):
				r.add(at, "a text with control characters", "a text without them")
			default:
				*into = append(*into, Header{textproto.CanonicalMIMEHeaderKey(name), value})
			}
		}
	}
}

// secret returns what a text refers to, or the text.
func (r *reading) secret(text, at string) string {
	if r.Secret == nil || !strings.HasPrefix(text, "env:") && !strings.HasPrefix(text, "file:") {
		return text
	}
	value, want := r.Secret(text)
	if want != "" {
		r.add(at, shown(text), want)
	}
	return value
}

// ownHeaders are fields that only the gateway may write.
func ownHeaders() []string {
	return []string{
		"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
		"idempotency-key", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
		"traceparent", "tracestate",
	}
}

// isToken tells whether a text can be the name of a header.
func isToken(text string) bool {
	return text != "" && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == ""
}
