package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/metrics"
)

func TestRunPhases_goOnAfterOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(prometheus.NewRegistry()).Lifecycle
		release := make(chan struct{})
		defer close(release)
		var order []string
		err := runPhases([]phase{
			{"quick", time.Second, func(context.Context) error { order = append(order, "quick"); return nil }},
			{"deaf", 5 * time.Second, func(context.Context) error { <-release; return nil }},
			{"broken", time.Second, func(context.Context) error { return errors.New("no disk") }},
			{"last", time.Second, func(context.Context) error { order = append(order, "last"); return nil }},
		}, slog.New(slog.DiscardHandler), m)

		if got := strings.Join(order, " "); got != "quick last" {
			t.Errorf("phases that ran to their end = %q, want %q", got, "quick last")
		}
		for _, want := range []string{"deaf: not done after 5s", "broken: no disk"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("runPhases = %v, want it to name %q", err, want)
			}
		}
		if got := testutil.ToFloat64(m.PhaseSeconds.WithLabelValues("deaf")); got < 5 || got > 5.2 {
			t.Errorf("phase_seconds{deaf} = %v, want about 5", got)
		}
	})
}

func TestRunPhases_tellsThePhaseWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New(prometheus.NewRegistry()).Lifecycle
		err := runPhases([]phase{{"calls", time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("3 calls cut")
		}}}, slog.New(slog.DiscardHandler), m)
		if err == nil || !strings.Contains(err.Error(), "calls: 3 calls cut") {
			t.Errorf("runPhases = %v, want what the phase said of itself", err)
		}
	})
}
