package program

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// setBody takes a body as JSON. A text is sent as it is, unless the step's own
// content type says that it is JSON.
func (r *request) setBody(body json.RawMessage) {
	r.body, r.hasBody, r.isText = body, true, false
	var text string
	if len(body) > 0 && body[0] == '"' && !strings.Contains(r.contentType(), "json") && json.Unmarshal(body, &text) == nil {
		r.body, r.isText = []byte(text), true
	}
}

func (r *request) contentType() string {
	for _, h := range r.header {
		if strings.EqualFold(h[0], "Content-Type") {
			return strings.ToLower(h[1])
		}
	}
	return ""
}

// lines returns the header with the content type, if there is a body.
func (r *request) lines() [][2]string {
	if !r.hasBody || r.contentType() != "" {
		return r.header
	}
	kind := "application/json"
	if r.isText {
		kind = "text/plain; charset=utf-8"
	}
	return append([][2]string{{"Content-Type", kind}}, r.header...)
}

// request calls a backend once.
func (d *Driver) request(ctx context.Context, r *run.Run, s *run.Step, q *request) run.Result {
	timeout := q.timeout
	if timeout == 0 {
		timeout = d.opts.Timeout
	}
	c := &call.Call{
		App: d.program.scope.App, Method: q.method, Target: []byte(q.target), Head: q.head(r, s), Body: q.body,
		Received: d.opts.Now(), WholeAnswer: true, Timeout: timeout, Plain: true,
	}
	r.Bind(c)
	if d.opts.Sign != nil {
		c.Signature = d.opts.Sign(c.Body)
	}
	a, err := d.opts.Call(ctx, q.origin, c)
	if err != nil {
		return q.final(r, run.Result{Failure: run.Unreached(err)})
	}
	defer a.Release()
	if a.Stream != nil {
		return q.final(r, run.Result{Failure: run.Invalid("The backend answered with a stream.")})
	}
	return q.final(r, d.judge(q, a))
}

func (q *request) head(r *run.Run, s *run.Step) []byte {
	var head bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			head.WriteString(name + ": " + value + "\r\n")
		}
	}
	own := q.lines()
	has := func(name string) bool {
		for _, h := range own {
			if strings.EqualFold(h[0], name) {
				return true
			}
		}
		return false
	}
	if !has("Accept") {
		line("Accept", "application/json")
	}
	if !has("User-Agent") {
		line("User-Agent", "inngest-gateway")
	}
	// The same for every attempt at the step: a backend that keeps it does
	// nothing twice.
	line("Idempotency-Key", r.ID+"/"+s.ID)
	line("traceparent", r.Traceparent)
	line("tracestate", r.Tracestate)
	for _, h := range own {
		line(h[0], h[1])
	}
	return head.Bytes()
}

// judge makes a result of an answer: by the table of all functions, but for what
// the step itself says of statuses.
func (d *Driver) judge(q *request, a *call.Answer) run.Result {
	expected := q.answer.expects(a.Status)
	success := a.Status >= 200 && a.Status < 300
	if success && !expected {
		return run.Result{Failure: &run.Failure{
			Name:    "HTTP " + strconv.Itoa(a.Status),
			Message: "The backend answered " + strconv.Itoa(a.Status) + " " + http.StatusText(a.Status) + ", which the step does not expect.",
		}}
	}
	status := a.Status
	if expected && !success {
		// Read as a success is. The answer is the caller's to release: it gets
		// its status back.
		a.Status = http.StatusOK
		defer func() { a.Status = status }()
	}
	result := run.Judge(a, d.opts.Now())
	if result.Failure != nil || !q.answer.whole {
		return result
	}
	headers := map[string]string{}
	for _, f := range a.Fields {
		if name := strings.ToLower(string(f.Name)); headers[name] == "" {
			headers[name] = strings.ToValidUTF8(string(f.Value), "\uFFFD")
		}
	}
	var whole bytes.Buffer
	e := json.NewEncoder(&whole)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}{status, headers, result.Data})
	if err != nil {
		return run.Result{Failure: run.Invalid("The backend's answer cannot be written as JSON.")}
	}
	return run.Result{Data: bytes.TrimSpace(whole.Bytes())}
}

// final forbids further attempts where the step itself has fewer than the
// function.
func (q *request) final(r *run.Run, result run.Result) run.Result {
	if result.Failure != nil && q.retries >= 0 && r.Attempt >= q.retries {
		result.Failure.NoRetry = true
	}
	return result
}

var _ run.Driver = (*Driver)(nil)
