package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// meta reads an event's meta. A value that the server cannot decode is an error
// at once, wherever it stands. What its sessions break is noted in broken: only
// the last meta of an event counts there.
func (r *Reader) meta(s *scanner, c byte, broken **Error) bool {
	from := s.at
	switch c {
	case 'n':
		*broken = nil
		return s.scalar()
	case '{':
	default:
		return s.wrongType("meta", "an object", c)
	}
	if r.plainMeta(s) {
		*broken = nil
		return true
	}
	s.at, s.err = from, nil
	if !s.skip(1) {
		return false
	}
	layers, err := readLayers(s.text[from:s.at])
	if err != nil {
		s.err = err
		return false
	}
	*broken = r.judgeSessions(layers)
	return true
}

// plainMeta passes over a meta that is certainly valid, which is nearly every
// one: few sessions, each with a key and an id of proper length. Of anything
// else, wrong or just unusual, it says false, and others look closely.
func (r *Reader) plainMeta(s *scanner) bool {
	for name, more := s.open(); more; name, more = s.next() {
		ok := false
		switch known, c := metaMember(name), s.peek(); {
		case known == memberOther:
			ok = s.skip(2)
		case c == 'n':
			ok = s.scalar()
		case c == '{':
			ok = r.plainSessions(s, known == memberSessions)
		}
		if !ok {
			return false
		}
	}
	return s.err == nil
}

// plainSessions passes over one layer of sessions that is certainly valid. Only
// the manual layer may hold nulls and is counted: the other fills what is left.
func (r *Reader) plainSessions(s *scanner, manual bool) bool {
	n := 0
	for key, more := s.open(); more; key, more = s.next() {
		if n++; manual && n > r.limits.Sessions || !plainText(key, r.limits.SessionKeyLen) {
			return false
		}
		c := s.peek()
		from := s.at
		switch {
		case c == '"':
			if !s.string() || !plainText(s.text[from+1:s.at-1], r.limits.SessionIDLen) {
				return false
			}
		case c == 'n' && manual:
			if !s.scalar() {
				return false
			}
		case c != '-' && (c < '0' || c > '9') || !s.scalar() || s.at-from > r.limits.SessionIDLen:
			return false
		}
	}
	return s.err == nil
}

// plainText tells whether a string has 1 to most bytes. Decoding makes none
// longer but one that is no UTF-8.
func plainText(inside []byte, most int) bool {
	return len(inside) > 0 && len(inside) <= most && utf8.Valid(inside)
}

// layers are an event's sessions before the server merges them.
type layers struct {
	manual     map[string]string
	cut        map[string]bool // keys that are null in the manual layer: not inherited
	cutAll     bool            // the manual layer is null
	propagated map[string]string
}

// propagated is the layer that SDKs add. Each occurrence must be readable, also
// one that a later one replaces.
type propagated map[string]string

// UnmarshalJSON reads sessions without nulls.
func (p *propagated) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = nil
		return nil
	}
	ids, nulls, err := readSessions(text)
	if err == nil && len(nulls) > 0 {
		err = errors.New("must be a string or number, not null")
	}
	*p = ids
	return err
}

// readLayers decodes a meta with the server's decoder.
func readLayers(text []byte) (layers, *Error) {
	var meta struct {
		Sessions   json.RawMessage `json:"sessions"`
		Propagated propagated      `json:"propagated_sessions"`
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return layers{}, eventError("meta.propagated_sessions", RuleType, "event sessions: %s", err)
	}
	l := layers{propagated: meta.Propagated}
	switch string(meta.Sessions) {
	case "":
	case "null":
		l.cutAll = true
	default:
		var err error
		if l.manual, l.cut, err = readSessions(meta.Sessions); err != nil {
			return layers{}, eventError("meta.sessions", RuleType, "event sessions: %s", err)
		}
	}
	return l, nil
}

// readSessions decodes one layer: the ids by key, and the keys that are null.
func readSessions(text []byte) (ids map[string]string, nulls map[string]bool, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var values map[string]any
	if dec.Decode(&values) != nil {
		return nil, nil, fmt.Errorf("must be an object, not %s", kindOf(text[0]))
	}
	ids, nulls = map[string]string{}, map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch v := values[key].(type) {
		case nil:
			nulls[key] = true
		case string:
			ids[key] = v
		case json.Number:
			ids[key] = v.String()
		default:
			return nil, nil, fmt.Errorf("%q must be a string, number, or null", shorten([]byte(key)))
		}
	}
	return ids, nulls, nil
}

// judgeSessions merges the layers as the server does, which lets the inherited
// sessions fill what the manual ones leave of five, in the order of their keys,
// and checks what comes out.
func (r *Reader) judgeSessions(l layers) *Error {
	const field = "meta.sessions"
	if len(l.manual) > r.limits.Sessions {
		return eventError(field, RuleSessions, "event sessions can include at most %d entries", r.limits.Sessions)
	}
	merged := maps.Clone(l.manual)
	if merged == nil {
		merged = map[string]string{}
	}
	if !l.cutAll {
		for _, key := range slices.Sorted(maps.Keys(l.propagated)) {
			if _, manual := merged[key]; manual || l.cut[key] {
				continue
			}
			if len(merged) >= inngest.MaxSessions {
				break
			}
			merged[key] = l.propagated[key]
		}
	}
	for _, key := range slices.Sorted(maps.Keys(merged)) {
		switch id, shown := merged[key], shorten([]byte(key)); {
		case key == "":
			return eventError(field, RuleSessions, "event session keys cannot be empty")
		case len(key) > r.limits.SessionKeyLen:
			return eventError(field, RuleSessions, "event session key %q exceeds %d bytes", shown, r.limits.SessionKeyLen)
		case id == "":
			return eventError(field, RuleSessions, "event session %q cannot have an empty ID", shown)
		case len(id) > r.limits.SessionIDLen:
			return eventError(field, RuleSessions, "event session %q exceeds %d bytes", shown, r.limits.SessionIDLen)
		}
	}
	return nil
}
