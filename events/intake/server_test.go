package intake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// serverEvent decodes into the same types, under the same names, as the server
// does.
type serverEvent struct {
	ID   string         `json:"id"`
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
	TS   int64          `json:"ts"`
	V    string         `json:"v"`
	Meta serverMeta     `json:"meta"`
	User map[string]any `json:"user"`

	raw []byte
}

type serverMeta struct {
	manual     map[string]string
	nulls      []string
	allNull    bool
	propagated map[string]string
}

func (m *serverMeta) UnmarshalJSON(text []byte) error {
	var raw struct {
		Sessions   json.RawMessage  `json:"sessions"`
		Propagated serverPropagated `json:"propagated_sessions"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*m = serverMeta{propagated: raw.Propagated}
	if len(raw.Sessions) == 0 {
		return nil
	}
	if m.allNull = string(raw.Sessions) == "null"; m.allNull {
		return nil
	}
	var err error
	m.manual, m.nulls, err = serverSessions(raw.Sessions)
	return err
}

type serverPropagated map[string]string

func (p *serverPropagated) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = nil
		return nil
	}
	ids, nulls, err := serverSessions(text)
	if err == nil && len(nulls) > 0 {
		return errors.New("a null is no session")
	}
	*p = ids
	return err
}

func serverSessions(text []byte) (ids map[string]string, nulls []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	values := map[string]any{}
	if err := dec.Decode(&values); err != nil {
		return nil, nil, err
	}
	ids = map[string]string{}
	for key, value := range values {
		switch v := value.(type) {
		case string:
			ids[key] = v
		case json.Number:
			ids[key] = string(v)
		case nil:
			nulls = append(nulls, key)
		default:
			return nil, nil, errors.New("no session")
		}
	}
	return ids, nulls, nil
}

// check is the server's validation of sessions after it merged the layers.
func (m serverMeta) check() error {
	inherited := maps.Clone(m.propagated)
	if m.allNull {
		inherited = nil
	}
	for _, key := range m.nulls {
		delete(inherited, key)
	}
	merged := maps.Clone(m.manual)
	if merged == nil {
		merged = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(inherited)) {
		if _, ok := merged[key]; !ok && len(merged) < 5 {
			merged[key] = inherited[key]
		}
	}
	if len(merged) > 5 {
		return errors.New("too many sessions")
	}
	for key, id := range merged {
		if key == "" || id == "" || len(key) > 128 || len(id) > 512 {
			return errors.New("bad session")
		}
	}
	return nil
}

func (e serverEvent) check() error {
	switch {
	case len(e.raw) > 3<<20:
		return errors.New("too large")
	case strings.HasPrefix(strings.ToLower(e.Name), "inngest/"):
		return errors.New("reserved")
	case e.Name == "":
		return errors.New("no name")
	}
	if at := time.Unix(0, e.TS*1_000_000); e.TS != 0 &&
		(at.Before(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) || at.After(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))) {
		return errors.New("timestamp")
	}
	return e.Meta.check()
}

// serverReads is what the server does with a body that is no form: it splits a
// stream of tokens, then decodes and checks each event.
func serverReads(body []byte) ([]serverEvent, error) {
	raws, err := serverSplits(body)
	if err != nil {
		return nil, err
	}
	events := make([]serverEvent, len(raws))
	for i, raw := range raws {
		e := &events[i]
		if err := json.Unmarshal(raw, e); err != nil {
			return nil, err
		}
		e.raw = raw
		if err := e.check(); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func serverSplits(body []byte) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	token, err := dec.Token()
	if err == io.EOF {
		return nil, nil
	}
	switch token {
	case json.Delim('{'):
		return []json.RawMessage{bytes.TrimLeft(body, " \t\r\n")}, nil
	case json.Delim('['):
	default:
		return nil, errors.New("no event")
	}
	var raws []json.RawMessage
	for dec.More() {
		if len(raws) == 5000 {
			return nil, errors.New("too many events")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("element %d: %w", len(raws), err)
		}
		raws = append(raws, raw)
	}
	return raws, nil
}
