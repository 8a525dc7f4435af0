package outbound

import (
	"fmt"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A refusal is an answer that the gateway makes itself.
type refusal struct {
	status  int
	code    inngest.Code
	detail  string // cause first, then what happens next; without secrets and addresses
	limit   string
	setting string
	allow   string // methods that would do; for 405
	err     error  // for the log, never for the caller
}

func unauthorized(detail string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: inngest.CodeUnauthorized, detail: detail}
}

func malformed(detail string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: inngest.CodeMalformedRequest, detail: detail}
}

// unavailable is the refusal for an exchange that failed on Inngest's side.
// 503 says that nothing of the request reached it, 502 that something may have.
func unavailable(status int, err error) *refusal {
	r := &refusal{status: status, code: inngest.CodeInngestUnavailable, err: err}
	if status == http.StatusServiceUnavailable {
		r.detail = "Inngest cannot be reached from the gateway; the request was not sent. Try again."
	} else {
		r.detail = "Inngest did not answer the request, which may have reached it."
	}
	return r
}

// write makes the refusal the answer. Events have errors in their API's shape:
// SDKs show its "error" to people and read nothing else.
func (r *refusal) write(res *fasthttp.Response, events bool) {
	res.Reset()
	res.SetStatusCode(r.status)
	res.Header.Set(inngest.HeaderGatewayError, string(r.code))
	if r.status == http.StatusServiceUnavailable {
		res.Header.Set(inngest.HeaderRetryAfter, "1")
	}
	if r.allow != "" {
		res.Header.Set("Allow", r.allow)
	}
	switch {
	case events && r.status == http.StatusUnauthorized:
		res.Header.SetContentType(intake.UnknownType)
		res.SetBodyRaw(intake.AppendUnknownKey(nil, r.status, r.detail))
		return
	case events:
		res.Header.SetContentType(intake.AnswerType)
		res.SetBodyRaw(intake.AppendRefused(nil, r.status, r.detail))
		return
	}
	p := inngest.Problem{Detail: r.detail, Status: r.status, Code: r.code, Limit: r.limit, Setting: r.setting}
	res.Header.SetContentType(inngest.ContentTypeProblem)
	res.SetBodyRaw(p.Body())
}

// Error lets a refusal travel as an error.
func (r *refusal) Error() string {
	if r.err != nil {
		return fmt.Sprintf("%s: %v", r.code, r.err)
	}
	return string(r.code)
}

// sizeText writes a size as the configuration does.
func sizeText(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}
