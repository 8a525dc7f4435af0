package functions

import (
	"encoding/json"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Bounds of the server's.
const (
	maxStepOutput = 4 << 20 // bytes of a step's result
	maxSteps      = 1000    // of a run
)

// checkSteps refuses what would leave the run going round in circles, or make
// the server refuse the answer.
func (x *exchange) checkSteps(steps []run.Step) *run.Failure {
	if len(steps) > maxSteps {
		return run.Invalid("The function asks for %d steps at once, the limit is %d.", len(steps), maxSteps)
	}
	seen := make(map[string]bool, len(steps))
	for i := range steps {
		s := &steps[i]
		switch {
		case kindOf(s.Op) == kindOther:
			return run.Invalid("The step %q has the opcode %q, which a function cannot ask for.", s.Name, s.Op)
		case seen[s.ID]:
			return run.Invalid("The function asks for two steps with the id %q at once.", s.Name)
		case x.run.Memo[s.ID].Done:
			return run.Invalid("The function asks for the step %q, which has ended.", s.Name)
		}
		seen[s.ID] = true
		if _, err := optsOf(s); err != nil {
			return run.Invalid("The options of the step %q cannot be written as JSON: %v.", s.Name, err)
		}
	}
	return nil
}

// opOf makes the server's operation of a step whose options were checked.
func opOf(s *run.Step) inngest.GeneratorOp {
	userland := s.Userland
	if userland.ID == "" {
		userland.ID = s.Name
	}
	op := inngest.GeneratorOp{ID: s.ID, Op: s.Op, Name: s.Text, DisplayName: s.Name, Userland: &userland, Data: s.Data}
	op.Opts, _ = optsOf(s)
	if s.Op == inngest.OpStepRun && op.Name == "" {
		op.Name = s.Name
	}
	return op
}

func optsOf(s *run.Step) (json.RawMessage, error) {
	if s.Opts == nil {
		return nil, nil
	}
	return encode(s.Opts)
}

// inputOpts are the options of a step that runs with an altered input.
func inputOpts(input json.RawMessage) json.RawMessage {
	opts, err := encode(inngest.RunOpts{Input: input})
	if err != nil {
		return nil // it came as JSON
	}
	return opts
}

func orNull(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("null")
	}
	return data
}

// Kinds of steps, for the metric.
const (
	kindRun     = "run"
	kindPlanned = "planned"
	kindOther   = "other"
)

func kindOf(op inngest.Opcode) string {
	switch op {
	case inngest.OpStepRun:
		return kindRun
	case inngest.OpStepPlanned:
		return kindPlanned
	case inngest.OpSleep:
		return "sleep"
	case inngest.OpWaitForEvent:
		return "wait"
	case inngest.OpInvokeFunction:
		return "invoke"
	case inngest.OpWaitForSignal:
		return "signal"
	case inngest.OpGateway:
		return "fetch"
	case inngest.OpAIGateway:
		return "ai"
	}
	return kindOther
}

func (x *exchange) countStep(op inngest.Opcode, outcome string) {
	x.host.opts.Metrics.Steps.WithLabelValues(x.host.opts.App, x.function.Config.ID, kindOf(op), outcome).Inc()
}
