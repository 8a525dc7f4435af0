package devserver

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// An event as the server keeps it. It is never changed once stored.
type event struct {
	internal string // the id that the sender was told; the order of arrival
	id       string // its own id, or the internal one
	name     string
	data     map[string]any
	user     map[string]any
	ts       int64
	version  string
	sessions map[string]string
	received time.Time
}

// stored is the shape in which events are listed by /batch and by
// inngest/function.failed: an empty user is left out (recordings 64, 106).
func (e *event) stored() map[string]any {
	m := map[string]any{"name": e.name, "data": e.data, "id": e.id, "ts": e.ts}
	if len(e.user) > 0 {
		m["user"] = e.user
	}
	if e.version != "" {
		m["v"] = e.version
	}
	if len(e.sessions) > 0 {
		m["meta"] = map[string]any{"sessions": e.sessions}
	}
	return m
}

// inCall is the shape in which a call request carries it: user is always there.
func (e *event) inCall() map[string]any {
	m := e.stored()
	if m["user"] == nil {
		m["user"] = map[string]any{}
	}
	return m
}

// meta returns data._inngest, the server's own notes in events of its making.
func (e *event) meta(key string) string {
	m, _ := e.data["_inngest"].(map[string]any)
	s, _ := m[key].(string)
	return s
}

// newID makes an id whose time is the scheduler's.
func (s *Server) newID() string {
	return ulid.MustNew(ulid.Timestamp(s.opts.Clock.Now()), ulid.DefaultEntropy()).String()
}

// marshal is json.Marshal for values that always can be: maps and slices of
// decoded JSON, and our own structs.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("devserver: marshal %T: %v", v, err))
	}
	return b
}
