package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// A phase is one step of going away. Each has its own limit, one log line and
// one gauge; a phase that overruns does not keep the next from its turn.
type phase struct {
	name  string
	limit time.Duration // > 0
	do    func(context.Context) error
}

// runPhases runs the phases in order and returns what went wrong in them. A
// phase may ignore its context: it is then left behind when its limit is over,
// since a process that is going away must get there.
func runPhases(phases []phase, log *slog.Logger, m *metrics.Lifecycle) error {
	var failures []error
	for _, p := range phases {
		started := time.Now()
		err := runPhase(p)
		took := time.Since(started)
		m.PhaseSeconds.WithLabelValues(p.name).Set(took.Seconds())
		if err != nil {
			log.Error("stop phase failed", "phase", p.name, "took", took, "err", err)
			failures = append(failures, fmt.Errorf("%s: %w", p.name, err))
			continue
		}
		log.Info("stop phase done", "phase", p.name, "took", took)
	}
	return errors.Join(failures...)
}

func runPhase(p phase) error {
	// The context of the process has ended already: that is why we stop.
	ctx, cancel := context.WithTimeout(context.Background(), p.limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// One that watches its context says itself what was left undone.
		select {
		case err := <-done:
			return err
		case <-time.After(100 * time.Millisecond):
			return fmt.Errorf("not done after %s", p.limit)
		}
	}
}
