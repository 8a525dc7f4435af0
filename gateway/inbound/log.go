package inbound

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// A callLog writes one line a request: failures always, of the rest one in so
// many. Never a body, a query (tokens travel there) or a signature.
type callLog struct {
	log     *slog.Logger
	every   uint64
	good    atomic.Uint64
	nowhere atomic.Uint64 // requests on no app's path: anybody can send any number of them
}

// An outcome is what is known of a request when it is over.
type outcome struct {
	x           *exchange
	writeErr    error
	phases      [phaseCount]time.Duration
	answerBytes int64
}

// failed tells whether somebody may want to know why. A trust probe that the
// app refuses is no failure.
func (o *outcome) failed() bool {
	x := o.x
	if x.kind == kindProbe && x.refused == nil {
		return false
	}
	return x.answer.Code != "" || x.stream.err != nil || o.writeErr != nil || x.answer.Status >= 400
}

func (l *callLog) line(o *outcome) {
	x := o.x
	level, text := slog.LevelInfo, "call"
	switch {
	case x.route == nil:
		if l.nowhere.Add(1)%l.every != 1%l.every {
			return
		}
		text = "request refused"
	case o.failed():
		level, text = slog.LevelWarn, "call failed"
	case l.good.Add(1)%l.every != 1%l.every:
		return
	}
	// A line outlives no call: it has no context to end with.
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, text, o.attrs()...)
	}
}

func (o *outcome) attrs() []slog.Attr {
	x, id := o.x, &o.x.call.Identity
	attrs := make([]slog.Attr, 0, 24)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if x.route != nil {
		add("app", x.route.App)
	}
	add("kind", x.kind.String())
	add("method", string(x.head.method))
	add("path", string(x.head.path))
	attrs = append(attrs, slog.Int("status", x.answer.Status))
	add("code", string(x.answer.Code))
	run := id.RunID
	if run == "" && x.kind == kindDurable {
		run = string(x.head.runID)
	}
	add("run", run)
	add("fn", id.FunctionID)
	add("step", id.StepID)
	add("job", id.JobID)
	if id.RunID != "" {
		attrs = append(attrs, slog.Int("attempt", id.Attempt), slog.Int("generation", id.Generation))
	}
	add("endpoint", x.answer.Endpoint)
	attrs = append(attrs, slog.Int("request_bytes", len(x.call.Body)), slog.Int64("answer_bytes", o.answerBytes))
	for i, d := range o.phases {
		if d > 0 {
			attrs = append(attrs, slog.Duration(phaseNames[i], d))
		}
	}
	for _, e := range [...]struct {
		key string
		err error
	}{{"err", x.answer.Cause}, {"stream_err", x.stream.err}, {"write_err", o.writeErr}} {
		if e.err != nil {
			attrs = append(attrs, slog.Any(e.key, e.err))
		}
	}
	return attrs
}
