package outbound

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// eventPlane takes the events that apps send; events.Plane does.
type eventPlane interface {
	Accept(ctx context.Context, r events.Request) events.Answer
}

// event hands the events of an app to the event plane, under the real key.
func (s *Server) event(rc *fasthttp.RequestCtx, q *request) *refusal {
	env, key, r := s.creds.forEvent(q)
	if r != nil {
		return r
	}
	ctx, x := s.exchange(q, grant{env: env})
	defer x.finish()
	if x.body, r = s.readWhole(ctx, rc, q); r != nil {
		return r
	}
	branch := q.fields.get(inngest.HeaderEnv)
	if branch == "" {
		branch = env.Branch
	}
	a := s.opts.Events.Accept(ctx, events.Request{
		Environment:     env.Name,
		Key:             key,
		Branch:          branch,
		Seed:            q.fields.get(inngest.HeaderEventIDSeed),
		Traceparent:     q.fields.get(inngest.HeaderTraceparent),
		Tracestate:      q.fields.get(inngest.HeaderTracestate),
		ContentType:     q.fields.get("Content-Type"),
		ContentEncoding: q.fields.joined("Content-Encoding"),
		Header:          q.fields.get,
		Body:            x.body.buffer.Bytes(),
	})
	res := &rc.Response
	res.SetStatusCode(a.Status)
	res.Header.SetContentType(a.ContentType)
	if a.Code != "" {
		res.Header.Set(inngest.HeaderGatewayError, string(a.Code))
		s.opts.Metrics.Errors.WithLabelValues(string(a.Code)).Inc()
	}
	if a.RetryAfter > 0 {
		seconds := int64((a.RetryAfter + time.Second - 1) / time.Second)
		res.Header.Set(inngest.HeaderRetryAfter, strconv.FormatInt(seconds, 10))
	}
	res.SetBodyRaw(a.Body)
	return nil
}

// noEventKey refuses what is sent to the event API without a key. Inngest
// itself answers such a request with a page and status 200, and the events are
// gone.
func noEventKey() *refusal {
	return unauthorized("The request has no event key, so its events were not taken: send it to /e/{key}. SDKs have the key in INNGEST_EVENT_KEY")
}

// noEventPath refuses what is near the event API but no path of it; it may
// carry a key, so it is not sent on.
func noEventPath() *refusal {
	return &refusal{status: http.StatusNotFound, code: inngest.CodeUnknownPath,
		detail: "Events are taken at /e/{key}, spelled like this and without anything behind the key; the request went nowhere."}
}
