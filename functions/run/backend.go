package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// How many bytes an error keeps of what a backend says: it goes to the server
// and back with each call of the run.
const (
	firstBytes = 2 << 10 // of a body that is no error in JSON
	maxName    = 256
	maxMessage = 16 << 10
	maxStack   = 64 << 10
	maxData    = 256 << 10 // more is left out
)

// Judge makes a result of a backend's answer, by the one table that all kinds of
// functions have: see the documentation of package functions. Nothing in the
// result belongs to the answer.
func Judge(a *call.Answer, now time.Time) Result {
	if coding := a.Get("Content-Encoding"); coding != nil && !bytes.EqualFold(coding, []byte("identity")) {
		return Result{Failure: Invalid("The backend answered in a content coding that was not asked for: %.20q.", coding)}
	}
	switch {
	case a.Status < 200:
		return Result{Failure: Invalid("The backend answered with status %d, which ends no request.", a.Status)}
	case a.Status < 300:
		return resultOf(a)
	case a.Status < 400:
		return Result{Failure: &Failure{
			Name: "HTTP " + strconv.Itoa(a.Status), NoRetry: true, Code: inngest.CodeFunctionWebhook,
			Message: "The backend redirects; the gateway follows no redirects. The URL in the configuration must be the final one.",
		}}
	}
	return Result{Failure: failureOf(a, now)}
}

// resultOf reads the body of a 2xx: JSON, a text, or nothing.
func resultOf(a *call.Answer) Result {
	body := bytes.TrimSpace(a.Body)
	switch {
	case len(body) == 0:
		return Result{Data: json.RawMessage("null")}
	case json.Valid(body):
		return Result{Data: bytes.Clone(body)}
	case isJSON(a.Get("Content-Type")):
		return Result{Failure: Invalid("The backend's answer says that it is JSON, and is not.")}
	case !utf8.Valid(a.Body):
		return Result{Failure: Invalid("The backend's answer is neither JSON nor a text in UTF-8.")}
	}
	text, err := encode(string(a.Body))
	if err != nil {
		return Result{Failure: Invalid("The backend's answer cannot be written as JSON.")}
	}
	return Result{Data: text}
}

func isJSON(contentType []byte) bool {
	kind, _, _ := bytes.Cut(bytes.ToLower(contentType), []byte(";"))
	kind = bytes.TrimSpace(kind)
	return string(kind) == "application/json" || bytes.HasSuffix(kind, []byte("+json"))
}

// failureOf reads the error in an answer of 400 or more.
func failureOf(a *call.Answer, now time.Time) *Failure {
	f := &Failure{Name: "HTTP " + strconv.Itoa(a.Status), NoRetry: !Retriable(a.Status)}
	switch string(bytes.ToLower(a.Get(inngest.HeaderNoRetry))) {
	case "true":
		f.NoRetry = true
	case "false":
		f.NoRetry = false
	}
	if !f.NoRetry {
		f.RetryAfter = retryAfter(string(a.Get(inngest.HeaderRetryAfter)), now)
	}
	f.Message = quote(a.Body)
	var said struct {
		Name    json.RawMessage `json:"name"`
		Title   json.RawMessage `json:"title"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
		Error   json.RawMessage `json:"error"`
		Stack   json.RawMessage `json:"stack"`
		Data    json.RawMessage `json:"data"`
	}
	if json.Unmarshal(a.Body, &said) == nil {
		f.Name = cut(firstText(f.Name, said.Name, said.Title), maxName)
		f.Message = cut(firstText(f.Message, said.Message, said.Detail, said.Error), maxMessage)
		f.Stack = cut(firstText("", said.Stack), maxStack)
		if len(said.Data) <= maxData {
			f.Data = bytes.Clone(said.Data)
		}
	}
	if f.Message == "" {
		f.Message = fmt.Sprintf("The backend answered %d %s.", a.Status, http.StatusText(a.Status))
	}
	return f
}

// Retriable tells whether another attempt may succeed where a backend answered
// with that status.
func Retriable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// firstText returns the first of some JSON values that is a text, otherwise
// without one.
func firstText(otherwise string, values ...json.RawMessage) string {
	for _, v := range values {
		var text string
		if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &text) == nil && text != "" {
			return text
		}
	}
	return otherwise
}

// quote returns the beginning of a body as a text.
func quote(body []byte) string {
	text := string(body[:min(len(body), firstBytes+utf8.UTFMax)])
	return strings.TrimSpace(strings.ToValidUTF8(cut(text, firstBytes), "\uFFFD"))
}

// cut returns at most n bytes of a text, and no half of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// retryAfter reads a Retry-After header as Inngest would: whole seconds from 1,
// or a date. What is neither counts as absent.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		if seconds < 1 {
			return 0
		}
		wait = time.Duration(min(seconds, int64(inngest.MaxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = max(at.Sub(now), time.Second)
	} else if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		wait = max(at.Sub(now), time.Second)
	}
	return min(wait, inngest.MaxRetryAfter)
}

// drainRetryAfter is when a backend may be called again that was waited for when
// the gateway went away: another one is there in a moment.
const drainRetryAfter = 5 * time.Second

// Unreached makes a failure of a call that got no answer: err is a [*pool.Error]. What the failure says is for everybody: the address of a
// backend is left out, the cause is in the log of package pool.
func Unreached(err error) *Failure {
	f := &Failure{Name: "BackendError", Code: inngest.CodeFunctionWebhook}
	var upstream *pool.Error
	switch {
	case errors.Is(err, pool.ErrTimeout):
		f.Name, f.Code = "TimeoutError", inngest.CodeFunctionTimeout
		f.Message = "The backend did not answer in the time that the function gives it."
	case !errors.As(err, &upstream):
		f.Message = "The backend could not be called."
	case upstream.Code == inngest.CodeDraining:
		f.RetryAfter = drainRetryAfter
		f.Message = "The backend was waited for, and the gateway went away (" + string(upstream.Code) + "); nothing reached it."
	case upstream.Code == inngest.CodeUpstreamTimeout:
		f.Name, f.Code = "TimeoutError", inngest.CodeFunctionTimeout
		f.Message = "The backend did not answer in time (" + string(upstream.Code) + ")."
	case upstream.Sent:
		f.Message = "The backend gave no proper answer (" + string(upstream.Code) + "); it may have done what it was asked."
	default:
		f.Message = "The backend could not be called (" + string(upstream.Code) + "); nothing reached it."
	}
	return f
}

// Invalid makes a failure of a function, or of its backend, that broke a rule.
func Invalid(format string, args ...any) *Failure {
	return &Failure{Name: "InvalidFunction", Message: fmt.Sprintf(format, args...), Code: inngest.CodeFunctionInvalid}
}
