package functions

import (
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// stats counts a function's calls. They survive a Swap.
type stats struct {
	mu         sync.Mutex
	calls      int64
	failures   int64
	lastCall   time.Time
	lastError  string
	lastFailed time.Time
}

func (s *stats) count(x *exchange, a *call.Answer, at time.Time) {
	if a == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.lastCall = at
	if x.failed != nil {
		s.failures++
		s.lastError, s.lastFailed = x.failed.Name, at
	}
}

func (f *hosted) status() FunctionStatus {
	f.stats.mu.Lock()
	defer f.stats.mu.Unlock()
	return FunctionStatus{
		ID: f.Config.ID, Name: f.Config.Name, Kind: f.Kind, Triggers: f.Config.Triggers, Backends: f.Backends,
		Checkpoint: f.Checkpoint, Calls: f.stats.calls, Failures: f.stats.failures, LastCall: f.stats.lastCall,
		LastError: f.stats.lastError, LastFailed: f.stats.lastFailed,
	}
}
