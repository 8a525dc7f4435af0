package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A run is one call of a program: what is known of its steps, and what this
// call is to do. The program runs from the start at each call; a step that is
// known returns at once, and the first one that is not ends the call with an
// error that the program passes on. See [step].
type run struct {
	event       event
	memo        map[string]json.RawMessage // finished steps by hashed id
	attempt     int
	maxAttempts int
	target      string         // hashed id of the only step to run; "" for the next one
	planOnly    bool           // report steps, do not run them
	uses        map[string]int // how often each step id was met
}

// An event is what started the run.
type event struct {
	Name string         `json:"name"`
	ID   string         `json:"id"`
	Data map[string]any `json:"data"`
	TS   int64          `json:"ts"`
}

// An op tells the server what the call did or wants.
type op struct {
	ID          string            `json:"id"`
	Op          string            `json:"op"`
	Name        string            `json:"name"`
	DisplayName string            `json:"displayName"`
	Opts        map[string]any    `json:"opts"`
	Userland    map[string]string `json:"userland"`
	Data        any               `json:"data"`
	Error       *failure          `json:"error,omitempty"`
}

// A failure is an error as the protocol carries it.
type failure struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// Error makes the failure of a known step an error that the program can catch.
func (f *failure) Error() string { return f.Message }

// yield ends a call early. Programs pass it on like any error.
type yield struct {
	ops     []op
	retryIn time.Duration // of a failed step; 0: the server decides
}

func (y *yield) Error() string { return fmt.Sprintf("the call ends with %d ops", len(y.ops)) }

// retryAfter is an error that says when to try again.
type retryAfter struct {
	error
	in time.Duration
}

// A task is a step of a parallel group.
type task struct {
	id  string
	run func(context.Context) (any, error)
}

// step runs f once in the life of a run and returns what it returned.
func step[T any](ctx context.Context, r *run, id string, f func(context.Context) (T, error)) (T, error) {
	var out T
	known, err := r.do(ctx, id, func(ctx context.Context) (any, error) { return f(ctx) })
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(known, &out); err != nil {
		return out, fmt.Errorf("step %q: read what it returned: %w", id, err)
	}
	return out, nil
}

// do returns the data of a finished step, or runs or plans it.
func (r *run) do(ctx context.Context, id string, f func(context.Context) (any, error)) (json.RawMessage, error) {
	hash := r.hash(id)
	if memo, ok := r.memo[hash]; ok {
		return unwrap(memo)
	}
	switch {
	case r.target == hash, r.target == "" && !r.planOnly:
		return nil, r.execute(ctx, hash, id, f)
	case r.target == "":
		return nil, &yield{ops: []op{newOp(hash, "StepPlanned", id)}}
	}
	return nil, errMissing
}

// errMissing is for a call for a step that the program has not.
var errMissing = errors.New("the program has no such step")

// execute runs a step and reports it.
func (r *run) execute(ctx context.Context, hash, id string, f func(context.Context) (any, error)) error {
	data, err := f(ctx)
	o := newOp(hash, "StepRun", id)
	if err == nil {
		o.Data = data
		return &yield{ops: []op{o}}
	}
	y := &yield{}
	o.Op, o.Error = "StepError", &failure{"Error", err.Error()}
	if r.attempt+1 >= r.maxAttempts {
		o.Op = "StepFailed"
	}
	var again retryAfter
	if errors.As(err, &again) {
		y.retryIn = again.in
	}
	y.ops = []op{o}
	return y
}

// all runs tasks in parallel: it reports those that are not known, and the
// server calls once for each of them.
func (r *run) all(ctx context.Context, tasks ...task) ([]any, error) {
	results := make([]any, len(tasks))
	var missing []op
	for i, t := range tasks {
		hash := r.hash(t.id)
		memo, ok := r.memo[hash]
		if !ok && r.target == hash {
			return nil, r.execute(ctx, hash, t.id, t.run)
		}
		if !ok {
			missing = append(missing, newOp(hash, "StepPlanned", t.id))
			continue
		}
		data, err := unwrap(memo)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &results[i]); err != nil {
			return nil, fmt.Errorf("step %q: read what it returned: %w", t.id, err)
		}
	}
	switch {
	case len(missing) > 0 && r.target != "":
		return nil, errMissing
	case len(missing) > 0:
		return nil, &yield{ops: missing}
	}
	return results, nil
}

// sleep has the server wait; the step is null when it is over.
func (r *run) sleep(id string, d time.Duration) error {
	hash := r.hash(id)
	if _, over := r.memo[hash]; over {
		return nil
	}
	if r.target != "" {
		return errMissing
	}
	o := newOp(hash, "Sleep", d.String())
	o.DisplayName, o.Userland["id"] = id, id
	return &yield{ops: []op{o}}
}

// hash is the id that server and memo know a step by. The n-th use of an id,
// from the second on, counts as another step.
func (r *run) hash(id string) string {
	n := r.uses[id]
	r.uses[id]++
	return inngest.HashStepID(id, n)
}

func newOp(hash, kind, name string) op {
	return op{ID: hash, Op: kind, Name: name, DisplayName: name, Opts: map[string]any{}, Userland: map[string]string{"id": name}}
}

// unwrap reads a memoised step: data, an error, or null.
func unwrap(memo json.RawMessage) (json.RawMessage, error) {
	var w struct {
		Data  json.RawMessage `json:"data"`
		Error *failure        `json:"error"`
	}
	if err := json.Unmarshal(memo, &w); err != nil {
		return nil, fmt.Errorf("read a finished step: %w", err)
	}
	if w.Error != nil {
		return nil, w.Error
	}
	if w.Data == nil {
		return json.RawMessage("null"), nil
	}
	return w.Data, nil
}
