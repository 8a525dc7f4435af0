package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/inngest-gateway/inngest-gateway/functions/expr"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// An interpretation is one walk through the program over what the run has done.
// It begins at the first statement each time and depends on nothing but the
// run's events and memo: the order in which parallel steps ended makes no
// difference.
type interpretation struct {
	ctx     context.Context
	run     *run.Run
	limits  Limits
	pending []run.Step
	seen    map[string]*step // by hashed id: which statement has it
	counts  map[occurrence]int
	moves   int
	read    *reading
}

// A reading is what of a run has been parsed. It may be kept for as long as the
// Run is the same, and it may be lost: events and results of steps never change.
type reading struct {
	event, events expr.Value
	results       map[string]expr.Value // by hashed id
}

func readingOf(r *run.Run) *reading {
	read, ok := r.Own.(*reading)
	if !ok {
		read = &reading{expr.Raw(r.Event), expr.Raw(r.Events), map[string]expr.Value{}}
		r.Own = read
	}
	return read
}

// An occurrence is what the repetitions of an id are counted by. Iterations of
// a parallel loop have counts of their own: which of them comes first to a step
// depends on time.
type occurrence struct {
	step *step
	id   string
	path string
}

// A frame is what names stand for at one place.
type frame struct {
	vars  *expr.Vars
	steps *expr.Names
	set   *expr.Names
	path  []int // numbers of the iterations of parallel loops around the place
}

// What became of a block or a statement.
type state int

const (
	passed   state = iota // go on with what follows
	waiting               // steps are to be done first
	returned              // the function has its value
	failed                // may be caught
	stopped               // cannot be caught: a bound was passed
)

type flow struct {
	state   state
	value   json.RawMessage
	failure *run.Failure
}

func fail(f *run.Failure) flow { return flow{state: failed, failure: f} }

// stop ends the run: what made it stop would only come again.
func stop(format string, args ...any) flow {
	f := run.Invalid(format, args...)
	f.Name, f.NoRetry = "LimitError", true
	return flow{state: stopped, failure: f}
}

func tooLong(l Limits) flow {
	return stop("The function executes more than %d statements to find what comes next: its loops are too long.", l.Moves)
}

// frame returns the outermost frame.
func (i *interpretation) frame() *frame {
	vars := expr.NewVars(expr.NewMeter(maxTotalCost)).With("event", i.read.event).With("events", i.read.events).
		With("ctx", expr.Object(map[string]expr.Value{
			"runId":       expr.String(i.run.ID),
			"functionId":  expr.String(i.run.Function),
			"attempt":     expr.Int(i.run.Attempt),
			"maxAttempts": expr.Int(i.run.MaxAttempts),
		}))
	return (&frame{vars: vars}).fork()
}

// fork returns a frame whose steps and variables do not show in the one that it
// is made of.
func (f *frame) fork() *frame {
	in := f.forkSteps()
	in.set = expr.NewNames(f.set)
	in.vars = in.vars.With("vars", in.set.Value())
	return in
}

// forkSteps returns a frame that shares the variables, not the steps.
func (f *frame) forkSteps() *frame {
	in := *f
	in.steps = expr.NewNames(f.steps)
	in.vars = in.vars.With("steps", in.steps.Value())
	return &in
}

func (f *frame) with(name string, v expr.Value) *frame {
	in := *f
	in.vars = in.vars.With(name, v)
	return &in
}

func (b block) run(i *interpretation, f *frame) flow {
	for _, s := range b {
		if i.moves++; i.moves > i.limits.Moves {
			return tooLong(i.limits)
		}
		if out := s.run(i, f); out.state != passed {
			return out
		}
	}
	return flow{}
}

// A step is a statement that Inngest keeps the result of.
type step struct {
	at     string
	id     *expr.Template
	as     string // name in steps; may be empty
	loops  bool   // stands in a sequential loop, however far out
	action action
}

// An action is what a kind of step does.
type action interface {
	// want makes the step, all but its ids. It is called until the step is done.
	want(i *interpretation, f *frame, id string) (run.Step, error)
	// value makes what expressions see of what the step has given.
	value(data json.RawMessage) (expr.Value, *run.Failure)
}

