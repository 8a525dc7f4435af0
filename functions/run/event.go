package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// IdentifyEvents makes events ready to be sent by a step: one event or a list
// becomes a list, and what has no id gets one of run, step and place. A step
// whose answer was lost sends its events again, and the server then starts no
// function twice for one id.
func IdentifyEvents(events json.RawMessage, runID, stepID string) (json.RawMessage, error) {
	list, err := eventList(events)
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		var name, id string
		if json.Unmarshal(e["name"], &name) != nil || name == "" {
			return nil, fmt.Errorf("event %d has no name", i+1)
		}
		if given, ok := e["id"]; ok && (json.Unmarshal(given, &id) != nil || id != "") {
			continue // its own; one that is no text is refused where all events are
		}
		if e["id"], err = json.Marshal(runID + "-" + stepID + "-" + strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return encode(list)
}

func eventList(events json.RawMessage) ([]map[string]json.RawMessage, error) {
	events = bytes.TrimSpace(events)
	if len(events) > 0 && events[0] == '{' {
		var one map[string]json.RawMessage
		if err := json.Unmarshal(events, &one); err != nil {
			return nil, fmt.Errorf("the event is no JSON object: %w", err)
		}
		return []map[string]json.RawMessage{one}, nil
	}
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(events, &list); err != nil {
		return nil, fmt.Errorf("neither an event nor a list of events: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("no event to send")
	}
	if len(list) > inngest.MaxEventsPerRequest {
		return nil, fmt.Errorf("%d events, the limit of one step is %d", len(list), inngest.MaxEventsPerRequest)
	}
	for i, e := range list {
		if e == nil {
			return nil, fmt.Errorf("event %d is no object", i+1)
		}
	}
	return list, nil
}

// encode writes JSON with "<" and "&" as they are.
func encode(v any) (json.RawMessage, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
