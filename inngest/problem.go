package inngest

import (
	"bytes"
	"encoding/json"
)

// ContentTypeProblem is the content type of a Problem.
const ContentTypeProblem = "application/problem+json"

// A Problem is the body of every refusal that the gateway itself makes, but
// for /e (RFC 9457). Its first member is detail: people read the first bytes
// of it in the trace of a run, so it names the cause first and then what
// happens next; no secret, no address of another app.
type Problem struct {
	Detail  string `json:"detail"`
	Status  int    `json:"status"`
	Code    Code   `json:"code"`
	Limit   string `json:"limit,omitempty"`   // the limit that was hit, as in the configuration: 8MiB
	Setting string `json:"setting,omitempty"` // the setting of that limit: limits.body
}

// Body returns the problem as JSON, detail first, as people will read it: with
// "<" and "&" as they are.
func (p Problem) Body() []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		panic("inngest: a problem of texts and a number cannot be written: " + err.Error())
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
