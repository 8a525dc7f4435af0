package inbound

import (
	"context"
	"errors"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// hydrate puts into a call what it was too large to carry, where the app does
// not read that itself. It tells whether the body is another one now.
func (s *Server) hydrate(ctx context.Context, x *exchange) (changed bool, _ *refusal) {
	if x.route.Hydrator == nil || x.kind != kindCall || !x.call.Identity.UseAPI {
		return false, nil
	}
	x.state = s.opts.Budget.Request(int(s.opts.MaxBody))
	if err := x.route.Hydrator.Hydrate(ctx, x.call.Body, &x.state); err != nil {
		return false, x.notHydrated(ctx, err)
	}
	if x.state.Len() == 0 {
		return false, nil
	}
	x.call.Body = x.state.Bytes()
	x.call.Identity.UseAPI = false
	x.body.Free() // what was sent is not needed any more
	return true, nil
}

// notHydrated is the refusal of a call that the app could not understand.
func (x *exchange) notHydrated(ctx context.Context, err error) *refusal {
	limits := &x.server.opts
	r := &refusal{
		code: inngest.CodeStateUnavailable, retry: true, cause: err,
		detail: "The call is too large to carry the state of its run (use_api), which the gateway reads for the app " +
			x.route.App + " (apps[].hydrate): ",
	}
	switch {
	case ctx.Err() != nil:
		return draining(err)
	case errors.Is(err, budget.ErrExhausted):
		return memoryExhausted(limits.Budget.Max(), err)
	case errors.Is(err, budget.ErrTooLarge):
		r.limit, r.setting = size(limits.MaxBody), "limits.body"
		r.detail += "with it the call is larger than " + r.limit + " (limits.body)."
	default:
		r.detail += strings.TrimSuffix(err.Error(), ".") + "."
	}
	return r
}
