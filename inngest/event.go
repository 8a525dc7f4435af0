package inngest

import "encoding/json"

// An Event as it is sent to /e/{key} and as a call brings it to an app. Data
// and User are kept as they were written: integers beyond 2^53 survive.
type Event struct {
	Data json.RawMessage `json:"data,omitempty"` // an object if present
	ID   string          `json:"id,omitempty"`   // the sender's own id, else one from the server
	Meta json.RawMessage `json:"meta,omitempty"` // see EventMeta
	Name string          `json:"name"`
	TS   int64           `json:"ts,omitempty"` // Unix milliseconds; 0 means now
	User json.RawMessage `json:"user,omitempty"`
	V    string          `json:"v,omitempty"`
}

// EventMeta is what SDKs add to events by themselves. A null session is a
// tombstone, different from an absent one.
type EventMeta struct {
	Sessions           map[string]*string `json:"sessions,omitempty"`
	PropagatedSessions map[string]*string `json:"propagated_sessions,omitempty"`
}

// Bounds of the event API; all of them are inclusive.
const (
	MaxEventBytes        = 3 << 20
	MaxEventsPerRequest  = 5000
	MaxEventNameLen      = 512
	MaxTriggerEventLen   = 255
	MaxSessions          = 5
	MaxSessionKeyLen     = 128
	MaxSessionIDLen      = 512
	MinEventTS           = 315532800000  // 1980-01-01 in milliseconds
	MaxEventTS           = 4102444800000 // 2100-01-01 in milliseconds
	ReservedEventPrefix  = "inngest/"    // in any letter case
	ReservedEventDataKey = "_inngest"    // removed from data silently
)

// Events that the server makes.
const (
	EventFunctionFailed   = "inngest/function.failed"
	EventFunctionFinished = "inngest/function.finished"
	EventFunctionInvoked  = "inngest/function.invoked"
	EventScheduledTimer   = "inngest/scheduled.timer"
	EventDeferredSchedule = "inngest/deferred.schedule"
	EventHTTPRequest      = "inngest/http.request"
)

// An EventResult is the answer to a POST on /e/{key}. The n-th id belongs to
// the n-th event; on an error the events before the bad one were accepted.
type EventResult struct {
	IDs    []string `json:"ids"`
	Status int      `json:"status"`
	Error  string   `json:"error,omitempty"`
}

// A ServerError is how the server's other paths answer an error.
type ServerError struct {
	Message string          `json:"error"`
	Data    json.RawMessage `json:"data"`
	Status  int             `json:"status"`
}

// Error returns the server's message.
func (e *ServerError) Error() string { return e.Message }
