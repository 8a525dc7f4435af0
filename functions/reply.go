package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/functions/run"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// maxStepID is how many bytes a step's id may have.
const maxStepID = 200

// A reply is what the backend of a conversation answers to a question: Steps
// or, if they are nil, Return.
type reply struct {
	Return json.RawMessage
	Steps  []wantedStep
}

// A wantedStep is one step of a reply.
type wantedStep struct {
	ID            string          `json:"id"`
	Run           json.RawMessage `json:"run"`
	Sleep         json.RawMessage `json:"sleep"`
	SleepUntil    json.RawMessage `json:"sleepUntil"`
	WaitForEvent  json.RawMessage `json:"waitForEvent"`
	WaitForSignal json.RawMessage `json:"waitForSignal"`
	Invoke        json.RawMessage `json:"invoke"`
	SendEvent     json.RawMessage `json:"sendEvent"`
	Fetch         json.RawMessage `json:"fetch"`
	AI            json.RawMessage `json:"ai"`
}

// kinds are the members of which a step has exactly one.
const kinds = "run, sleep, sleepUntil, waitForEvent, waitForSignal, invoke, sendEvent, fetch, ai"

// parseReply reads an answer. What it does not know it refuses: a misspelt
// member would otherwise be a step that is never made.
func parseReply(body json.RawMessage) (*reply, *run.Failure) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, run.Invalid(`The backend's answer is no JSON object: a conversation answers {"return":…} or {"steps":[…]}.`)
	}
	result, returns := members["return"]
	steps, goesOn := members["steps"]
	switch {
	case returns == goesOn || len(members) > 1:
		return nil, run.Invalid(`The backend's answer must have exactly one member, "return" or "steps"; it has %s.`, membersOf(members))
	case returns:
		return &reply{Return: result}, nil
	}
	r := &reply{}
	if err := strict(steps, &r.Steps); err != nil {
		return nil, run.Invalid("The steps in the backend's answer cannot be read: %v.", err)
	}
	if len(r.Steps) == 0 {
		return nil, run.Invalid(`The backend's answer has no steps; a function that has ended answers {"return":…}.`)
	}
	seen := make(map[string]bool, len(r.Steps))
	for i := range r.Steps {
		id := r.Steps[i].ID
		switch {
		case id == "" || len(id) > maxStepID:
			return nil, run.Invalid("The step %d in the backend's answer must have an id of 1 to %d bytes.", i+1, maxStepID)
		case seen[id]:
			return nil, run.Invalid("The backend's answer has two steps with the id %q.", id)
		}
		seen[id] = true
	}
	return r, nil
}

func membersOf(members map[string]json.RawMessage) string {
	if len(members) == 0 {
		return "none"
	}
	var names []string
	for _, name := range []string{"return", "steps"} {
		if _, ok := members[name]; ok {
			names = append(names, name)
			delete(members, name)
		}
	}
	if len(members) > 0 {
		names = append(names, fmt.Sprintf("%d others", len(members)))
	}
	return strings.Join(names, ", ")
}

