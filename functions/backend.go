package functions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Backend is the one address that an endpoint or a conversation calls.
type Backend struct {
	App     string              // id of the app, for the pool's logs and metrics
	Callee  callee              // its origin
	Target  string              // path and query there, "/orders?x=1"
	Header  []Header            // further header lines, as configured
	Timeout time.Duration       // of one request, > 0
	Sign    func([]byte) []byte // value of X-Inngest-Signature for a body; nil: requests are not signed
	Now     func() time.Time
}

// A Header is one configured header line.
type Header struct{ Name, Value string }

func (b *Backend) check() error {
	switch {
	case b.App == "":
		return errors.New("backend: App is missing")
	case b.Callee == nil:
		return errors.New("backend: Callee is missing")
	case !strings.HasPrefix(b.Target, "/") || strings.ContainsFunc(b.Target, notInTarget):
		return fmt.Errorf("backend: Target is %q, must be a path that begins with /", b.Target)
	case b.Timeout <= 0:
		return fmt.Errorf("backend: Timeout is %v, must be above 0", b.Timeout)
	case b.Now == nil:
		return errors.New("backend: Now is missing")
	}
	for _, f := range b.Header {
		if f.Name == "" || strings.ContainsFunc(f.Name, notInName) || strings.ContainsFunc(f.Value, notInValue) {
			return fmt.Errorf("backend: header %q is none", f.Name)
		}
		if reserved(f.Name) {
			return fmt.Errorf("backend: header %s is set by the gateway", f.Name)
		}
	}
	return nil
}

func notInTarget(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }

func notInName(r rune) bool {
	const symbols = "!#$%&'*+-.^_`|~"
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(symbols, r)
}

func notInValue(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// reserved names are the gateway's own: they frame the request, or say what
// only it knows.
func reserved(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer",
		"Expect", "Accept-Encoding", "Idempotency-Key", inngest.HeaderSignature, inngest.HeaderTraceparent, inngest.HeaderTracestate:
		return true
	}
	return false
}

// post sends one JSON body and reads the answer by the table in the package's
// documentation. key is the same for every attempt at the same thing, empty
// where nothing is done.
func (b *Backend) post(ctx context.Context, r *run.Run, key string, body []byte) run.Result {
	c := &call.Call{
		App: b.App, Method: http.MethodPost, Target: []byte(b.Target), Head: b.head(r, key), Body: body,
		Received: b.Now(), WholeAnswer: true, Timeout: b.Timeout, Plain: true,
	}
	r.Bind(c)
	if b.Sign != nil {
		c.Signature = b.Sign(body)
	}
	a, err := b.Callee.Do(ctx, c)
	if err != nil {
		return run.Result{Failure: run.Unreached(err)}
	}
	defer a.Release()
	if a.Stream != nil {
		return run.Result{Failure: run.Invalid("The backend answered with a stream.")}
	}
	return run.Judge(a, b.Now())
}

func (b *Backend) head(r *run.Run, key string) []byte {
	var head bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			head.WriteString(name + ": " + value + "\r\n")
		}
	}
	line("Content-Type", "application/json")
	line("Accept", "application/json")
	line("User-Agent", "inngest-gateway")
	line("Idempotency-Key", headerSafe(key))
	line("traceparent", r.Traceparent)
	line("tracestate", r.Tracestate)
	for _, f := range b.Header {
		line(f.Name, f.Value)
	}
	return head.Bytes()
}

// headerSafe writes a text, which may be a step's id, so that it can stand in a
// header: other characters than visible ASCII are percent-encoded.
func headerSafe(text string) string {
	var out strings.Builder
	for i := range len(text) {
		if c := text[i]; c > ' ' && c < 0x7f && c != '%' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// runContext is what a backend is told of the call.
type runContext struct {
	RunID       string `json:"runId"`
	FunctionID  string `json:"functionId"`
	Attempt     int    `json:"attempt"` // from 0
	MaxAttempts int    `json:"maxAttempts"`
}

func contextOf(r *run.Run) runContext {
	return runContext{RunID: r.ID, FunctionID: r.Function, Attempt: r.Attempt, MaxAttempts: r.MaxAttempts}
}

// An Endpoint is a function that is one POST for each run:
//
//	{"event":{…},"events":[…],"ctx":{"runId":"…","functionId":"…","attempt":0,"maxAttempts":4}}
//
// What the backend answers is the function's result or error.
type Endpoint struct{ backend Backend }

// NewEndpoint builds an endpoint.
func NewEndpoint(b Backend) (*Endpoint, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	return &Endpoint{backend: b}, nil
}

// Advance makes the request: an endpoint has no steps.
func (e *Endpoint) Advance(ctx context.Context, r *run.Run) run.Outcome {
	body, err := encode(struct {
		Event  json.RawMessage `json:"event"`
		Events json.RawMessage `json:"events"`
		Ctx    runContext      `json:"ctx"`
	}{r.Event, r.Events, contextOf(r)})
	if err != nil {
		return run.Outcome{Failure: run.Invalid("The call's events cannot be written as JSON: %v.", err)}
	}
	result := e.backend.post(ctx, r, r.ID, body)
	return run.Outcome{Data: result.Data, Failure: result.Failure}
}

// Execute is never asked for.
func (e *Endpoint) Execute(_ context.Context, _ *run.Run, s *run.Step, _ json.RawMessage) run.Result {
	return run.Result{Failure: run.Invalid("An endpoint has no steps, and was asked for %s.", strconv.Quote(s.Name))}
}
