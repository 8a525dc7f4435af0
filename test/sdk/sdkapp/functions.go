package sdkapp

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/inngest/inngestgo"
	sdkerrors "github.com/inngest/inngestgo/errors"
	"github.com/inngest/inngestgo/group"
	"github.com/inngest/inngestgo/step"
)

type app struct {
	client inngestgo.Client
	id     string
	prefix string
	onStep func(Step)
}

type (
	data  = map[string]any
	input = inngestgo.Input[data]
)

// register creates every function; each has the event with its own name.
func (a app) register() error {
	zero, one, two := 0, 1, 2
	for _, f := range []struct {
		opts inngestgo.FunctionOpts
		run  func(context.Context, input) (any, error)
	}{
		{inngestgo.FunctionOpts{ID: "simple"}, a.simple},
		{inngestgo.FunctionOpts{ID: "steps"}, a.steps},
		{inngestgo.FunctionOpts{ID: "text", Retries: &one}, a.text},
		{inngestgo.FunctionOpts{ID: "parallel"}, a.parallel},
		{inngestgo.FunctionOpts{ID: "nonretriable"}, a.nonRetriable},
		{inngestgo.FunctionOpts{ID: "retryafter", Retries: &two}, a.retryAfter},
		{inngestgo.FunctionOpts{ID: "fails", Retries: &one}, a.fails},
		{inngestgo.FunctionOpts{ID: "stepfails", Retries: &zero}, a.stepFails},
		{inngestgo.FunctionOpts{ID: "wobbly", Retries: &one}, a.wobbly},
		{inngestgo.FunctionOpts{ID: "waits"}, a.waits},
		{inngestgo.FunctionOpts{ID: "many"}, a.many},
		{inngestgo.FunctionOpts{ID: "echo"}, a.echo},
		{inngestgo.FunctionOpts{ID: "batch", BatchEvents: &inngestgo.ConfigBatchEvents{MaxSize: 5, Timeout: 2 * time.Second}}, a.batch},
	} {
		trigger := inngestgo.EventTrigger(a.prefix+f.opts.ID, nil)
		if _, err := inngestgo.CreateFunction(a.client, f.opts, trigger, f.run); err != nil {
			return err
		}
	}
	return nil
}

// run is one step of a function, reported when its code runs.
func run[T any](ctx context.Context, a app, in input, function, id string, code func() (T, error)) (T, error) {
	return step.Run(ctx, id, func(context.Context) (T, error) {
		a.onStep(Step{Run: in.InputCtx.RunID, Function: function, Step: id, Attempt: in.InputCtx.Attempt})
		return code()
	})
}

// number is a step's code that returns n.
func number(n int) func() (int, error) { return func() (int, error) { return n, nil } }

func (a app) simple(_ context.Context, in input) (any, error) {
	return data{"ok": true, "n": in.Event.Data["n"]}, nil
}

// steps goes through every way of stopping and going on: two steps, a sleep, an
// event sent, one waited for, another function.
func (a app) steps(ctx context.Context, in input) (any, error) {
	one, err := run(ctx, a, in, "steps", "a", number(1))
	if err != nil {
		return nil, err
	}
	two, err := run(ctx, a, in, "steps", "b", number(one+1))
	if err != nil {
		return nil, err
	}
	step.Sleep(ctx, "zzz", time.Second)
	if _, err := step.Send(ctx, "send", inngestgo.Event{Name: a.prefix + "other", Data: data{"from": "steps"}}); err != nil {
		return nil, err
	}
	approval, err := step.WaitForEvent[data](ctx, "wait", step.WaitForEventOpts{Event: a.prefix + "approve", Timeout: time.Hour})
	if err != nil {
		return nil, err
	}
	invoked, err := step.Invoke[data](ctx, "inv", step.InvokeOpts{FunctionId: a.id + "-simple", Data: data{"n": 9}})
	if err != nil {
		return nil, err
	}
	return data{"a": one, "b": two, "w": approval["name"], "inv": invoked}, nil
}

// text carries characters that Go escapes in JSON and others do not.
func (a app) text(ctx context.Context, in input) (any, error) {
	first, err := run(ctx, a, in, "text", "a", func() (string, error) { return "é<>&", nil })
	if err != nil {
		return nil, err
	}
	step.Sleep(ctx, "nap", time.Second)
	return run(ctx, a, in, "text", "b", func() (string, error) { return first + "!", nil })
}

func (a app) parallel(ctx context.Context, in input) (any, error) {
	square := func(id string, n int) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return run(ctx, a, in, "parallel", id, number(n*n))
		}
	}
	results := group.Parallel(ctx, square("p1", 1), square("p2", 2), square("p3", 3), square("p4", 4))
	if err := results.AnyError(); err != nil {
		return nil, err
	}
	var squares []any
	for _, r := range results {
		squares = append(squares, r.Value)
	}
	return squares, nil
}

func (a app) nonRetriable(context.Context, input) (any, error) {
	return nil, sdkerrors.NoRetryError(errors.New("nope"))
}

// retryAfter asks for its second attempt at a time and returns which one it is.
func (a app) retryAfter(_ context.Context, in input) (any, error) {
	if in.InputCtx.Attempt == 0 {
		return nil, sdkerrors.RetryAtError(errors.New("later"), time.Now().Add(2*time.Second))
	}
	return in.InputCtx.Attempt, nil
}

func (a app) fails(context.Context, input) (any, error) {
	return nil, errors.New("boom")
}

func (a app) stepFails(ctx context.Context, in input) (any, error) {
	return run(ctx, a, in, "stepfails", "bad", func() (string, error) { return "", errors.New("no way") })
}

// wobbly has a step that fails once.
func (a app) wobbly(ctx context.Context, in input) (any, error) {
	return run(ctx, a, in, "wobbly", "wobble", func() (string, error) {
		if in.InputCtx.Attempt == 0 {
			return "", errors.New("wobble")
		}
		return "steady", nil
	})
}

// waits is not sent what it waits for.
func (a app) waits(ctx context.Context, _ input) (any, error) {
	_, err := step.WaitForEvent[data](ctx, "wait", step.WaitForEventOpts{Event: a.prefix + "never", Timeout: time.Second})
	if errors.Is(err, step.ErrEventNotReceived) {
		return nil, nil
	}
	return nil, err
}

// many has ten steps in a row: where a step is lost or runs twice, it shows.
func (a app) many(ctx context.Context, in input) (any, error) {
	sum := 0
	for i := range 10 {
		n, err := run(ctx, a, in, "many", string(rune('a'+i)), number(i))
		if err != nil {
			return nil, err
		}
		sum += n
	}
	return sum, nil
}

// echo returns as many bytes as it is asked for.
func (a app) echo(_ context.Context, in input) (any, error) {
	size, _ := in.Event.Data["size"].(float64)
	return data{"filler": strings.Repeat("x", int(size))}, nil
}

func (a app) batch(_ context.Context, in input) (any, error) {
	return len(in.Events), nil
}