// strict reads JSON and refuses members that are not known.
func strict(text json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func ids(steps []wantedStep) []string {
	out := make([]string, len(steps))
	for i := range steps {
		out[i] = steps[i].ID
	}
	return out
}

// step makes the step that is wanted.
func (w *wantedStep) step(hash string) (run.Step, error) {
	s := run.Step{ID: hash, Name: w.ID}
	found := 0
	var err error
	for _, kind := range []struct {
		value json.RawMessage
		read  func(*run.Step, json.RawMessage) error
	}{
		{w.Run, w.asRun}, {w.Sleep, asSleep}, {w.SleepUntil, asSleepUntil}, {w.WaitForEvent, asWaitForEvent},
		{w.WaitForSignal, asWaitForSignal}, {w.Invoke, asInvoke}, {w.SendEvent, w.asSendEvent}, {w.Fetch, asFetch}, {w.AI, asAI},
	} {
		if kind.value != nil {
			found++
			err = errors.Join(err, kind.read(&s, kind.value))
		}
	}
	if found != 1 {
		return s, fmt.Errorf("it has %d of %s, and must have one", found, kinds)
	}
	return s, err
}

// asRun is a step that the backend makes. Its input is shown in the trace, where
// somebody may run it again with another one.
func (w *wantedStep) asRun(s *run.Step, value json.RawMessage) error {
	input, err := encode([]json.RawMessage{value})
	s.Op, s.Opts, s.Own = inngest.OpStepRun, inngest.RunOpts{Input: input}, &ownStep{id: w.ID, input: value}
	return err
}

func (w *wantedStep) asSendEvent(s *run.Step, value json.RawMessage) error {
	if _, err := run.IdentifyEvents(value, "", ""); err != nil {
		return err
	}
	s.Op, s.Text = inngest.OpStepRun, "sendEvent"
	s.Opts, s.Own = inngest.RunOpts{Type: "step.sendEvent"}, &ownStep{id: w.ID, events: value}
	return nil
}

func asSleep(s *run.Step, value json.RawMessage) error {
	s.Op = inngest.OpSleep
	return readDuration(value, &s.Text)
}

func asSleepUntil(s *run.Step, value json.RawMessage) error {
	s.Op = inngest.OpSleep
	if err := json.Unmarshal(value, &s.Text); err != nil {
		return errors.New("sleepUntil is no text")
	}
	if _, err := time.Parse(time.RFC3339Nano, s.Text); err != nil {
		return fmt.Errorf("sleepUntil is %.60q, must be a time as 2027-01-31T09:00:00Z", s.Text)
	}
	return nil
}

func readDuration(value json.RawMessage, into *string) error {
	if err := json.Unmarshal(value, into); err != nil {
		return errors.New(`a length of time is a text as "1h30m"`)
	}
	return checkDuration(*into)
}

func checkDuration(text string) error {
	d, err := inngest.ParseDuration(text)
	if err != nil {
		return err
	}
	if d > inngest.MaxWait {
		return fmt.Errorf("%s is longer than 366 days", text)
	}
	return nil
}

func asWaitForEvent(s *run.Step, value json.RawMessage) error {
	var o inngest.WaitForEventOpts
	if err := strict(value, &o); err != nil {
		return fmt.Errorf("waitForEvent: %w", err)
	}
	if o.Event == "" {
		return errors.New("waitForEvent has no event")
	}
	s.Op, s.Text, s.Opts = inngest.OpWaitForEvent, o.Event, o
	return checkTimeout("waitForEvent", o.Timeout)
}

func checkTimeout(kind, text string) error {
	if text == "" {
		return fmt.Errorf("%s has no timeout", kind)
	}
	if err := checkDuration(text); err != nil {
		return fmt.Errorf("%s: timeout: %w", kind, err)
	}
	return nil
}

func asWaitForSignal(s *run.Step, value json.RawMessage) error {
	var o struct {
		Signal     string `json:"signal"`
		Timeout    string `json:"timeout"`
		OnConflict string `json:"onConflict"`
	}
	if err := strict(value, &o); err != nil {
		return fmt.Errorf("waitForSignal: %w", err)
	}
	if o.OnConflict == "" {
		o.OnConflict = inngest.ConflictFail
	}
	switch {
	case o.Signal == "":
		return errors.New("waitForSignal has no signal")
	case o.OnConflict != inngest.ConflictFail && o.OnConflict != inngest.ConflictReplace:
		return fmt.Errorf("waitForSignal: onConflict is %.40q, must be fail or replace", o.OnConflict)
	}
	s.Op, s.Text = inngest.OpWaitForSignal, o.Signal
	s.Opts = inngest.WaitForSignalOpts{Signal: o.Signal, Timeout: o.Timeout, Conflict: o.OnConflict}
	return checkTimeout("waitForSignal", o.Timeout)
}

func asInvoke(s *run.Step, value json.RawMessage) error {
	var o struct {
		Function string          `json:"function"`
		Data     json.RawMessage `json:"data"`
		User     json.RawMessage `json:"user"`
		Timeout  string          `json:"timeout"`
	}
	if err := strict(value, &o); err != nil {
		return fmt.Errorf("invoke: %w", err)
	}
	if o.Function == "" {
		return errors.New("invoke has no function: the id of its app, \"-\", and its own id")
	}
	if o.Data != nil && !isObject(o.Data) {
		return errors.New("invoke: data must be an object, it becomes the data of an event")
	}
	s.Op = inngest.OpInvokeFunction
	s.Opts = inngest.InvokeOpts{
		FunctionID: o.Function, Payload: inngest.InvokePayload{Data: o.Data, User: o.User}, Timeout: o.Timeout,
	}
	if o.Timeout == "" {
		return nil
	}
	return checkTimeout("invoke", o.Timeout)
}

func isObject(text json.RawMessage) bool {
	text = bytes.TrimSpace(text)
	return len(text) > 0 && text[0] == '{' || string(text) == "null"
}

func asFetch(s *run.Step, value json.RawMessage) error {
	var o struct {
		URL     string            `json:"url"`
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	if err := strict(value, &o); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	if !isURL(o.URL) {
		return errors.New("fetch: url must begin with http:// or https://")
	}
	body := string(o.Body)
	if text := ""; len(o.Body) > 0 && json.Unmarshal(o.Body, &text) == nil {
		body = text // null is no body
	}
	s.Op = inngest.OpGateway
	s.Opts = inngest.GatewayOpts{URL: o.URL, Method: o.Method, Headers: o.Headers, Body: body}
	return nil
}

func asAI(s *run.Step, value json.RawMessage) error {
	var o struct {
		URL     string            `json:"url"`
		Format  string            `json:"format"`
		AuthKey string            `json:"authKey"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
	}
	if err := strict(value, &o); err != nil {
		return fmt.Errorf("ai: %w", err)
	}
	switch {
	case !isURL(o.URL):
		return errors.New("ai: url must begin with http:// or https://")
	case o.Format == "":
		return errors.New("ai has no format, as openai-chat")
	case !isObject(o.Body):
		return errors.New("ai: body must be an object")
	}
	s.Op = inngest.OpAIGateway
	s.Opts = inngest.AIGatewayOpts{
		Type: "step.ai.infer", URL: o.URL, Headers: o.Headers, AuthKey: o.AuthKey, Format: o.Format, Body: o.Body,
	}
	return nil
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}
