package functions

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// fail answers with a failure of the function itself.
func (x *exchange) fail(f *run.Failure) *call.Answer {
	f = x.attempted(f)
	x.note(f, "")
	status := http.StatusInternalServerError
	if f.NoRetry {
		status = http.StatusBadRequest
	}
	return x.host.fail(status, f)
}

// stepFailed answers with a step that failed: StepError while the server may
// try it again, StepFailed for the function to see.
func (x *exchange) stepFailed(op inngest.GeneratorOp, f *run.Failure) (*call.Answer, string) {
	f = x.attempted(f)
	x.note(f, op.DisplayName)
	op.Op, op.Error = inngest.OpStepError, userError(f)
	outcome := "error"
	if f.NoRetry || x.lastAttempt() {
		op.Op, outcome = inngest.OpStepFailed, "failed"
	}
	x.countStep(inngest.OpStepRun, outcome)
	a, err := x.host.steps([]inngest.GeneratorOp{op})
	if err != nil { // the error's data is no JSON
		op.Error.Data = nil
		if a, err = x.host.steps([]inngest.GeneratorOp{op}); err != nil {
			return x.fail(run.Invalid("The error of step %q cannot be written as JSON: %v.", op.DisplayName, err)), callFailed
		}
	}
	said := *f
	said.NoRetry = op.Op == inngest.OpStepFailed
	setRetry(a, &said)
	return a, callFailed
}

// attempted adds to a failure what depends on the attempt.
func (x *exchange) attempted(f *run.Failure) *run.Failure {
	told := *f
	switch {
	case told.NoRetry || x.run == nil:
	case x.lastAttempt():
		told.Code = inngest.CodeFunctionRetriesExhausted
	case told.RetryAfter == 0 && told.Code == inngest.CodeFunctionWebhook && x.host.opts.RetryAfter != nil:
		told.RetryAfter = x.host.opts.RetryAfter(x.run.Attempt, x.run.MaxAttempts)
	}
	return &told
}

func (x *exchange) lastAttempt() bool { return x.run.Attempt+1 >= x.run.MaxAttempts }

// note logs a failure: never its message, which is a backend's and may hold
// what is not for everybody.
func (x *exchange) note(f *run.Failure, step string) {
	x.failed = f
	args := []any{"app", x.host.opts.App, "function", x.function.Config.ID, "name", f.Name, "code", string(f.Code), "retry", !f.NoRetry}
	if x.run != nil {
		args = append(args, "run", x.run.ID, "attempt", x.run.Attempt)
	}
	if step != "" {
		args = append(args, "step", step)
	}
	x.host.opts.Log.Warn("function failed", args...)
}

// sentence makes the text of an error one.
func sentence(err error) string {
	text := err.Error()
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[n:], ".") + "."
}

// final makes a failure that another attempt would not cure.
func final(f *run.Failure) *run.Failure {
	f.NoRetry = true
	return f
}

// userError is a failure as Inngest keeps and shows it.
func userError(f *run.Failure) *inngest.UserError {
	return &inngest.UserError{Name: f.Name, Message: f.Message, Stack: f.Stack, Data: f.Data, Serialized: true}
}
