package program

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// mostTimeout is how long the server itself waits for a call.
const mostTimeout = 2 * time.Hour

// An httpStep calls a backend: get, post, put, patch, delete.
type httpStep struct {
	plain
	method  string
	url     *expr.URL
	query   []field
	header  []field
	body    *expr.Template
	timeout time.Duration // 0: the driver's
	answer  answerRule
	retries int // -1: as the function
}

// An answerRule says what of an answer becomes the step's result.
type answerRule struct {
	expect []statusRange // none: 200 to 299
	whole  bool          // status, headers and body, not the body alone
}

type statusRange struct{ from, to int }

func (a answerRule) expects(status int) bool {
	if len(a.expect) == 0 {
		return status >= 200 && status < 300
	}
	return slices.ContainsFunc(a.expect, func(r statusRange) bool { return r.from <= status && status <= r.to })
}

func (c *compiler) httpStep(m map[string]any, at string, v *view) statement {
	s := &httpStep{retries: -1}
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		if source, ok := m[method]; ok {
			s.method, at = strings.ToUpper(method), at+"."+method
			s.url = c.url(source, at, v)
			at = strings.TrimSuffix(at, "."+method)
			break
		}
	}
	if s.url != nil {
		c.usesBackend(s.url.Origin())
	}
	s.query = c.query(m["query"], at+".query", v)
	s.header = c.headers(m["headers"], at+".headers", v)
	if body, ok := m["body"]; ok {
		if s.method == http.MethodGet {
			c.add(at+".body", said("set"), "no body: a GET has none")
		}
		s.body = c.template(body, at+".body", v, tells)
	}
	if timeout, ok := m["timeout"]; ok {
		s.timeout = c.fixed(timeout, at+".timeout", mostTimeout)
	}
	if retries, ok := m["retries"]; ok {
		s.retries, _ = c.integer(retries, at+".retries", 0, inngest.MaxRetries)
	}
	s.answer = c.answer(m, at)
	return c.step(m, at, v, s)
}

// answer reads expect and output.
func (c *compiler) answer(m map[string]any, at string) answerRule {
	var rule answerRule
	if output, ok := m["output"]; ok {
		if output != "body" && output != "response" {
			c.add(at+".output", output, "body or response")
		}
		rule.whole = output == "response"
	}
	source, ok := m["expect"]
	if !ok {
		return rule
	}
	list, isList := source.([]any)
	if !isList {
		list = []any{source}
	}
	for _, one := range list {
		r, ok := statusOf(one)
		if !ok {
			c.add(at+".expect", one, "a status as in 200 or 4xx, or a list of them")
			continue
		}
		rule.expect = append(rule.expect, r)
	}
	if isList && len(list) == 0 {
		c.add(at+".expect", said("an empty list"), "at least one status")
	}
	return rule
}

func statusOf(source any) (statusRange, bool) {
	text := strings.ToLower(fmt.Sprint(source))
	if hundreds, ok := strings.CutSuffix(text, "xx"); ok && len(hundreds) == 1 && hundreds >= "2" && hundreds <= "5" {
		first := int(hundreds[0]-'0') * 100
		return statusRange{first, first + 99}, true
	}
	n, err := strconv.Atoi(text)
	return statusRange{n, n}, err == nil && n >= 200 && n <= 599
}

func (c *compiler) query(source any, at string, v *view) []field {
	if source == nil {
		return nil
	}
	m, ok := source.(map[string]any)
	if !ok {
		c.add(at, source, "a group of names and values")
		return nil
	}
	var out []field
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, field{name, c.template(m[name], at+"."+name, v, tells)})
	}
	return out
}

func (c *compiler) headers(source any, at string, v *view) []field {
	if source == nil {
		return nil
	}
	m, ok := source.(map[string]any)
	if !ok {
		c.add(at, source, "a group of names and values")
		return nil
	}
	var out []field
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := at + "." + name
		switch {
		case !isToken(name):
			c.add(at, name, "the name of a header: letters, digits and dashes")
		case slices.Contains(ownHeaders(), strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "x-inngest-"):
			c.add(at, said("set"), "no such header: the gateway writes it")
		default:
			out = append(out, field{http.CanonicalHeaderKey(name), c.confidential(m[name], at, v)})
		}
	}
	return out
}

// ownHeaders are what only the gateway may write.
func ownHeaders() []string {
	return []string{
		"accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "idempotency-key",
		"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "traceparent", "tracestate",
	}
}

// A request is an HTTP step ready to be made.
type request struct {
	method, origin, target string
	header                 [][2]string
	body                   []byte
	hasBody, isText        bool // a text is sent as it is, everything else as JSON
	timeout                time.Duration
	answer                 answerRule
	retries                int
}

// maxShown is how much of a body is told as the step's input, to be seen in the
// trace and to be changed in a rerun.
const maxShown = 64 << 10

func (s *httpStep) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	r := &request{
		method: s.method, origin: s.url.Origin(), target: e.withQuery(e.target(s.url), s.query),
		timeout: s.timeout, answer: s.answer, retries: s.retries,
	}
	for _, h := range s.header {
		value := e.text(h.value)
		e.check(headerValue(h.name, value))
		r.header = append(r.header, [2]string{h.name, value})
	}
	out := run.Step{Op: inngest.OpStepRun, Own: r}
	if s.body != nil {
		body := e.json(s.body)
		r.setBody(body)
		if len(body) <= maxShown {
			out.Opts = inngest.RunOpts{Input: slices.Concat([]byte("["), body, []byte("]"))}
		}
	}
	return out, e.err
}

func headerValue(name, value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("the header %s has a control character", name)
	}
	if len(value) > maxTarget {
		return fmt.Errorf("the header %s is longer than %d bytes", name, maxTarget)
	}
	return nil
}

// withQuery adds the query of a step to that of its URL. Null means that a name
// is not sent; a list sends it once for each item.
func (e *evaluator) withQuery(target string, query []field) string {
	for _, q := range query {
		v := e.value(q.value)
		items, isList := v.Items()
		switch {
		case e.err != nil:
			return ""
		case v.IsNull():
			continue
		case !isList:
			items = []expr.Value{v}
		}
		for _, item := range items {
			text, err := item.Plain(maxTarget)
			e.check(err)
			sign := "?"
			if strings.Contains(target, "?") {
				sign = "&"
			}
			target += sign + expr.EscapeQuery(q.name) + "=" + expr.EscapeQuery(text)
			if len(target) > maxTarget {
				e.check(fmt.Errorf("the URL is longer than %d bytes", maxTarget))
				return ""
			}
		}
	}
	return target
}
