package apps

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Put answers a sync request of the server. The answer is complete: it is
// signed where it has to be, and a refusal has its code and its body. An error
// is that of the app's callee: the app cannot be reached.
//
// Nothing waits here for an app to come up; Options.Timeout bounds the whole.
func (r *Registry) Put(ctx context.Context, p Put) (*call.Answer, error) {
	a := r.byID[p.App]
	if a == nil {
		return nil, fmt.Errorf("sync: no app has the id %q", p.App)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, errTimeout)
	defer cancel()
	if !p.Signed && a.pair.Verifies() {
		return r.putUnsigned(ctx, a), nil
	}
	answer, way, err := r.putSigned(ctx, a, &p)
	r.report(a, way, err)
	if answer != nil {
		return answer, nil
	}
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refusePut(refused.Code, sentence(refused.Err), err), nil
	case errors.Is(context.Cause(ctx), errTimeout):
		return refusePut(inngest.CodeUpstreamTimeout, fmt.Sprintf("The app did not answer a sync within %v.", r.opts.Timeout), err), nil
	default:
		return nil, err
	}
}

var errTimeout = errors.New("the time for a sync is over (sync.timeout)")

// putSigned does the sync. An error beside an answer is for the log.
func (r *Registry) putSigned(ctx context.Context, a *app, p *Put) (*call.Answer, way, error) {
	p.ServerKind = word(p.ServerKind)
	if p.ServerKind == inngest.ModeDev && a.pair.Verifies() {
		return nil, wayInBand, refuse(inngest.CodeServerKindRefused, "a dev server wants to sync an app whose calls are verified")
	}
	believed := a.learn(p.Body)
	if believed == "" {
		return nil, wayInBand, errNoPublicURL()
	}
	query, _ := url.ParseQuery(p.Query) // what cannot be read is not passed on
	deployID := query.Get("deployId")
	inBand := p.SyncKind == inngest.SyncInBand || a.server.dialect == DialectInBand
	if inBand {
		defer a.askInBand()()
	}
	s, err := r.ask(ctx, a, question{believed, deployID, p.ServerKind})
	if err != nil {
		return nil, wayInBand, err
	}
	switch {
	case s.manifest == nil && inBand && s.ok():
		answer, err := r.putKept(ctx, a, s, p)
		return answer, wayOutOfBand, err
	case s.manifest == nil:
		return s.answer, wayOutOfBand, errors.Join(s.err(), a.pair.SealAnswer(s.answer))
	}
	t := telling{manifest: s.manifest, number: s.number, serverKind: p.ServerKind, answered: inBand}
	if deployID != "" {
		t.query = url.Values{"deployId": {deployID}}.Encode()
	}
	v, err := r.tell(ctx, a, t)
	switch {
	case err != nil:
		return nil, wayInBand, err
	case v.kept:
		answer, err := a.answerInBand(s)
		return answer, wayInBand, err
	default:
		return a.answerOutOfBand(v, p.ServerKind), wayInBand, v.err()
	}
}

// putKept answers an in-band PUT for an app that says that it has registered
// itself: its registration has come to the gateway.
func (r *Registry) putKept(ctx context.Context, a *app, s *asked, p *Put) (*call.Answer, error) {
	m := a.manifest()
	if m == nil {
		return nil, refuse(inngest.CodeUpstreamBadAnswer,
			"the app says that it registered, but not with the gateway: its INNGEST_BASE_URL must be the gateway's apps listener")
	}
	if !a.superseded(s.number) {
		r.opts.Log.Warn("app says that it registered, but nothing came: its kept registration is used", "app", a.ID)
	}
	m, err := m.at(a.base())
	if err != nil {
		return nil, err
	}
	return a.answerKept(m, r.inspect(ctx, a), p.ServerKind)
}

// putUnsigned takes a PUT that anybody can have sent as a hint at most.
// Whatever comes of it, the answer is the same.
func (r *Registry) putUnsigned(ctx context.Context, a *app) *call.Answer {
	if a.UnsignedSync == UnsignedRefuse {
		r.count(a, wayHint, outcomeRefused)
		return refusePut(inngest.CodeUnsignedSyncRefused, "The sync has no signature, and this gateway takes signed ones only.", nil)
	}
	h, ok := a.hint()
	if !ok {
		r.count(a, wayHint, outcomeRefused)
		return handled()
	}
	// Who adds an app on the server's page looks at it right after the answer,
	// but the server itself must not run out of patience.
	select {
	case <-h.done:
	case <-time.After(r.opts.Timeout / 2):
	case <-ctx.Done():
	}
	return handled()
}

// word returns a header value that may stand in a header, and nothing for one
// that must not: it came in the head of the PUT, which nobody signed.
func word(value string) string {
	for _, c := range value {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return value
}

// sentence makes the text of an error one.
func sentence(err error) string {
	text := err.Error()
	if c := text[0]; 'a' <= c && c <= 'z' {
		text = string(c-'a'+'A') + text[1:]
	}
	return text + "."
}
