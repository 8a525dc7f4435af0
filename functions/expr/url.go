package expr

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A URL is a template of a URL whose scheme and host are literal.
type URL struct {
	origin string
	parts  []urlPart
	exprs  []*Expr
}

type urlPart struct {
	literal string
	expr    *Expr // if not nil, instead of literal
	query   bool  // stands behind the "?"
}

// URL compiles a URL. The error is a *SyntaxError.
func (e *Env) URL(text string) (*URL, error) {
	pieces, syntax := scan(text)
	if syntax != nil {
		return nil, syntax
	}
	if len(pieces) == 0 || pieces[0].isExpr {
		return nil, errorAt(text, 0, "a literal http:// or https:// and host before the first ${…}")
	}
	origin, rest, err := cutOrigin(pieces[0].text, len(pieces) == 1)
	if err != nil {
		return nil, errorAt(text, 0, err.Error())
	}
	u := &URL{origin: origin}
	pieces[0].text = rest
	query := false
	for _, p := range pieces {
		if p.isExpr {
			x, err := e.Compile(p.text)
			if err != nil {
				return nil, within(text, p, err)
			}
			u.exprs = append(u.exprs, x)
			u.parts = append(u.parts, urlPart{expr: x, query: query})
			continue
		}
		if bad := strings.IndexFunc(p.text, notInURL); bad >= 0 {
			return nil, errorAt(text, 0, fmt.Sprintf("a URL without %q: write it percent-encoded", []rune(p.text[bad:])[0]))
		}
		if _, err := url.PathUnescape(p.text); err != nil {
			return nil, errorAt(text, 0, "a URL whose % signs are followed by two hex digits")
		}
		u.parts = append(u.parts, urlPart{literal: p.text, query: query})
		query = query || strings.Contains(p.text, "?")
	}
	return u, nil
}

// notInURL tells what may not stand in a URL as it is. A "#" is sent nowhere.
func notInURL(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("#\"<>\\^`{|}", r) }

// cutOrigin cuts scheme and host off. Whole tells that the text is all of the
// URL; if it is not, what follows must not be able to go on with the host.
func cutOrigin(text string, whole bool) (origin, rest string, err error) {
	scheme, after, found := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "http" && scheme != "https" {
		return "", "", fmt.Errorf("a URL that begins with http:// or https://")
	}
	end := strings.IndexAny(after, "/?")
	if end < 0 && !whole {
		return "", "", fmt.Errorf(`a literal host, ended by "/" before the first ${…}`)
	}
	if end < 0 {
		end = len(after)
	}
	host := strings.ToLower(after[:end])
	parsed, err := url.Parse(scheme + "://" + host)
	if err != nil || parsed.Hostname() == "" || !IsPort(parsed) || parsed.User != nil || strings.ContainsAny(host, "@%#\\") {
		return "", "", fmt.Errorf("a host, perhaps with a port, and no user or password")
	}
	rest = after[end:]
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return scheme + "://" + host, rest, nil
}

// IsPort tells whether a URL has no port or one that can be connected to.
func IsPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// Origin returns scheme and host, in lower case: http://orders:8080.
func (u *URL) Origin() string { return u.origin }

// Exprs returns the expressions in the URL.
func (u *URL) Exprs() []*Expr { return u.exprs }

// Target returns path and query, of at most most bytes. The error is an
// *EvalError.
func (u *URL) Target(ctx context.Context, vars *Vars, most int) (string, error) {
	var out strings.Builder
	for _, p := range u.parts {
		if p.expr == nil {
			out.WriteString(p.literal)
			continue
		}
		v, err := p.expr.Eval(ctx, vars)
		if err != nil {
			return "", err
		}
		text, err := urlText(p.expr, v, most)
		if err != nil {
			return "", err
		}
		if p.query {
			out.WriteString(EscapeQuery(text))
		} else {
			out.WriteString(url.PathEscape(text))
		}
		if out.Len() > most {
			return "", &EvalError{Text: p.expr.text, Message: fmt.Sprintf("the URL becomes longer than %d bytes", most), Limit: true}
		}
	}
	return out.String(), checkPath(u, out.String())
}

// EscapeQuery returns a text as it stands in a query: a space is %20, which is
// one everywhere.
func EscapeQuery(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// urlText returns a value as text for a URL. A value that is not there would
// make another URL than was meant.
func urlText(x *Expr, v Value, most int) (string, error) {
	switch kind := v.Kind(); kind {
	case "null", "a list", "an object":
		return "", &EvalError{Text: x.text, Message: "is " + kind + ", and stands in a URL"}
	}
	text, err := v.Plain(most)
	if err != nil {
		return "", err
	}
	return text, nil
}

// checkPath refuses a path that a value has led elsewhere: a segment that is
// empty or that means another directory, where the template has none such.
func checkPath(u *URL, target string) error {
	path, _, _ := strings.Cut(target, "?")
	var literal strings.Builder
	for _, p := range u.parts {
		if p.query {
			break
		}
		if p.expr != nil {
			literal.WriteByte('x')
		} else {
			literal.WriteString(p.literal)
		}
	}
	meant, _, _ := strings.Cut(literal.String(), "?")
	want := strings.Split(meant, "/")
	for i, segment := range strings.Split(path, "/") {
		if i < len(want) && want[i] == segment {
			continue
		}
		if segment == "" || segment == "." || segment == ".." {
			return &EvalError{Text: u.origin + path, Message: fmt.Sprintf("a value makes a part of the path %q", segment)}
		}
	}
	if dots(path) > dots(meant) {
		return &EvalError{Text: u.origin + path, Message: `a value has a part "." or ".." between slashes, which leads elsewhere`}
	}
	return nil
}

// dots counts the parts of a path that mean another directory to a server that
// decodes a path before it follows it, as many do.
func dots(path string) (n int) {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(decoded, `\`, "/"), "/") {
		if segment == "." || segment == ".." {
			n++
		}
	}
	return n
}
