package devserver

import (
	"context"
	"sync"
	"time"
)

// A StepEvent tells an observer that something happened to a run.
type StepEvent struct {
	At       time.Time
	Run      string
	Function string // slug
	App      string
	Step     string // name as the program has it; empty for the function itself
	StepID   string // hashed
	Op       string // opcode, or RunStarted, RunCompleted, RunFailed, RunCancelled, Error
	Attempt  int
	Duration time.Duration // of the call that brought it
	Error    string
}

// watch hands step events to the observer, one at a time and in order, outside
// of the server's lock.
type watch struct {
	observer func(StepEvent)
	mu       sync.Mutex
	waiting  []StepEvent
	more     chan struct{}
}

func newWatch(observer func(StepEvent)) *watch {
	return &watch{observer: observer, more: make(chan struct{}, 1)}
}

func (w *watch) tell(e StepEvent) {
	if w.observer == nil {
		return
	}
	w.mu.Lock()
	w.waiting = append(w.waiting, e)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends, and then what was told before.
func (w *watch) run(ctx context.Context) {
	for {
		w.deliver()
		select {
		case <-ctx.Done():
			w.deliver()
			return
		case <-w.more:
		}
	}
}

func (w *watch) deliver() {
	w.mu.Lock()
	batch := w.waiting
	w.waiting = nil
	w.mu.Unlock()
	for _, e := range batch {
		w.observer(e)
	}
}
