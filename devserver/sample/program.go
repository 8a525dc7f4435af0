package sample

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A function is what the app offers: its triggers and the program that runs.
type function struct {
	id      string // without the app's id
	name    string
	event   string
	retries int
	program func(context.Context, *run) (any, error)
}

// functions are the three that this app has.
func functions() []function {
	return []function{
		{id: "hello", name: "Hello", event: "demo/hello", retries: 4, program: hello},
		{id: "parallel", name: "Parallel", event: "demo/parallel", retries: 4, program: parallel},
		{id: "flaky", name: "Fails once", event: "demo/flaky", retries: 2, program: flaky},
	}
}

// hello has two steps with a short sleep between.
func hello(ctx context.Context, r *run) (any, error) {
	name, _ := r.event.Data["name"].(string)
	if name == "" {
		name = "world"
	}
	greeting, err := step(ctx, r, "greet", func(context.Context) (string, error) {
		return "Hello, " + name, nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.sleep("pause", time.Second); err != nil {
		return nil, err
	}
	return step(ctx, r, "shout", func(context.Context) (map[string]string, error) {
		return map[string]string{"said": greeting + "!"}, nil
	})
}

// parallel squares three numbers at the same time and adds them up.
func parallel(ctx context.Context, r *run) (any, error) {
	square := func(n int) task {
		return task{fmt.Sprintf("square %d", n), func(context.Context) (any, error) { return n * n, nil }}
	}
	squares, err := r.all(ctx, square(2), square(3), square(4))
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, s := range squares {
		n, ok := s.(float64)
		if !ok {
			return nil, fmt.Errorf("a square is %v", s)
		}
		sum += n
	}
	return map[string]any{"squares": squares, "sum": sum}, nil
}

// errFirstTime is what flaky fails with at its first attempt.
var errFirstTime = errors.New("the first attempt always fails")

// flaky fails at its step's first attempt and asks to be called again soon.
func flaky(ctx context.Context, r *run) (any, error) {
	return step(ctx, r, "try", func(context.Context) (string, error) {
		if r.attempt == 0 {
			return "", retryAfter{errFirstTime, time.Second}
		}
		return fmt.Sprintf("worked at attempt %d", r.attempt+1), nil
	})
}