func (s *step) run(i *interpretation, f *frame) flow {
	id, says, out := s.identify(i, f)
	if out.state != passed {
		return out
	}
	hash := inngest.HashStepID(says.ID, says.Index)
	memo := i.run.Memo[hash]
	switch {
	case !memo.Done:
		want, err := s.action.want(i, f, hash)
		if err != nil {
			return i.evaluated(s.at, err)
		}
		want.ID, want.Name, want.Userland = hash, id, says
		i.pending = append(i.pending, want)
		return flow{state: waiting}
	case memo.Error != nil:
		failure := *memo.Error
		failure.NoRetry, failure.RetryAfter, failure.Code = true, 0, "" // it was tried as often as it may be
		return fail(&failure)
	}
	value, ok := i.read.results[hash]
	if !ok {
		var failure *run.Failure
		if value, failure = s.action.value(memo.Data); failure != nil {
			return fail(failure)
		}
		i.read.results[hash] = value
	}
	if s.as != "" {
		f.steps.Set(s.as, value)
	}
	return flow{}
}

// identify returns the step's id, and what the hash is of that Inngest knows it
// by.
func (s *step) identify(i *interpretation, f *frame) (id string, says inngest.Userland, out flow) {
	id, err := s.id.Text(i.ctx, f.vars, i.limits.Bytes)
	if err != nil {
		return "", says, i.evaluated(s.at+".id", err)
	}
	if id == "" || len(id) > maxIDLength || ambiguous(id) {
		return "", says, i.evaluated(s.at+".id", fmt.Errorf("%q is no id: want 1 to %d bytes that do not end in a colon and digits", shorten(id), maxIDLength))
	}
	numbers := f.path
	if s.loops {
		key := occurrence{s, id, fmt.Sprint(f.path)}
		numbers = append(slices.Clone(f.path), i.counts[key])
		i.counts[key]++
	}
	says = repeated(id, numbers)
	hash := inngest.HashStepID(says.ID, says.Index)
	if other := i.seen[hash]; other != nil {
		return "", says, stop("The steps at %s and %s have the same id %q.", other.at, s.at, id)
	}
	i.seen[hash] = s
	if len(i.seen) > i.limits.Steps {
		return "", says, stop("The run has more than %d steps.", i.limits.Steps)
	}
	return id, says, flow{}
}

// repeated returns how an id is told that may be repeated: numbers are those of the
// iterations of parallel loops and, within sequential ones, the count of the id.
// One number makes what SDKs make of repeated ids: id, id:1, id:2. More are
// needed where loops are nested; all but the last then stand in the id itself.
func repeated(id string, numbers []int) inngest.Userland {
	if len(numbers) == 0 {
		return inngest.Userland{ID: id}
	}
	last := len(numbers) - 1
	for _, number := range numbers[:last] {
		id += ":" + strconv.Itoa(number)
	}
	return inngest.Userland{ID: id, Index: numbers[last]}
}

// ambiguous tells whether an id ends as those of repeated steps do.
func ambiguous(id string) bool {
	end := len(id)
	for end > 0 && id[end-1] >= '0' && id[end-1] <= '9' {
		end--
	}
	return end < len(id) && end > 0 && id[end-1] == ':'
}

// evaluated makes a flow of what went wrong with an expression.
func (i *interpretation) evaluated(at string, err error) flow {
	if i.ctx.Err() != nil {
		return flow{state: stopped, failure: &run.Failure{
			Name: "Canceled", Message: "The call ended before the function could go on.", Code: inngest.CodeFunctionRuntime,
		}}
	}
	var failure *run.Failure
	if errors.As(err, &failure) {
		return fail(failure)
	}
	failure = &run.Failure{Name: "ExpressionError", Message: at + ": " + err.Error(), NoRetry: true, Code: inngest.CodeFunctionRuntime}
	failure.Stack = stackOf(failure, at)
	var wrong *expr.EvalError
	if errors.As(err, &wrong) && wrong.Limit {
		failure.Name = "LimitError"
		return flow{state: stopped, failure: failure}
	}
	return fail(failure)
}

// stackOf says where in the program something failed.
func stackOf(f *run.Failure, at string) string { return f.Error() + "\n    at " + at }
