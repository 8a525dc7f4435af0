package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Conversation is a function with steps whose backend has no SDK: the gateway
// asks what comes next, the backend answers, and nothing is kept between two
// questions.
//
// # The question
//
// The gateway POSTs to the one address of the function:
//
//	{"event":{…},"events":[…],
//	 "ctx":{"runId":"01M…","functionId":"shop-order","attempt":0,"maxAttempts":4},
//	 "steps":{"charge":{"data":{"id":7}}, "ship":{"error":{"name":"HTTP 502","message":"…"}}}}
//
// steps holds what has ended, by the ids that the backend chose: data is the
// result of a step, null for a sleep that is over and for a wait that ran into
// its timeout; error is why a step failed for good. The backend answers 200 and
// one of two things.
//
//	{"return": …}       the function has ended; any JSON
//	{"steps": [ … ]}    what to do next
//
// Steps in one answer run in parallel. Steps that have ended may be listed
// again beside others, and are passed over; at least one must be new.
//
// # Steps
//
// Each has an id, a text of at most 200 bytes that is unique in the run, and
// exactly one of:
//
//	"run": …                                          the backend makes it, see below; any JSON, for the backend alone
//	"sleep": "5m"                                     numbers with w, d, h, m, s, ms
//	"sleepUntil": "2027-01-31T09:00:00Z"              RFC 3339
//	"waitForEvent": {"event":"order.approved", "timeout":"24h", "if":"async.data.id == event.data.id"}
//	                                                  data: the event, or null after the timeout
//	"waitForSignal": {"signal":"order-7", "timeout":"24h", "onConflict":"fail"}
//	                                                  onConflict: fail (also if absent) or replace
//	"invoke": {"function":"shop-refund", "data":{…}, "timeout":"1h"}
//	                                                  data: what that function returned
//	"sendEvent": {"name":"order.paid", "data":{…}}    or a list of events; data: {"ids":[…]}
//	"fetch": {"url":"https://…", "method":"POST", "headers":{…}, "body":…}
//	                                                  Inngest's server makes the request; data: {"status_code","headers","body","url"}
//	"ai": {"url":"https://…", "format":"openai-chat", "authKey":"…", "headers":{…}, "body":{…}}
//	                                                  Inngest's server asks the model; data: its answer
//
// # Running a step
//
// A step with run is made by the backend: the gateway POSTs the same again, to
// the same address, with two more members:
//
//	{"event":…, "events":…, "ctx":…, "steps":…, "run":"charge", "input": …}
//
// run is the step's id, input what the answer had under run. What the backend
// answers to it is the step's result or error, by the table of all backends (see
// the package's documentation): any JSON with 200, a status of 400 or more for
// an error. Each attempt is counted for the step; when none is left, or the
// error is not to be retried, the error is in steps of the next question, and
// the backend may do something else.
//
// When somebody runs a step again with another input, input is that one.
//
// # What the backend must hold
//
//   - A question has no side effects: it may come any number of times, and with
//     fewer steps than there are. Only requests with run do something.
//   - The same event and the same steps give the same answer.
//   - A run request may come twice if an answer was lost: Idempotency-Key is the
//     same for both. Questions have none.
//
// A question that is answered with a status of 400 or more fails the function,
// by the same table.
//
// # Why a question may have fewer steps
//
// Inngest carries the hash of a step's id. The gateway remembers the ids behind
// the hashes that it has seen. After a restart it learns them anew: it asks with
// the steps that it knows, and where the answer names one that has ended, it
// asks again with that one too.
type Conversation struct {
	backend Backend
	send    func(ctx context.Context, events json.RawMessage) (ids json.RawMessage, err error)
	names   names
}

// ConversationOptions configures a Conversation.
type ConversationOptions struct {
	Backend Backend

	// Send sends a list of events for sendEvent and returns their ids as a JSON
	// list. An error may be a [*run.Failure].
	Send func(ctx context.Context, events json.RawMessage) (ids json.RawMessage, err error)
}

// NewConversation builds a conversation.
func NewConversation(o ConversationOptions) (*Conversation, error) {
	if err := o.Backend.check(); err != nil {
		return nil, err
	}
	if o.Send == nil {
		return nil, errors.New("conversation: Send is missing")
	}
	return &Conversation{backend: o.Backend, send: o.Send}, nil
}

// A question is what the backend is asked; with Run and Input, to make a step.
type question struct {
	Event  json.RawMessage `json:"event"`
	Events json.RawMessage `json:"events"`
	Ctx    runContext      `json:"ctx"`
	Steps  map[string]told `json:"steps"`
	Run    string          `json:"run,omitempty"`
	Input  json.RawMessage `json:"input,omitempty"`
}

// told is what the backend is told of a step that has ended.
type told struct {
	Data  json.RawMessage `json:"data,omitempty"`
	Error *run.Failure    `json:"error,omitempty"`
}

func tell(m run.Memoised) told {
	if m.Error != nil {
		return told{Error: m.Error}
	}
	return told{Data: orNull(m.Data)}
}

