package program

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/spelling"
)

// group returns a map of the source, its keys checked.
func (c *compiler) group(source any, at string, keys ...string) (map[string]any, bool) {
	m, ok := source.(map[string]any)
	if !ok {
		c.add(at, source, "a group with %s", strings.Join(keys, ", "))
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(keys, key) {
			c.unknown(at+"."+key, key, keys)
		}
	}
	return m, true
}

func (c *compiler) unknown(at, key string, known []string) {
	want := "one of the keys " + strings.Join(known, ", ")
	if close := spelling.Nearest(key, known); close != "" {
		want = "a known key, perhaps " + close
	}
	c.add(at, said("an unknown key"), "%s", want)
}

// template compiles a value with ${…}.
func (c *compiler) template(source any, at string, v *view, where place) *expr.Template {
	t, wrong := v.env.Template(source)
	for _, e := range wrong {
		c.syntax(at+e.Path, e.Err, v)
	}
	if t == nil {
		return nil
	}
	for _, x := range t.Exprs() {
		c.check(x, at, v, where)
	}
	return t
}

// text compiles a template that must be a text, a number or a truth value.
func (c *compiler) text(source any, at string, v *view, where place) *expr.Template {
	switch source.(type) {
	case nil, []any, map[string]any, map[any]any:
		c.add(at, source, "a text")
		return nil
	}
	return c.template(source, at, v, where)
}

// expression compiles an expression that stands alone: with or without ${}.
func (c *compiler) expression(source any, at string, v *view) *expr.Template {
	text, ok := source.(string)
	if !ok {
		if source == nil {
			c.add(at, source, "an expression")
			return nil
		}
		return c.template(source, at, v, decides)
	}
	if text := strings.TrimSpace(text); strings.HasPrefix(text, "${") {
		t := c.template(text, at, v, decides)
		if t != nil && !t.Single() {
			c.add(at, text, "one expression: all of it between ${ and }, or without them")
		}
		return t
	}
	// As a template, so that both ways give the same.
	if _, err := v.env.Compile(text); err != nil {
		c.syntax(at, err.(*expr.SyntaxError), v)
		return nil
	}
	return c.template("${"+text+"\n}", at, v, decides)
}

func (c *compiler) syntax(at string, err *expr.SyntaxError, v *view) {
	for _, name := range slices.Sorted(maps.Keys(v.steps)) {
		if strings.Contains(name, "-") && strings.Contains(err.Text, "steps."+name) {
			c.add(at, err.Text, `steps[%q] for steps.%s: without quotes the dash is a minus`, name, name)
			return
		}
	}
	c.add(at, err.Text, "an expression without fault: %v", err)
}

// url compiles a URL with a literal host.
func (c *compiler) url(source any, at string, v *view) *expr.URL {
	text, ok := source.(string)
	if !ok {
		c.add(at, source, "a URL")
		return nil
	}
	u, err := v.env.URL(text)
	if err != nil {
		c.add(at, text, "%s", wantURL(err.(*expr.SyntaxError)))
		return nil
	}
	for _, x := range u.Exprs() {
		c.check(x, at, v, tells)
	}
	return u
}

func wantURL(err *expr.SyntaxError) string {
	if err.Column > 1 || err.Line > 1 {
		return "a URL whose expressions have no fault: " + err.Error()
	}
	return err.Message
}

// duration reads a length of time: a literal is checked, an expression is left
// for later.
func (c *compiler) duration(source any, at string, v *view, most time.Duration) *expr.Template {
	t := c.text(source, at, v, tells)
	if t == nil || !t.Constant() {
		return t
	}
	text, _ := source.(string)
	if d, err := inngest.ParseDuration(text); err != nil || d <= 0 || d > most {
		c.add(at, source, "a duration as in 30s, 5m, 24h or 1d12h, %s at most", span(most))
		return nil
	}
	return t
}

// fixed reads a duration that holds no expression.
func (c *compiler) fixed(source any, at string, most time.Duration) time.Duration {
	text, _ := source.(string)
	d, err := inngest.ParseDuration(text)
	if err != nil || d < time.Millisecond || d > most {
		c.add(at, source, "a duration from 1ms to %s, as in 30s", span(most))
		return 0
	}
	return d
}

// integer reads a whole number.
func (c *compiler) integer(source any, at string, least, most int) (int, bool) {
	n := math.NaN()
	switch x := source.(type) {
	case int:
		n = float64(x)
	case int64:
		n = float64(x)
	case uint64:
		n = float64(x)
	case float64:
		n = x
	}
	if n != math.Trunc(n) || n < float64(least) || n > float64(most) || math.IsNaN(n) {
		c.add(at, source, "a whole number from %d to %d", least, most)
		return 0, false
	}
	return int(n), true
}

// span writes a duration as people do: 5m, not 5m0s.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// isToken tells whether a text may be the name of a header.
func isToken(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return false
		}
	}
	return s != ""
}
