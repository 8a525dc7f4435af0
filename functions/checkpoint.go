package functions

import (
	"context"
	"net/http"
	"net/url"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// What Inngest said to a checkpoint.
const (
	checkpointTaken   = "ok"
	checkpointStale   = "stale"   // another dispatch has taken over
	checkpointRefused = "refused" // or unheard: the step goes back in the answer
	checkpointFailed  = "failed"
)

// asyncCheckpoint is the body of POST /v1/checkpoint/{run}/async.
type asyncCheckpoint struct {
	RunID            string                `json:"run_id"`
	FunctionID       string                `json:"fn_id"`
	QueueItemID      string                `json:"qi_id"`
	RequestID        string                `json:"request_id"`
	GenerationID     int                   `json:"generation_id"`
	RequestStartedAt int64                 `json:"request_started_at"`
	Steps            []inngest.GeneratorOp `json:"steps"`
	TS               int64                 `json:"ts"`
}

// checkpoint tells Inngest a step that has ended, while its call goes on. What
// was not heard for sure counts as refused: told twice, a step counts once.
func (h *Host) checkpoint(ctx context.Context, x *exchange, op inngest.GeneratorOp) string {
	op.Mode = "sync"
	c := &x.req.Ctx
	body, err := encode(asyncCheckpoint{
		RunID: c.RunID, FunctionID: c.FunctionID, QueueItemID: c.QueueItemID, RequestID: c.RequestID,
		GenerationID: c.GenerationID, RequestStartedAt: x.began.UnixMilli(),
		Steps: []inngest.GeneratorOp{op}, TS: h.opts.Now().UnixMilli(),
	})
	if err != nil {
		return checkpointRefused
	}
	status, _, err := h.state.ask(ctx, http.MethodPost, "/v1/checkpoint/"+url.PathEscape(c.RunID)+"/async", body)
	verdict, counted := checkpointRefused, checkpointRefused
	switch {
	case err != nil:
		counted = checkpointFailed
	case status >= 200 && status < 300:
		verdict, counted = checkpointTaken, checkpointTaken
	case status == http.StatusConflict:
		verdict, counted = checkpointStale, checkpointStale
	}
	h.opts.Metrics.Checkpoints.WithLabelValues(h.opts.App, counted).Inc()
	if verdict == checkpointRefused {
		h.opts.Log.Warn("checkpoint not taken, the step goes back in the answer", "app", h.opts.App,
			"function", x.function.Config.ID, "run", c.RunID, "status", status, "err", err)
	}
	return verdict
}
