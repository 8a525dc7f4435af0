package functions

import (
	"context"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// An asker asks Inngest's API for one app.
type asker struct {
	app      string
	api      api
	timeout  time.Duration // of one request
	attempts int
	backoff  time.Duration // before the second attempt, doubled for each further one
}

// ask makes a request, and makes it again where another attempt may help.
func (a *asker) ask(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	wait := a.backoff
	for attempt := 1; ; attempt++ {
		status, answer, err = a.once(ctx, method, path, body)
		if err == nil && !run.Retriable(status) || attempt >= a.attempts || ctx.Err() != nil {
			return status, answer, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return status, answer, err
		}
		wait *= 2
	}
}

func (a *asker) once(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.api.Ask(ctx, method, path, body)
}
