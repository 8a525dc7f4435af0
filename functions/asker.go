package functions

import (
	"context"
	"errors"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
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
	status, err = a.repeat(ctx, func(ctx context.Context) (status int, err error) {
		status, answer, err = a.api.Ask(ctx, method, path, body)
		return status, err
	})
	return status, answer, err
}

// read is ask for a GET whose answer may be large.
func (a *asker) read(ctx context.Context, path string, into *budget.Buffer) (status int, err error) {
	return a.repeat(ctx, func(ctx context.Context) (int, error) {
		into.Free() // of what an attempt before has left
		return a.api.Read(ctx, path, into)
	})
}

func (a *asker) repeat(ctx context.Context, once func(context.Context) (int, error)) (status int, err error) {
	wait := a.backoff
	for attempt := 1; ; attempt++ {
		status, err = a.once(ctx, once)
		if err == nil && !run.Retriable(status) || hopeless(err) || attempt >= a.attempts || ctx.Err() != nil {
			return status, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return status, err
		}
		wait *= 2
	}
}

// hopeless tells whether an error would come again.
func hopeless(err error) bool {
	return errors.Is(err, budget.ErrTooLarge) || errors.Is(err, budget.ErrExhausted)
}

func (a *asker) once(ctx context.Context, once func(context.Context) (int, error)) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return once(ctx)
}
