package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/functions/run"
)

// A Scope says where a program stands.
type Scope struct {
	Path string // of the list of steps, first in the path of each problem: functions[1].steps
	App  string // id of the app that the function belongs to, for invoke without app
}

// A Problem is one thing wrong with a program.
type Problem struct {
	Path string // functions[1].steps[2].then[0].post
	Got  string // what stands there
	Want string // what would be accepted, in words
}

// String returns the problem as one line.
func (p Problem) String() string {
	if p.Got == "" {
		return fmt.Sprintf("%s: %s", p.Path, p.Want)
	}
	return fmt.Sprintf("%s: %s; got %s", p.Path, p.Want, p.Got)
}

// Problems is everything wrong with a program.
type Problems []Problem

// Error returns the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// A Program is a compiled list of steps. It never changes.
type Program struct{}

// Compile compiles a list of steps: what a YAML decoder makes of it, []any of
// map[string]any. It reaches nothing. If there is a problem, the program is nil.
func Compile(source any, s Scope) (*Program, Problems) {
	return nil, Problems{{Path: s.Path, Want: "a list of steps"}}
}

// Origins returns scheme://host of every backend that the program calls, each
// once, in order.
func (p *Program) Origins() []string { return nil }

// Options says what a Driver reaches.
type Options struct {
	// Call makes a call to the backend with that origin (one of
	// [Program.Origins]), as pool.Upstream.Do does.
	Call func(ctx context.Context, origin string, c *call.Call) (*call.Answer, error)
	// Send sends events, a JSON array, and returns their ids, a JSON array. A
	// *run.Failure as its error is the step's failure as it stands.
	Send func(ctx context.Context, events json.RawMessage) (ids json.RawMessage, err error)
	// Sign returns the signature of a body for X-Inngest-Signature; nil: calls
	// to backends are not signed.
	Sign func(body []byte) []byte
	// Secret resolves "env:NAME" and "file:PATH" where they are the whole value
	// of a header or of an ai key. Nil: such a value fails its step.
	Secret func(reference string) (string, error)

	Timeout time.Duration // of an HTTP step that sets none, > 0
	Limits  Limits
}

// Limits bound what one run of a program does. All are > 0.
type Limits struct {
	Steps  int // steps of a run; the server takes 1000
	Moves  int // statements that one interpretation executes, loops counted each time round
	Bytes  int // of one value as JSON: a step's result, a variable, a request body, the function's result
	Expr   int // cost of one evaluation of an expression
	Events int // of one sendEvent
}

// A Driver runs a program. It implements run.Driver.
type Driver struct{}

// Driver returns a driver of the program.
func (p *Program) Driver(o Options) (*Driver, error) { return nil, errors.ErrUnsupported }

// Advance interprets the program from its start over what the run's steps have
// given, and returns what it wants next.
func (d *Driver) Advance(ctx context.Context, r *run.Run) run.Outcome { return run.Outcome{} }

// Execute runs a step that Advance has found: an HTTP step or a sendEvent.
func (d *Driver) Execute(ctx context.Context, r *run.Run, s *run.Step, input json.RawMessage) run.Result {
	return run.Result{}
}
