package inbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/gateway/admission"
	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// pass has the app answer the call, and judges the answer.
func (s *Server) pass(ctx context.Context, x *exchange) *refusal {
	if r := s.seal(ctx, x); r != nil {
		return r
	}
	a, err := x.route.Callee.Do(ctx, &x.call)
	x.answered = time.Now()
	x.call.Gone, x.call.Reseal = nil, nil
	if err != nil {
		return x.failed(ctx, err)
	}
	x.answer = a
	return s.judge(ctx, x, a)
}

// seal signs the call for the app, with all that it needs.
func (s *Server) seal(ctx context.Context, x *exchange) *refusal {
	changed, r := s.hydrate(ctx, x)
	if r != nil {
		return r
	}
	seal := x.route.Pair.SealRequest
	if changed {
		seal = x.route.Pair.SealChanged
	}
	if err := seal(&x.call); err != nil {
		return internal(fmt.Errorf("seal request: %w", err))
	}
	return nil
}

// sealAgain makes a new signature for a call that was parked for long.
func (x *exchange) sealAgain() error { return x.route.Pair.SealRequest(&x.call) }

// failed is the refusal when no answer came, or one that must not pass.
func (x *exchange) failed(ctx context.Context, err error) *refusal {
	var upstream *pool.Error
	var app *apps.Error
	var turnedAway *admission.Error
	switch {
	case ctx.Err() != nil:
		return draining(err)
	case errors.As(err, &turnedAway):
		return &refusal{
			code: turnedAway.Code, retry: true, after: turnedAway.RetryAfter, cause: err, end: turnedAway.Endpoint,
			detail: turnedAway.Detail, limit: turnedAway.Limit, setting: turnedAway.Setting,
		}
	case errors.As(err, &upstream):
		return &refusal{code: upstream.Code, retry: true, cause: err, end: upstream.Endpoint, detail: upstreamDetail(x.route.App, upstream)}
	case errors.As(err, &app):
		return &refusal{code: app.Code, retry: true, cause: err, detail: "The app " + x.route.App + " gave an answer that is not passed on: " + app.Err.Error() + "."}
	}
	return internal(err)
}

// upstreamDetail says in one sentence why the app gave no answer. The text of
// the error itself stays in the log: it may name what is not for everybody.
func upstreamDetail(app string, err *pool.Error) string {
	at := ""
	if err.Endpoint != "" {
		at = " at " + err.Endpoint
	}
	since := ""
	if !err.Since.IsZero() {
		since = " since " + err.Since.UTC().Format(time.TimeOnly) + " UTC"
	}
	sent := "; nothing of the call reached it"
	if err.Sent {
		sent = "; the call may have reached it"
	}
	switch err.Code {
	case inngest.CodeUpstreamReset:
		if errors.Is(err, pool.ErrVanished) {
			return fmt.Sprintf("The app %s%s is gone without a word: %v%s.", app, at, pool.ErrVanished, sent)
		}
		return fmt.Sprintf("The app %s%s closed the connection before its answer was whole%s.", app, at, sent)
	case inngest.CodeUpstreamRefused:
		return fmt.Sprintf("The app %s takes no connections%s%s%s.", app, at, since, sent)
	case inngest.CodeUpstreamTimeout:
		return fmt.Sprintf("The app %s%s did not answer in time%s.", app, at, sent)
	case inngest.CodeUpstreamBusy:
		return fmt.Sprintf("The app %s%s has all its connections in use, and none became free in time%s.", app, at, sent)
	case inngest.CodeUpstreamOpen:
		return fmt.Sprintf("The app %s is taken for unreachable%s: calls failed one after the other, and the gateway probes until it answers%s.", app, since, sent)
	case inngest.CodeUpstreamTooLarge:
		return fmt.Sprintf("The app %s%s gave an answer over the limit (limits.answer).", app, at)
	case inngest.CodeUpstreamBadAnswer:
		return fmt.Sprintf("The app %s%s gave an answer that is no proper HTTP.", app, at)
	default:
		return fmt.Sprintf("The app %s%s could not be called%s.", app, at, sent)
	}
}
