package apps

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
)

var errNoObject = errors.New("the body is no JSON object")

// rewriteURLs makes the URLs of a registration or of an in-band answer lead to
// the gateway: the url and the runtime url of every step get scheme, host and
// path of base and keep their queries. A URL that is not http (Connect's
// wss://) stays. Whatever else is in the body stays byte for byte; if nothing
// changes, the result is the body itself.
func rewriteURLs(body []byte, base *url.URL) ([]byte, error) {
	at, ok := whole(body)
	if !ok {
		return nil, errNoObject
	}
	top, ok := members(body, at)
	if !ok {
		return nil, errNoObject
	}
	w := urlWriter{body: body, base: base.Scheme + "://" + base.Host + base.EscapedPath()}
	for _, m := range top {
		switch {
		case m.is("url"):
			w.rewrite(m.value)
		case m.is("functions"):
			for _, f := range elements(body, m.value) {
				w.function(f)
			}
		}
	}
	if len(w.edits) == 0 {
		return body, nil
	}
	return bytes.Join(parts(body, w.edits), nil), nil
}

// urlWriter collects what has to change.
type urlWriter struct {
	body  []byte
	base  string
	edits []edit
}

// function rewrites the URLs in the configuration of one function: those at
// steps.*.runtime.url.
func (w *urlWriter) function(at span) {
	for steps := range w.each(at, "steps") {
		all, _ := members(w.body, steps)
		for _, step := range all {
			for runtime := range w.each(step.value, "runtime") {
				for u := range w.each(runtime, "url") {
					w.rewrite(u)
				}
			}
		}
	}
}

// each yields the values of the members of that name of the object at that
// place. Valid JSON can have several.
func (w *urlWriter) each(at span, name string) func(func(span) bool) {
	return func(yield func(span) bool) {
		all, _ := members(w.body, at)
		for _, m := range all {
			if m.is(name) && !yield(m.value) {
				return
			}
		}
	}
}

func (w *urlWriter) rewrite(at span) {
	if w.body[at.from] != '"' {
		return
	}
	old := unquote(w.body[at.from:at.to])
	if !isHTTP(old) {
		return
	}
	now := w.base
	if i := strings.IndexAny(old, "?#"); i >= 0 {
		now += old[i:]
	}
	if now != old {
		w.edits = append(w.edits, edit{at, quote(now)})
	}
}

// isHTTP looks at the scheme alone: a URL that we cannot parse must not lead
// past the gateway either.
func isHTTP(u string) bool {
	scheme, _, ok := strings.Cut(u, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}
