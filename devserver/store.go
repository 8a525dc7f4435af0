package devserver

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// store is everything the server remembers. All of it is behind Server.mu.
type store struct {
	apps   map[string]*app // by name
	runs   map[string]*run
	order  []*run // in order of creation
	events []*event
	byID   map[string][]*run // runs by internal event id

	counts map[string]*EventCount // by internal id
	totals EventTotals            // all but the POSTs, which outlive what is stored

	started map[string]map[string]time.Time // when an event, by its own id, triggered a function
	flow    flowState
	waits   waits
	jobs    map[string]*job // by queue item reference, for checkpoints
}

func newStore() store {
	return store{
		apps:    map[string]*app{},
		runs:    map[string]*run{},
		byID:    map[string][]*run{},
		counts:  map[string]*EventCount{},
		started: map[string]map[string]time.Time{},
		flow:    newFlowState(),
		waits:   newWaits(),
		jobs:    map[string]*job{},
	}
}

// trim forgets the oldest ended runs and the oldest events beyond what is to
// be kept. It does so a tenth at a time, so that it costs little.
func (st *store) trim(keep int) {
	if over := len(st.order) - keep; over > keep/10 {
		left := st.order[:0:0]
		for _, r := range st.order {
			if over > 0 && r.status.Ended() {
				over--
				delete(st.runs, r.id)
				for _, e := range r.events {
					delete(st.byID, e.internal)
				}
				continue
			}
			left = append(left, r)
		}
		st.order = left
	}
	if over := len(st.events) - 10*keep; over > keep {
		for _, e := range st.events[:over] {
			delete(st.started, e.id)
			delete(st.started, e.internal)
			delete(st.counts, e.internal)
		}
		st.events = slices.Clone(st.events[over:])
	}
}

// An app is what one registration told, the last one counts.
type app struct {
	id        string // UUID that the server derives from the name
	name      string
	url       string
	sdk       string
	framework string
	checksum  string
	synced    time.Time
	kind      string // how it came: register or in_band
	functions []*function
}

// A function as registered, with what the server derived.
type function struct {
	id      string // UUID
	slug    string
	name    string
	app     *app
	url     string // of its step
	retries int
	config  inngest.Function
	crons   []*timer
	version int
	durable bool // made for a durable endpoint, not registered
}

// Status of a run.
type Status string

// The states of a run.
const (
	Scheduled Status = "scheduled" // created, its first call has not begun
	Running   Status = "running"
	Completed Status = "completed"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended tells whether nothing more will happen to the run.
func (s Status) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// A run is one execution of a function.
type run struct {
	id     string
	fn     *function
	events []*event
	status Status

	steps   map[string]json.RawMessage // by hashed id; wrapped as the calls carry them
	inputs  map[string]json.RawMessage // changed inputs of steps to run again
	stack   []string                   // ids of finished steps in the order they finished
	racing  map[string]bool            // steps whose end is told at once, whatever is pending
	pending map[string]bool            // steps of a parallel plan that have not finished
	defers  map[string]*deferred
	seen    map[string]bool // keys of jobs that were queued: each is queued once
	jobs    map[*job]bool   // queued or being called

	version    int  // x-inngest-req-version, -1 until the app told it
	planOnly   bool // disable_immediate_execution
	stateBytes int

	created, began, ended time.Time
	output                json.RawMessage
	failure               json.RawMessage
	calls                 []Call
	timers                []*timer // timeouts of the run
	spans                 string   // id of the trace that tracestate refers to
	trace                 string
	durable               *durable
	done                  chan struct{} // closed at the end

	slots   []slot // concurrency limits that its calls count for
	counted bool   // an event from outside started it
}

// A job is one thing the queue calls an app for: to discover what comes next,
// or to run one planned step. Its attempts share its id.
type job struct {
	id         string
	ref        string // what checkpoints name it by
	run        *run
	after      string // step it follows; "" for the first
	step       string // planned step to run; "" for discovery
	stepName   string
	attempt    int
	generation int
	timer      *timer
	calling    bool
	sent       time.Time // when the running generation was dispatched
	held       bool      // holds its run's concurrency slots
}

// A Call is one line of a run's timeline: a call request and its answer, a
// checkpoint, or something that the server did.
type Call struct {
	At         time.Time `json:"at"`
	Ms         int64     `json:"ms"`
	Step       string    `json:"step,omitempty"` // name as the program has it
	StepID     string    `json:"stepId,omitempty"`
	Op         string    `json:"op,omitempty"`
	Attempt    int       `json:"attempt"`
	Generation int       `json:"generation,omitempty"`
	Status     int       `json:"status,omitempty"` // of the app's answer
	Error      string    `json:"error,omitempty"`
	Checkpoint bool      `json:"checkpoint,omitempty"` // the step was checkpointed while its call ran
}