// Advance asks what comes next. It asks again while the answer names steps that
// have ended and that the question did not tell: see the type's documentation.
func (c *Conversation) Advance(ctx context.Context, r *run.Run) run.Outcome {
	known := c.known(r)
	for {
		reply, failure := c.ask(ctx, r, known)
		if failure != nil {
			return run.Outcome{Failure: failure}
		}
		if reply.Steps == nil {
			return run.Outcome{Data: reply.Return}
		}
		steps, learnt, failure := c.sort(r, reply.Steps, known)
		switch {
		case failure != nil:
			return run.Outcome{Failure: failure}
		case learnt > 0:
			continue
		case len(steps) == 0:
			return run.Outcome{Failure: run.Invalid("The backend asks for steps that have ended, %s, and for no other.", strings.Join(ids(reply.Steps), ", "))}
		}
		return run.Outcome{Steps: steps}
	}
}

// known returns what has ended, by the ids that are remembered.
func (c *Conversation) known(r *run.Run) map[string]told {
	known := make(map[string]told, len(r.Memo))
	for hash, m := range r.Memo {
		if !m.Done {
			continue
		}
		if id, ok := c.names.of(hash); ok {
			known[id] = tell(m)
		}
	}
	return known
}

// ask puts the question and reads the answer.
func (c *Conversation) ask(ctx context.Context, r *run.Run, known map[string]told) (*reply, *run.Failure) {
	body, err := encode(question{Event: r.Event, Events: r.Events, Ctx: contextOf(r), Steps: known})
	if err != nil {
		return nil, run.Invalid("The question cannot be written as JSON: %v.", err)
	}
	result := c.backend.post(ctx, r, "", body)
	if result.Failure != nil {
		return nil, result.Failure
	}
	return parseReply(result.Data)
}

// sort tells the new steps of an answer from those that have ended. Those that
// the question did not tell are added to known and counted.
func (c *Conversation) sort(r *run.Run, wanted []wantedStep, known map[string]told) (steps []run.Step, learnt int, failure *run.Failure) {
	for i := range wanted {
		w := &wanted[i]
		hash := inngest.HashStepID(w.ID, 0)
		c.names.learn(hash, w.ID)
		m := r.Memo[hash]
		if !m.Done {
			step, err := w.step(hash)
			if err != nil {
				return nil, 0, run.Invalid("The backend's step %q cannot be done: %v.", w.ID, err)
			}
			if wait, ok := step.Opts.(inngest.WaitForEventOpts); ok {
				wait.If = run.Matchable(wait.If, r.Event)
				step.Opts = wait
			}
			steps = append(steps, step)
			continue
		}
		if _, ok := known[w.ID]; !ok {
			known[w.ID] = tell(m)
			learnt++
		}
	}
	for i := range steps {
		if o, ok := steps[i].Own.(*ownStep); ok {
			o.known = known
		}
	}
	return steps, learnt, nil
}

// An ownStep is what Execute needs of a step.
type ownStep struct {
	id     string
	input  json.RawMessage
	events json.RawMessage // of sendEvent
	known  map[string]told
}

// Execute has the backend make a step, or sends events.
func (c *Conversation) Execute(ctx context.Context, r *run.Run, s *run.Step, input json.RawMessage) run.Result {
	own, ok := s.Own.(*ownStep)
	if !ok {
		return run.Result{Failure: run.Invalid("The step %q is not the backend's to make.", s.Name)}
	}
	given := own.input
	if own.events != nil {
		given = own.events
	}
	if input != nil {
		given = argument(input)
	}
	if own.events != nil {
		return c.sendEvents(ctx, r, s, given)
	}
	body, err := encode(question{
		Event: r.Event, Events: r.Events, Ctx: contextOf(r), Steps: own.known, Run: own.id, Input: given,
	})
	if err != nil {
		return run.Result{Failure: run.Invalid("The request for step %q cannot be written as JSON: %v.", s.Name, err)}
	}
	return c.backend.post(ctx, r, r.ID+"/"+own.id, body)
}

// argument returns what a step is to run with, of the list of arguments that a
// rerun gives: a step of a conversation has one.
func argument(input json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(input, &list) != nil {
		return input
	}
	if len(list) == 0 {
		return json.RawMessage("null")
	}
	return list[0]
}

func (c *Conversation) sendEvents(ctx context.Context, r *run.Run, s *run.Step, events json.RawMessage) run.Result {
	ready, err := run.IdentifyEvents(events, r.ID, s.ID)
	if err != nil {
		return run.Result{Failure: final(run.Invalid("The step %q sends no events: %v.", s.Name, err))}
	}
	sent, err := c.send(ctx, ready)
	var failure *run.Failure
	switch {
	case errors.As(err, &failure):
		return run.Result{Failure: failure}
	case err != nil:
		return run.Result{Failure: &run.Failure{Name: "EventError", Message: "The events were not sent.", Code: inngest.CodeFunctionEvent}}
	}
	data, err := encode(struct {
		IDs json.RawMessage `json:"ids"`
	}{orNull(sent)})
	if err != nil {
		return run.Result{Failure: &run.Failure{
			Name: "EventError", Message: fmt.Sprintf("The ids of the sent events cannot be read: %v.", err), Code: inngest.CodeFunctionEvent,
		}}
	}
	return run.Result{Data: data}
}
