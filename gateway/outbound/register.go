package outbound

import (
	"context"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/gateway/apps"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// registry takes what apps register; apps.Registry does.
type registry interface {
	Register(ctx context.Context, r apps.Registration) (apps.Result, error)
}

// register hands a registration to the registry, which sends it on with the
// gateway's own URLs and the real key.
func (s *Server) register(rc *fasthttp.RequestCtx, q *request) *refusal {
	g, r := s.creds.forRegister(q)
	if r != nil {
		return r
	}
	ctx, x := s.exchange(q, g)
	defer x.finish()
	if x.body, r = s.readWhole(ctx, rc, q); r != nil {
		return r
	}
	registration := apps.Registration{Query: q.query, Header: q.header(), Body: x.body.buffer.Bytes()}
	if g.app != nil && !g.app.shared {
		registration.From = g.app.ID
	}
	result, err := s.opts.Registry.Register(ctx, registration)
	if err != nil {
		return unavailable(http.StatusServiceUnavailable, err)
	}
	if result.Code != "" {
		s.opts.Metrics.Errors.WithLabelValues(string(result.Code)).Inc()
	}
	res := &rc.Response
	res.SetStatusCode(result.Status)
	for name, values := range result.Header {
		if !passes(name, "") {
			continue
		}
		for _, v := range values {
			res.Header.Add(name, v)
		}
	}
	if result.Code != "" {
		res.Header.Set(inngest.HeaderGatewayError, string(result.Code))
	}
	res.SetBody(result.Body)
	return nil
}
