package gateway

import (
	"context"
	"time"
)

// backlogWait bounds how long /status waits for the spool's server.
const backlogWait = time.Second

// eventStatus is the event plane, for people and pages.
type eventStatus struct {
	Mode         string             `json:"mode"`
	MemoryBytes  int64              `json:"memory_bytes"` // of events without an outcome
	MemoryLimit  int64              `json:"memory_limit_bytes"`
	Destinations []eventDestination `json:"destinations,omitempty"` // with something on its way
	Spool        *spoolStatus       `json:"spool,omitempty"`
}

// eventDestination is one event key in one environment and branch.
type eventDestination struct {
	Environment string `json:"environment,omitempty"`
	Branch      string `json:"branch,omitempty"`
	KeyID       string `json:"key_id"` // names the key and does not give it away
	Gathering   int    `json:"gathering_events"`
	Waiting     int    `json:"waiting_batches"`
	InFlight    int    `json:"in_flight_batches"`
	MaxBytes    int    `json:"max_batch_bytes"`
}

type spoolStatus struct {
	Open           bool      `json:"open"`
	Records        int64     `json:"records"`
	Events         int64     `json:"events"`
	Bytes          int64     `json:"bytes"`
	Oldest         time.Time `json:"oldest,omitzero"`
	SetBackRecords int       `json:"set_back_records"` // get no clear answer while others are taken
	SetBackEvents  int       `json:"set_back_events"`
	DeadLetters    int64     `json:"dead_letters"`
	DeadBytes      int64     `json:"dead_letter_bytes"`
	DamagedFiles   int64     `json:"damaged_files"` // since the start; copies are in state_dir/spool/aside
	DamagedRecords int64     `json:"damaged_records"`
	Expired        int64     `json:"expired_records"`
	Error          string    `json:"error,omitempty"` // why the rest is not known
}

func (g *Gateway) eventStatus() eventStatus {
	now := g.events.Status()
	s := eventStatus{Mode: string(now.Mode), MemoryBytes: now.Memory, MemoryLimit: now.MaxMemory, Spool: g.spoolStatus()}
	for _, d := range now.Destinations {
		s.Destinations = append(s.Destinations, eventDestination{
			Environment: d.Environment, Branch: d.Branch, KeyID: d.KeyID, Gathering: d.Gathering, Waiting: d.Waiting, InFlight: d.Running, MaxBytes: d.MaxBytes,
		})
	}
	return s
}

// spoolStatus returns nil where there is no spool.
func (g *Gateway) spoolStatus() *spoolStatus {
	if g.spool == nil {
		return nil
	}
	stats := g.spool.Stats()
	s := &spoolStatus{
		Open: g.spoolOpen.Load(), DamagedFiles: stats.DamagedFiles, DamagedRecords: stats.DamagedRecords, Expired: stats.Expired,
	}
	drained := g.drainer.Status()
	s.SetBackRecords, s.SetBackEvents = drained.SetBackRecords, drained.SetBackEvents
	if !s.Open {
		s.Error = "not open yet; see the log"
		return s
	}
	// Status has no context: it is for every part of the process.
	ctx, cancel := context.WithTimeout(context.Background(), backlogWait)
	defer cancel()
	b, err := g.spool.Backlog(ctx)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Records, s.Events, s.Bytes, s.Oldest = b.Records, b.Events, b.Bytes, b.Oldest
	s.DeadLetters, s.DeadBytes = b.DeadLetters, b.DeadBytes
	return s
}
