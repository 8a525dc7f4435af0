package devserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// An outcome is how an attempt or a run ended.
type outcome struct {
	output  json.RawMessage // the result, or what the app said of its error
	err     string          // empty: it succeeded
	noRetry bool
	retryAt time.Time
}

// resultOf judges an answer that holds no opcodes.
func resultOf(a *answer) *outcome {
	o := &outcome{output: resultJSON(a.body), noRetry: a.noRetry, retryAt: a.retryAt}
	ok := a.status >= 200 && a.status < 300
	if !ok {
		o.err = fmt.Sprintf("invalid status code: %d", a.status)
		if !a.fromSDK {
			o.output = strangerError(a)
		}
	}
	if a.noRetry {
		o.err = "NonRetriableError" // also of a 200 (recording 104)
	}
	if !a.retryAt.IsZero() && o.err == "" {
		o.err = "retry at"
	}
	if ok && !a.fromSDK {
		o.err = errNotSDK.Error()
	}
	return o
}

// strangerError tells in a run's trace what came instead of an SDK's answer.
func strangerError(a *answer) json.RawMessage {
	const enough = 2048
	body := a.body
	if len(body) > enough {
		body = body[:enough]
	}
	kind := a.header.Get("Content-Type")
	return marshal(map[string]string{
		"name":    "FatalServerError",
		"error":   fmt.Sprintf("The app's address answered HTTP %d, not the SDK.", a.status),
		"message": fmt.Sprintf("The app's address answered HTTP %d, not the SDK.", a.status),
		"stack":   fmt.Sprintf("%s (%s)\n%s", http.StatusText(a.status), kind, bytes.ToValidUTF8(body, []byte("?"))),
	})
}

// resultJSON keeps JSON as it is, makes a text of anything else, and undoes
// an object that was encoded twice.
func resultJSON(body []byte) json.RawMessage {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return json.RawMessage("null")
	}
	if bytes.HasPrefix(trimmed, []byte(`"{`)) {
		var text string
		if json.Unmarshal(trimmed, &text) == nil && json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	}
	if json.Valid(trimmed) {
		return json.RawMessage(trimmed)
	}
	return marshal(string(bytes.ToValidUTF8(body, []byte("\uFFFD"))))
}

// standardError is an error as inngest/function.failed and steps that invoked
// the function carry it (recordings 61 and 64).
func (o *outcome) standardError() map[string]any {
	out := map[string]any{"error": o.err, "name": "Error", "message": o.err}
	var said map[string]any
	if json.Unmarshal(o.output, &said) != nil {
		if text := o.text(); text != "" {
			out["message"] = text
		}
		return out
	}
	for _, field := range []string{"error", "body"} {
		switch inner := said[field].(type) {
		case map[string]any:
			said = inner
		case string:
			var m map[string]any
			if json.Unmarshal([]byte(inner), &m) == nil {
				said = m
			}
		}
	}
	for _, field := range []string{"error", "name", "message", "stack"} {
		if text, ok := said[field].(string); ok && text != "" {
			out[field] = text
		}
	}
	if cause, ok := said["cause"]; ok {
		out["cause"] = cause
	}
	return out
}

// text is the output if that is a text.
func (o *outcome) text() string {
	var text string
	_ = json.Unmarshal(o.output, &text)
	return text
}

// message is one line for logs and timelines.
func (o *outcome) message() string {
	if m, ok := o.standardError()["message"].(string); ok && m != "" {
		return m
	}
	return o.err
}
