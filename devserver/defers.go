package devserver

import (
	"encoding/json"
	"errors"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// deferred is a run that is to start when this one has ended.
type deferred struct {
	slug    string
	input   json.RawMessage
	aborted bool
}

// errNotDeferred is an abort of what was never put off.
var errNotDeferred = errors.New("nothing was deferred under that id")

// deferral notes a DeferAdd or DeferAbort (recordings 79 to 81). A bad one is
// logged and nothing else: the op that it rides along with goes on.
func (s *Server) deferral(r *run, op *inngest.GeneratorOp) error {
	var err error
	if op.Op == inngest.OpDeferAdd {
		err = r.putOff(op)
	} else {
		err = r.abort(op)
	}
	if err != nil {
		s.log.Warn("deferral refused", "run", r.id, "step", titleOf(op), "op", op.Op, "err", err)
	}
	return nil
}

func (r *run) putOff(op *inngest.GeneratorOp) error {
	var opts inngest.DeferAddOpts
	if err := op.ParseOpts(&opts); err != nil {
		return err
	}
	var object map[string]any
	switch {
	case opts.FunctionSlug == "":
		return errors.New("no fn_slug")
	case json.Unmarshal(opts.Input, &object) != nil:
		return errors.New("the input is no JSON object")
	case len(r.defers) >= inngest.MaxDefersPerRun:
		return errors.New("a run may defer 20 others at most")
	}
	if r.defers[op.ID] == nil {
		r.defers[op.ID] = &deferred{slug: opts.FunctionSlug, input: opts.Input}
	}
	return nil
}

func (r *run) abort(op *inngest.GeneratorOp) error {
	var opts inngest.DeferAbortOpts
	if err := op.ParseOpts(&opts); err != nil {
		return err
	}
	d := r.defers[opts.TargetHashedID]
	if d == nil {
		return errNotDeferred
	}
	d.aborted = true
	return nil
}
