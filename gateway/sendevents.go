package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// anyEventKey is what SDKs send without an event key. A server in development
// takes any.
const anyEventKey = "NO_EVENT_KEY_SET"

// sendFor returns what sends the events of hosted functions in an environment:
// the event plane, as for apps. The events have ids of their own, so that a step
// that is made twice sends them once.
func (g *Gateway) sendFor(in *environment) func(context.Context, json.RawMessage) (json.RawMessage, error) {
	return func(ctx context.Context, list json.RawMessage) (json.RawMessage, error) {
		key := in.EventKey.Reveal()
		if key == "" && g.cfg.InsecureSkipVerify {
			key = anyEventKey
		}
		if key == "" {
			return nil, &run.Failure{Name: "EventKeyMissing", NoRetry: true, Code: inngest.CodeFunctionConfiguration,
				Message: "The gateway has no event key to send events with: set inngest.event_key."}
		}
		a := g.events.Accept(ctx, events.Request{
			Environment: in.name,
			Key:         key,
			Branch:      in.Env,
			ContentType: "application/json",
			Body:        list,
		})
		var answer struct {
			IDs   json.RawMessage `json:"ids"`
			Error string          `json:"error"`
		}
		err := json.Unmarshal(a.Body, &answer)
		if err == nil && a.Status == http.StatusOK {
			return answer.IDs, nil
		}
		if answer.Error == "" {
			answer.Error = "the events were not taken: " + http.StatusText(a.Status)
		}
		f := &run.Failure{Name: "EventsRefused", Message: answer.Error, RetryAfter: a.RetryAfter, Code: a.Code}
		f.NoRetry = a.Status >= 400 && !run.Retriable(a.Status)
		return nil, errors.Join(f, err)
	}
}
