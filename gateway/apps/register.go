package apps

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Register takes an app's own registration and sends it on with the gateway's
// URLs. A refusal is a Result with a Code; an error means that ctx ended.
// Whether the token is good is the caller's business.
func (r *Registry) Register(ctx context.Context, reg Registration) (Result, error) {
	result, err := r.register(ctx, reg)
	if err == nil {
		return result, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return Result{}, cause
	}
	var refused *Error
	if !errors.As(err, &refused) {
		refused = &Error{inngest.CodeInternal, errors.New("the gateway failed inside, its log says more"), err}
	}
	return Result{
		Status: refused.Code.Status(),
		Code:   refused.Code,
		Header: http.Header{
			"Content-Type":             {inngest.ContentTypeProblem},
			inngest.HeaderGatewayError: {string(refused.Code)},
		},
		Body: refusalBody(refused.Code, sentence(refused.Err)),
	}, nil
}

func (r *Registry) register(ctx context.Context, reg Registration) (Result, error) {
	m, err := newManifest("", reg.Body, reg.Header, r.opts.Now())
	if err != nil {
		r.opts.Log.Warn("registration of an app refused", "err", err)
		return Result{}, err
	}
	a := r.find(m.register.AppName)
	if a == nil || reg.From != "" && reg.From != a.ID {
		err := refuse(inngest.CodeUnknownApp, "no app with this token has the id %q (apps[].id); known are %s", m.register.AppName, r.known())
		r.opts.Log.Warn("registration of an app refused", "err", err)
		return Result{}, err
	}
	m.App = a.ID
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	v, err := r.registerAs(ctx, a, m, reg)
	if err != nil {
		r.report(a, wayOutOfBand, err)
		return Result{}, err
	}
	r.report(a, wayOutOfBand, v.err())
	return a.toApp(v.result), nil
}

func (r *Registry) registerAs(ctx context.Context, a *app, m *manifest, reg Registration) (*verdict, error) {
	for _, name := range []string{inngest.HeaderExpectedServerKind, inngest.HeaderServerKind} {
		if reg.Header.Get(name) == inngest.ModeDev && a.pair.Verifies() {
			return nil, refuse(inngest.CodeServerKindRefused, "the app expects a dev server, but its calls are verified")
		}
	}
	return r.tell(ctx, a, telling{
		manifest: m, number: a.number(), query: reg.Query,
		serverKind: reg.Header.Get(inngest.HeaderExpectedServerKind), header: protocolFields(reg.Header),
		answered: a.askedInBand(),
	})
}

// protocolFields returns the x-inngest fields of a header. Whatever else a
// client sends, credentials first of all, is not the server's business.
func protocolFields(header http.Header) http.Header {
	fields := http.Header{}
	for name, values := range header {
		if strings.HasPrefix(strings.ToLower(name), "x-inngest-") && !strings.EqualFold(name, inngest.HeaderSignature) {
			fields[http.CanonicalHeaderKey(name)] = values
		}
	}
	return fields
}

// toApp returns what of an answer the app sees. An app whose calls are verified
// does not hear of a dev server.
func (a *app) toApp(result Result) Result {
	header := http.Header{}
	for _, name := range []string{"Content-Type", inngest.HeaderServerKind, inngest.HeaderRetryAfter} {
		if v := result.Header.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	if header.Get(inngest.HeaderServerKind) == inngest.ModeDev && a.pair.Verifies() {
		header.Del(inngest.HeaderServerKind)
	}
	result.Header = header
	return result
}
