// Package logs writes log lines behind the work they tell of: a slow reader of
// the output costs lines, never calls. What is logged is for the packages that
// are given the logger. It is a package of its own because the composition
// root, the command line and tests all need it and none of them may import
// another.
package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/lmittmann/tint"
	"github.com/prometheus/client_golang/prometheus"
)

// Format is the form of a line.
type Format string

// The forms of lines.
const (
	JSON Format = "json" // for machines; durations are in seconds, their names end with _seconds
	Text Format = "text" // for people
)

// Options configures a Handler.
type Options struct {
	Writer  io.Writer
	Format  Format
	Level   slog.Leveler
	Buffer  int                // lines that may wait, > 0
	Dropped prometheus.Counter // lines that found no room
}

// A Handler is a [slog.Handler] whose lines are written by a goroutine of its
// own. It is safe for use by several goroutines at once. Lines wait in the
// buffer until [Handler.Start].
type Handler struct {
	slog.Handler
	queue *queue
}

// New makes a handler. It starts nothing.
func New(o Options) (*Handler, error) {
	switch {
	case o.Writer == nil || o.Level == nil || o.Dropped == nil:
		return nil, errors.New("logs: Writer, Level or Dropped is missing")
	case o.Buffer <= 0:
		return nil, fmt.Errorf("logs: Buffer is %d, must be above 0", o.Buffer)
	}
	q := &queue{lines: make(chan []byte, o.Buffer), done: make(chan struct{}), out: o.Writer, dropped: o.Dropped}
	var inner slog.Handler
	switch o.Format {
	case JSON:
		inner = slog.NewJSONHandler(q, &slog.HandlerOptions{Level: o.Level, ReplaceAttr: seconds})
	case Text:
		inner = tint.NewTextHandler(q, &tint.Options{Level: o.Level, NoColor: true, TimeFormat: "15:04:05.000"})
	default:
		return nil, fmt.Errorf("logs: format %q is none of %s, %s", o.Format, JSON, Text)
	}
	return &Handler{inner, q}, nil
}

// Start starts the writer, once; [Handler.Close] ends it.
func (h *Handler) Start() { h.queue.start() }

// seconds writes durations as seconds, with the unit in the name: a bare number
// of nanoseconds would be read as anything.
func seconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_seconds", a.Value.Duration().Seconds())
	}
	return a
}

// WithAttrs returns a handler that writes through the same buffer.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.Handler.WithAttrs(attrs), h.queue}
}

// WithGroup returns a handler that writes through the same buffer.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.Handler.WithGroup(name), h.queue}
}

// Handle queues the record's line.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error { return h.Handler.Handle(ctx, r) }

// Close writes what waits, whether the writer was started or not, and ends the
// writer. Lines that come later are dropped. The error is the first that the
// writer met.
func (h *Handler) Close() error { return h.queue.close() }

// queue is lines on their way to the writer.
type queue struct {
	out     io.Writer
	dropped prometheus.Counter

	mu     sync.RWMutex // held for reading while a line is put in
	closed bool
	lines  chan []byte

	starting sync.Once
	done     chan struct{} // closed when the writer has ended
	err      error         // of the writer; read after done
}

// Write takes one line. Handlers reuse its memory, so it is copied.
func (q *queue) Write(line []byte) (int, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		q.dropped.Inc()
		return len(line), nil
	}
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.dropped.Inc()
	}
	return len(line), nil
}

func (q *queue) start() { q.starting.Do(func() { go q.write() }) }

func (q *queue) write() {
	defer close(q.done)
	for line := range q.lines {
		if _, err := q.out.Write(line); err != nil {
			q.dropped.Inc()
			if q.err == nil {
				q.err = fmt.Errorf("logs: %w", err)
			}
		}
	}
}

func (q *queue) close() error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.lines)
	}
	q.mu.Unlock()
	q.start()
	<-q.done
	return q.err
}
