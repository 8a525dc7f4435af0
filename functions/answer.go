package functions

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// framework is what the host calls itself where an SDK names its framework.
const framework = "gateway"

// speak begins an answer as an SDK's.
func (h *Host) speak(status int, body []byte) *call.Answer {
	a := &call.Answer{Status: status, Body: body, Length: int64(len(body))}
	a.Fields = append(a.Fields,
		field("Content-Type", "application/json"),
		field(inngest.HeaderSDK, h.sdk),
		field(inngest.HeaderSDKHandled, "true"),
		field(inngest.HeaderFramework, framework),
		field(inngest.HeaderRequestVersion, "2"),
	)
	return a
}

func field(name, value string) call.Field {
	return call.Field{Name: []byte(name), Value: []byte(value)}
}

// refuse answers what is no call that the host can run.
func (h *Host) refuse(status int, code inngest.Code, message string) *call.Answer {
	return h.fail(status, &run.Failure{Name: "Error", Message: message, Code: code})
}

// fail answers with a failure of the function.
func (h *Host) fail(status int, f *run.Failure) *call.Answer {
	body, err := encode(userError(f))
	if err != nil { // its data is no JSON
		f = &run.Failure{Name: f.Name, Message: f.Message, Code: f.Code, NoRetry: f.NoRetry, RetryAfter: f.RetryAfter}
		body, _ = encode(userError(f))
	}
	a := h.speak(status, body)
	setRetry(a, f)
	return a
}

// setRetry says whether and when Inngest is to try again, and why the gateway
// thinks that the failure came about.
func setRetry(a *call.Answer, f *run.Failure) {
	a.Set(inngest.HeaderNoRetry, strconv.FormatBool(f.NoRetry))
	if !f.NoRetry && f.RetryAfter > 0 {
		wait := min((f.RetryAfter+time.Second-1)/time.Second, inngest.MaxRetryAfter/time.Second)
		a.Set(inngest.HeaderRetryAfter, strconv.FormatInt(int64(wait), 10))
	}
	if f.Code != "" {
		a.Set(inngest.HeaderGatewayError, string(f.Code))
	}
}

// steps answers with operations.
func (h *Host) steps(ops []inngest.GeneratorOp) (*call.Answer, error) {
	body, err := encode(ops)
	if err != nil {
		return nil, err
	}
	return h.speak(http.StatusPartialContent, body), nil
}

// encode writes JSON with "<" and "&" as they are: what an app wrote should be
// found again.
func encode(v any) (json.RawMessage, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
