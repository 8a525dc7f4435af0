package program

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An invocation is invoke: another function's run, whose result the step gets.
type invocation struct {
	plain
	function      string // app id, "-", function id
	data, user    *expr.Template
	timeout       *expr.Template
	version       *expr.Template
	dataAt, users string
}

func (c *compiler) invoke(m map[string]any, at string, v *view) statement {
	s := &invocation{}
	in := at + ".invoke"
	if source, ok := c.group(m["invoke"], in, "app", "function", "data", "user", "v", "timeout"); ok {
		app := c.App
		if given, ok := source["app"]; ok {
			if app, ok = given.(string); !ok || app == "" {
				c.add(in+".app", given, "the id of an app")
			}
		} else if app == "" {
			c.add(in+".app", nil, "the id of the app that has the function")
		}
		name, isText := source["function"].(string)
		if !isText || name == "" || strings.Contains(name, "${") {
			c.add(in+".function", source["function"], "the id of a function, literal, without its app's")
		}
		s.function = app + "-" + name
		s.dataAt, s.users = in+".data", in+".user"
		s.data = c.object(source["data"], s.dataAt, v)
		s.user = c.object(source["user"], s.users, v)
		if version, ok := source["v"]; ok {
			s.version = c.text(version, in+".v", v, tells)
		}
		if timeout, ok := source["timeout"]; ok {
			s.timeout = c.duration(timeout, in+".timeout", v, inngest.MaxWait)
		}
	}
	return c.step(m, at, v, s)
}

// object compiles a template that gives an object; nil if there is none.
func (c *compiler) object(source any, at string, v *view) *expr.Template {
	switch source.(type) {
	case nil:
		return nil
	case map[string]any, string:
		return c.template(source, at, v, tells)
	}
	c.add(at, source, "a group, or an expression that gives an object")
	return nil
}

func (s *invocation) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	opts := inngest.InvokeOpts{FunctionID: s.function, Payload: inngest.InvokePayload{
		Data: e.object(s.data, s.dataAt), User: e.object(s.user, s.users), V: e.text(s.version),
	}}
	if s.timeout != nil {
		opts.Timeout = e.duration(s.timeout)
	}
	return run.Step{Op: inngest.OpInvokeFunction, Opts: opts}, e.err
}

func (e *evaluator) object(t *expr.Template, at string) json.RawMessage {
	data := e.json(t)
	if e.err == nil && len(data) > 0 && data[0] != '{' {
		e.check(fmt.Errorf("%s gives %s, want an object", at, shorten(string(data))))
	}
	return data
}

// A fetching is fetch: a request that Inngest's server makes.
type fetching struct {
	at     string
	method string
	url    *expr.URL
	query  []field
	header []field
	body   *expr.Template
	answer answerRule
}

func (c *compiler) fetch(m map[string]any, at string, v *view) statement {
	s := &fetching{at: at + ".fetch", method: http.MethodGet}
	if source, ok := c.group(m["fetch"], s.at, "url", "method", "query", "headers", "body", "expect", "output"); ok {
		s.url = c.url(source["url"], s.at+".url", v)
		if method, ok := source["method"]; ok {
			text, _ := method.(string)
			s.method = strings.ToUpper(text)
			if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, s.method) {
				c.add(s.at+".method", method, "GET, HEAD, POST, PUT, PATCH or DELETE")
			}
		}
		s.query = c.query(source["query"], s.at+".query", v)
		s.header = c.headers(source["headers"], s.at+".headers", v)
		if body, ok := source["body"]; ok {
			s.body = c.template(body, s.at+".body", v, tells)
		}
		s.answer = c.answer(source, s.at)
	}
	return c.step(m, at, v, s)
}

