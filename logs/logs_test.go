package logs

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func newHandler(t *testing.T, o Options) (*Handler, prometheus.Counter) {
	t.Helper()
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
	o.Dropped = dropped
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Start()
	return h, dropped
}

func TestHandler_writesEveryLineBeforeCloseReturns(t *testing.T) {
	var out bytes.Buffer
	h, dropped := newHandler(t, Options{Writer: &out, Format: JSON, Buffer: 1000})
	log := slog.New(h).With("app", "shop")
	for i := range 500 {
		log.Info("call", "n", i)
	}
	log.Debug("not asked for")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 500 || !strings.Contains(lines[499], `"app":"shop","n":499`) {
		t.Errorf("%d lines, last %q; want 500 in order", len(lines), lines[len(lines)-1])
	}
	if n := testutil.ToFloat64(dropped); n != 0 {
		t.Errorf("dropped = %v, want 0", n)
	}
}

func TestHandler_writesTheUnitOfDurationsIntoTheirNames(t *testing.T) {
	var out bytes.Buffer
	h, _ := newHandler(t, Options{Writer: &out, Format: JSON, Buffer: 4})
	slog.New(h).Info("call", "total", 1500*time.Millisecond)
	h.Close()
	if !strings.Contains(out.String(), `"total_seconds":1.5`) {
		t.Errorf("line = %s, want total_seconds 1.5", out.String())
	}
}

// stuck is an output that takes nothing until it is released.
type stuck struct {
	entered chan struct{}
	release chan struct{}
	once    sync.Once
	got     bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.release
	return s.got.Write(b)
}

func TestHandler_dropsAndCountsWhatFindsNoRoom(t *testing.T) {
	out := &stuck{entered: make(chan struct{}), release: make(chan struct{})}
	h, dropped := newHandler(t, Options{Writer: out, Format: Text, Buffer: 10})
	log := slog.New(h)
	log.Info("taken by the writer")
	<-out.entered
	for i := range 25 {
		log.Info("line", "n", i) // must not block
	}
	close(out.release)
	h.Close()
	if n := testutil.ToFloat64(dropped); n != 15 {
		t.Errorf("dropped = %v, want 15: 25 lines and room for 10", n)
	}
	if n := strings.Count(out.got.String(), "\n"); n != 11 {
		t.Errorf("%d lines were written, want 11", n)
	}
}

func TestHandler_takesLinesWhileAndAfterItCloses(t *testing.T) {
	var out bytes.Buffer
	h, dropped := newHandler(t, Options{Writer: &out, Format: JSON, Buffer: 4})
	log := slog.New(h)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				log.Info("line", "from", i, "n", j)
			}
		})
	}
	h.Close()
	wg.Wait()
	h.Close()
	written := strings.Count(out.String(), "\n")
	if got := testutil.ToFloat64(dropped) + float64(written); got != 400 {
		t.Errorf("written + dropped = %v, want 400", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestHandler_tellsAtCloseThatTheOutputIsBroken(t *testing.T) {
	h, dropped := newHandler(t, Options{Writer: broken{}, Format: JSON, Buffer: 4})
	slog.New(h).Info("line")
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close = %v, want the output's error", err)
	}
	if n := testutil.ToFloat64(dropped); n != 1 {
		t.Errorf("dropped = %v, want 1", n)
	}
}

func TestHandler_closesWithoutEverHavingStarted(t *testing.T) {
	var out bytes.Buffer
	h, err := New(Options{Writer: &out, Format: JSON, Level: slog.LevelInfo, Buffer: 4,
		Dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})})
	if err != nil {
		t.Fatal(err)
	}
	slog.New(h).Error("cannot start")
	if err := h.Close(); err != nil || !strings.Contains(out.String(), "cannot start") {
		t.Errorf("Close = %v with output %q, want the line that waited", err, out.String())
	}
}

func TestNew_refusesWhatIsMissing(t *testing.T) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "dropped"})
	for name, o := range map[string]Options{
		"no writer":      {Format: JSON, Level: slog.LevelInfo, Buffer: 1, Dropped: counter},
		"no buffer":      {Writer: &bytes.Buffer{}, Format: JSON, Level: slog.LevelInfo, Dropped: counter},
		"unknown format": {Writer: &bytes.Buffer{}, Format: "xml", Level: slog.LevelInfo, Buffer: 1, Dropped: counter},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Errorf("New(%+v) = nil error", o)
			}
		})
	}
}
