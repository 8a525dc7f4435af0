package apps

import (
	"encoding/json"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// retryAfter is what a refused sync says: the server repeats its PUTs every 5 s.
const retryAfter = "5"

// refusal is the body of what the gateway refuses around syncs. A server reads
// message in the answer to its PUT, an SDK reads status and error in that to
// its registration: JS takes one without them for a success.
type refusal struct {
	inngest.Problem
	Message string `json:"message"`
	Error   string `json:"error"`
}

// refusalBody writes a refusal.
func refusalBody(code inngest.Code, detail string) []byte {
	body, err := json.Marshal(refusal{inngest.Problem{Detail: detail, Status: code.Status(), Code: code}, detail, detail})
	if err != nil {
		panic("apps: a refusal of strings cannot be written: " + err.Error())
	}
	return body
}

// refusePut is the answer to a PUT that comes to nothing.
func refusePut(code inngest.Code, detail string, cause error) *call.Answer {
	a := &call.Answer{Status: code.Status(), Code: code, Cause: cause, Body: refusalBody(code, detail)}
	a.Set("Content-Type", inngest.ContentTypeProblem)
	a.Set("Cache-Control", "no-store")
	a.Set(inngest.HeaderGatewayError, string(code))
	if a.Status >= http.StatusBadGateway {
		a.Set(inngest.HeaderRetryAfter, retryAfter)
	}
	return a
}

// handled is the answer to an unsigned PUT. It is the same whatever comes of
// it, and tells a stranger no more than that an SDK would have answered.
func handled() *call.Answer {
	a := &call.Answer{Status: http.StatusOK, Body: syncResult("Sync requested", false)}
	a.Set("Content-Type", "application/json")
	a.Set(inngest.HeaderSDKHandled, "true")
	return a
}

func syncResult(message string, modified bool) []byte {
	body, err := json.Marshal(inngest.SyncResult{Message: message, Modified: modified})
	if err != nil {
		panic("apps: a string and a bool cannot be written: " + err.Error())
	}
	return body
}

// answerOutOfBand answers a PUT as the app's SDK would have done after it
// registered itself.
func (a *app) answerOutOfBand(v *verdict, serverKind string) *call.Answer {
	answer := a.speak(v.manifest, serverKind, inngest.SyncOutOfBand)
	if v.ok() {
		answer.Body = syncResult("Successfully registered", v.modified())
	} else {
		answer.Status, answer.Body = v.result.Status, syncResult(v.message(), false)
	}
	a.pair.sign(answer)
	return answer
}

// answerInBand answers an in-band PUT with what the app answered. Its URLs
// become the gateway's, and what is changed or signed with another key leaves
// as canonical JSON.
func (a *app) answerInBand(s *asked) (*call.Answer, error) {
	body, err := rewriteURLs(s.answer.Body, a.base())
	if err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the app's in-band answer cannot be read: %w", err)
	}
	answer := s.answer
	if string(body) == string(answer.Body) && a.Mode == Passthrough {
		return answer, nil
	}
	if answer.Body, err = signature.Canonical(body); err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the app's in-band answer cannot be signed: %w", err)
	}
	for _, name := range []string{"ETag", "Digest", "Content-Digest", "Repr-Digest", "Content-MD5"} {
		answer.Del(name)
	}
	answer.Set("Content-Type", "application/json")
	a.pair.sign(answer)
	return answer, nil
}

// answerKept answers an in-band PUT in the place of an app that only knows how
// to register itself.
func (a *app) answerKept(m *manifest, inspection json.RawMessage, serverKind string) (*call.Answer, error) {
	if inspection == nil {
		var err error
		if inspection, err = json.Marshal(map[string]any{
			"schema_version": inngest.IntrospectionSchema, "function_count": len(m.register.Functions),
		}); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(m.inBand(inspection))
	if err == nil {
		body, err = signature.Canonical(body)
	}
	if err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the kept registration cannot be signed: %w", err)
	}
	answer := a.speak(m, serverKind, inngest.SyncInBand)
	answer.Body = body
	a.pair.sign(answer)
	return answer, nil
}

// speak begins an answer in the app's name, with what its SDK says of itself.
func (a *app) speak(m *manifest, serverKind, syncKind string) *call.Answer {
	answer := &call.Answer{Status: http.StatusOK}
	answer.Set("Content-Type", "application/json")
	for _, name := range sdkHeaders {
		if v := m.Header.Get(name); v != "" {
			answer.Set(name, v)
		}
	}
	if !answer.Has(inngest.HeaderSDK) {
		answer.Set(inngest.HeaderSDK, m.register.SDK)
	}
	answer.Set(inngest.HeaderSDKHandled, "true")
	answer.Set(inngest.HeaderRequestVersion, "2")
	answer.Set(inngest.HeaderSyncKind, syncKind)
	if serverKind != "" {
		answer.Set(inngest.HeaderExpectedServerKind, serverKind)
	}
	return answer
}