func (s *fetching) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	opts := inngest.GatewayOpts{URL: s.url.Origin() + e.withQuery(e.target(s.url), s.query), Method: s.method}
	var r request
	for _, h := range s.header {
		r.header = append(r.header, [2]string{h.name, e.text(h.value)})
	}
	if s.body != nil {
		r.setBody(e.json(s.body))
		opts.Body = string(r.body)
	}
	for _, h := range r.lines() {
		e.check(headerValue(h[0], h[1]))
		if opts.Headers == nil {
			opts.Headers = map[string]string{}
		}
		opts.Headers[strings.ToLower(h[0])] = h[1]
	}
	return run.Step{Op: inngest.OpGateway, Opts: opts}, e.err
}

// fetched is what the server gives for a Gateway.
type fetched struct {
	Status  int               `json:"status_code"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// value makes of a fetch what a step that calls a backend has: the server takes
// every status for a success and every body for a text.
func (s *fetching) value(data json.RawMessage) (expr.Value, *run.Failure) {
	var got fetched
	if err := json.Unmarshal(data, &got); err != nil || got.Status == 0 {
		return expr.Raw(data), nil // not as the server writes it: as it is
	}
	if !s.answer.expects(got.Status) {
		f := &run.Failure{Name: "HTTP " + strconv.Itoa(got.Status), Message: shorten(got.Body), NoRetry: true}
		if f.Message == "" {
			f.Message = "The answer was " + strconv.Itoa(got.Status) + " " + http.StatusText(got.Status) + "."
		}
		f.Stack = stackOf(f, s.at)
		return expr.Null(), f
	}
	body := expr.String(got.Body)
	if trimmed := strings.TrimSpace(got.Body); trimmed == "" {
		body = expr.Null()
	} else if json.Valid([]byte(trimmed)) {
		body = expr.Raw(json.RawMessage(trimmed))
	}
	if !s.answer.whole {
		return body, nil
	}
	headers := map[string]expr.Value{}
	for name, value := range got.Headers {
		headers[strings.ToLower(name)] = expr.String(value)
	}
	return expr.Object(map[string]expr.Value{
		"status": expr.Int(got.Status), "headers": expr.Object(headers), "body": body,
	}), nil
}

// An inference is ai: a model that Inngest's server asks.
type inference struct {
	plain
	url    *expr.URL
	format string
	key    *expr.Template
	header []field
	body   *expr.Template
}

func (c *compiler) ai(m map[string]any, at string, v *view) statement {
	s := &inference{}
	in := at + ".ai"
	if source, ok := c.group(m["ai"], in, "url", "format", "key", "headers", "body"); ok {
		s.format, _ = source["format"].(string)
		if s.format == "" {
			c.add(in+".format", source["format"], "the format of the model's API, as in openai-chat, anthropic or gemini")
		}
		url := source["url"]
		if url == nil {
			url = modelURL(s.format)
		}
		s.url = c.url(url, in+".url", v)
		s.key = c.confidential(source["key"], in+".key", v)
		s.header = c.headers(source["headers"], in+".headers", v)
		s.body = c.object(source["body"], in+".body", v)
		if source["body"] == nil {
			c.add(in+".body", nil, "the request to the model")
		}
	}
	return c.step(m, at, v, s)
}

// modelURL returns where a format's own API is; nil where that depends on the
// model.
func modelURL(format string) any {
	switch format {
	case "openai-chat":
		return "https://api.openai.com/v1/chat/completions"
	case "anthropic":
		return "https://api.anthropic.com/v1/messages"
	}
	return nil
}

func (s *inference) want(i *interpretation, f *frame, _ string) (run.Step, error) {
	e := evaluator{i: i, vars: f.vars}
	opts := inngest.AIGatewayOpts{
		Type: "step.ai.infer", URL: s.url.Origin() + e.target(s.url), AuthKey: e.text(s.key), Format: s.format,
		Body: e.object(s.body, "body"),
	}
	for _, h := range s.header {
		value := e.text(h.value)
		e.check(headerValue(h.name, value))
		if opts.Headers == nil {
			opts.Headers = map[string]string{}
		}
		opts.Headers[strings.ToLower(h.name)] = value
	}
	return run.Step{Op: inngest.OpAIGateway, Opts: opts}, e.err
}
