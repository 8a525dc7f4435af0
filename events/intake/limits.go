package intake

import (
	"fmt"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Limits bound a request. All are inclusive, and none but BodyBytes may be wider
// than the server's own: what passes here must not fail there.
type Limits struct {
	BodyBytes     int // of a request after inflating; the server has no such limit
	EventBytes    int // of one event's JSON
	Events        int // in one request
	NameLen       int // bytes of an event's name
	Sessions      int // in meta.sessions
	SessionKeyLen int // bytes
	SessionIDLen  int // bytes
}

// ServerLimits are the server's limits, with the given one for a whole body.
func ServerLimits(bodyBytes int) Limits {
	return Limits{
		BodyBytes:     bodyBytes,
		EventBytes:    inngest.MaxEventBytes,
		Events:        inngest.MaxEventsPerRequest,
		NameLen:       inngest.MaxEventNameLen,
		Sessions:      inngest.MaxSessions,
		SessionKeyLen: inngest.MaxSessionKeyLen,
		SessionIDLen:  inngest.MaxSessionIDLen,
	}
}

func (l Limits) check() error {
	if l.BodyBytes <= 0 {
		return fmt.Errorf("intake: limit BodyBytes is %d, want more than 0", l.BodyBytes)
	}
	server := ServerLimits(l.BodyBytes)
	for _, c := range [...]struct {
		name     string
		got, max int
	}{
		{"EventBytes", l.EventBytes, server.EventBytes},
		{"Events", l.Events, server.Events},
		{"NameLen", l.NameLen, server.NameLen},
		{"Sessions", l.Sessions, server.Sessions},
		{"SessionKeyLen", l.SessionKeyLen, server.SessionKeyLen},
		{"SessionIDLen", l.SessionIDLen, server.SessionIDLen},
	} {
		if c.got <= 0 || c.got > c.max {
			return fmt.Errorf("intake: limit %s is %d, want 1 to %d, the server's own", c.name, c.got, c.max)
		}
	}
	return nil
}
