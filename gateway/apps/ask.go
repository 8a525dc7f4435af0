package apps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A question is what a sync asks an app.
type question struct {
	believed   string // the URL that the app is to believe it is served at
	deployID   string // passed on where the server gave one
	serverKind string // of the server that wants to know; empty: nobody said
}

// asked is what the app said to it. Nothing in it belongs to the pool.
type asked struct {
	number   uint64
	answer   *call.Answer
	manifest *manifest // nil: it registers out of band, or said no
}

// ok tells whether the app thinks that it is registered, or has answered in band.
func (s *asked) ok() bool { return s.answer.Status < 300 }

func (s *asked) err() error {
	if s.ok() {
		return nil
	}
	return fmt.Errorf("the app answered a sync with status %d", s.answer.Status)
}

// ask sends the app a PUT that every SDK understands: signed for the app, with
// the sync kind and exactly one member in the body. One that knows in-band
// answers tells its functions, another one posts /fn/register meanwhile.
func (r *Registry) ask(ctx context.Context, a *app, q question) (*asked, error) {
	body, err := syncBody(q.believed)
	if err != nil {
		return nil, err
	}
	head := "Content-Type: application/json\r\n" + inngest.HeaderSyncKind + ": " + inngest.SyncInBand + "\r\n"
	if q.serverKind != "" && a.Mode != Strip { // in strip the app thinks that it is in development
		head += inngest.HeaderServerKind + ": " + q.serverKind + "\r\n"
	}
	target := a.UpstreamPath
	if q.deployID != "" {
		target += "?deployId=" + url.QueryEscape(q.deployID)
	}
	s := &asked{number: a.number()}
	if s.answer, err = r.send(ctx, a, http.MethodPut, target, head, body); err != nil {
		return nil, err
	}
	if s.manifest, err = r.readInBand(a, s.answer); err != nil {
		return nil, err
	}
	return s, nil
}

// syncBody returns the body of a PUT as canonical JSON.
func syncBody(believed string) ([]byte, error) {
	text, err := json.Marshal(inngest.SyncRequest{URL: believed})
	if err != nil {
		return nil, fmt.Errorf("body of a sync: %w", err)
	}
	return signature.Canonical(text)
}

// send exchanges a request of our own with the app. While keys rotate the app
// may know an older one: after a 401 the next key is tried.
func (r *Registry) send(ctx context.Context, a *app, method, target, head string, body []byte) (*call.Answer, error) {
	keys := a.pair.app.syncKeys()
	for i := 0; ; i++ {
		c := &call.Call{
			App: a.ID, Method: method, Target: []byte(target), Head: []byte(head), Body: body,
			Received: time.Now(), WholeAnswer: true,
		}
		if i < len(keys) {
			c.Signature = []byte(signature.Sign(keys[i], body, r.opts.Now()))
		}
		theirs, err := a.Callee.Do(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("sync of app %s: %w", a.ID, err)
		}
		answer, err := own(theirs, a.pair.app.syncVerifier())
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusUnauthorized || i+1 >= len(keys) {
			return answer, nil
		}
	}
}

// own checks an answer and copies it out of the buffers that it came in.
func own(a *call.Answer, verifier *signature.Verifier) (*call.Answer, error) {
	defer a.Release()
	coding := a.Get("Content-Encoding")
	switch {
	case a.Stream != nil:
		return nil, refuse(inngest.CodeUpstreamBadAnswer, "the app answered a sync with a stream")
	case !a.FromSDK() && a.Status >= 400:
		return nil, refuse(inngest.CodeUpstreamUnready, "the app answered a sync with status %d, and no SDK did that", a.Status)
	case a.Status >= 300 && a.Status < 400:
		return nil, refuse(inngest.CodeUpstreamRedirect, "the app redirects syncs (status %d)", a.Status)
	case !a.FromSDK():
		return nil, refuse(inngest.CodeUpstreamBadAnswer, "the app answered a sync with status %d and without the header of an SDK", a.Status)
	case coding != nil && string(coding) != "identity":
		return nil, refuse(inngest.CodeUpstreamEncoding, "the app answered a sync with the content coding %q, which was not asked for", coding)
	}
	if sig := a.Get(inngest.HeaderSignature); sig != nil && verifier != nil {
		if err := verifier.VerifyAnswer(sig, a.Body); err != nil {
			return nil, refuse(inngest.CodeUpstreamUntrusted, "the app's answer to a sync is not signed with its key: %w", err)
		}
	}
	mine := &call.Answer{Status: a.Status, Endpoint: a.Endpoint, Body: bytes.Clone(a.Body)}
	for _, f := range a.Fields {
		mine.Fields = append(mine.Fields, call.Field{Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value)})
	}
	mine.Del("Content-Encoding")
	return mine, nil
}

// readInBand returns the functions in an answer, nil if the app did not answer
// in band. The body decides: it says more than the header of a sync kind.
func (r *Registry) readInBand(a *app, answer *call.Answer) (*manifest, error) {
	var shape struct {
		AppID     json.RawMessage `json:"app_id"`
		Functions json.RawMessage `json:"functions"`
	}
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &shape) != nil || shape.Functions == nil {
		if answer.Status == http.StatusOK && string(answer.Get(inngest.HeaderSyncKind)) == inngest.SyncInBand {
			return nil, refuse(inngest.CodeMalformedRegister, "the app's in-band answer tells no functions")
		}
		return nil, nil
	}
	var in inngest.InBandAnswer
	if err := json.Unmarshal(answer.Body, &in); err != nil {
		return nil, refuse(inngest.CodeMalformedRegister, "the app's in-band answer cannot be read: %w", err)
	}
	if r.find(in.AppID) != a {
		return nil, refuse(inngest.CodeUnknownApp, "the app at %s calls itself %q; its apps[].id is %q", a.Path, in.AppID, a.ID)
	}
	header := http.Header{}
	for _, name := range sdkHeaders {
		if v := answer.Get(name); v != nil {
			header.Set(name, string(v))
		}
	}
	return fromInBand(a.ID, &in, header, r.opts.Now())
}

// inspect asks the app what it says of itself, for an in-band answer that the
// gateway makes in its place. Nothing if it does not say.
func (r *Registry) inspect(ctx context.Context, a *app) json.RawMessage {
	answer, err := r.send(ctx, a, http.MethodGet, a.UpstreamPath, "", nil)
	if err != nil || answer.Status != http.StatusOK || !json.Valid(answer.Body) {
		return nil
	}
	return answer.Body
}
