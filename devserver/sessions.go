package devserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// eventMeta is an event's "meta": the sessions that its sender set, where null
// takes an inherited one away, and those it inherited.
type eventMeta struct {
	own       map[string]string
	inherited map[string]string
	cut       []string // inherited keys that the sender set to null
	cutAll    bool     // "sessions": null
}

// UnmarshalJSON reads both layers. Numbers count as texts; anything else but
// null is refused.
func (m *eventMeta) UnmarshalJSON(b []byte) error {
	var raw struct {
		Sessions   json.RawMessage `json:"sessions"`
		Propagated json.RawMessage `json:"propagated_sessions"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*m = eventMeta{cutAll: string(raw.Sessions) == "null"}
	var err error
	if m.own, m.cut, err = readSessions(raw.Sessions, "a string, number, or null"); err != nil {
		return err
	}
	var nulls []string
	if m.inherited, nulls, err = readSessions(raw.Propagated, "a string or number"); err != nil {
		return err
	}
	if len(nulls) > 0 {
		return fmt.Errorf("event session %q must be a string or number", nulls[0])
	}
	return nil
}

func readSessions(raw json.RawMessage, want string) (set map[string]string, nulls []string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	values := map[string]any{}
	if err := d.Decode(&values); err != nil {
		return nil, nil, err
	}
	set = map[string]string{}
	for name, v := range values {
		switch v := v.(type) {
		case nil:
			nulls = append(nulls, name)
		case string:
			set[name] = v
		case json.Number:
			set[name] = v.String()
		default:
			return nil, nil, fmt.Errorf("event session %q must be %s", name, want)
		}
	}
	return set, nulls, nil
}

// merged is what counts: the sender's own, filled up to the limit with
// inherited ones that it did not cut, in the order of their keys.
func (m *eventMeta) merged() map[string]string {
	if m.cutAll || len(m.inherited) == 0 {
		return m.own
	}
	out := maps.Clone(m.own)
	if out == nil {
		out = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(m.inherited)) {
		if _, set := out[key]; set || len(out) >= inngest.MaxSessions || slices.Contains(m.cut, key) {
			continue
		}
		out[key] = m.inherited[key]
	}
	return out
}

// checkSessions holds what was merged to the limits.
func checkSessions(s map[string]string) error {
	if len(s) > inngest.MaxSessions {
		return fmt.Errorf("event sessions can include at most %d entries", inngest.MaxSessions)
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		switch id := s[key]; {
		case key == "":
			return errors.New("event session keys cannot be empty")
		case len(key) > inngest.MaxSessionKeyLen:
			return fmt.Errorf("event session key %q exceeds %d bytes", key, inngest.MaxSessionKeyLen)
		case id == "":
			return fmt.Errorf("event session %q cannot have an empty ID", key)
		case len(id) > inngest.MaxSessionIDLen:
			return fmt.Errorf("event session %q exceeds %d bytes", key, inngest.MaxSessionIDLen)
		}
	}
	return nil
}
