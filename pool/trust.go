package pool

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// An app that sends bytes that nobody asked for makes them the answer of the
// next call on that connection. Those that come while it is idle are seen
// before it is used again. Those that come once the next call is on its way
// cannot be told from its answer. So such an app gets a new connection for
// every call for a while; and until an endpoint has shown some times that
// nothing follows its answers, a connection rests a moment before it is used
// again, long enough for a second answer written right behind the first.
const (
	cleanRests = 8
	restFor    = 10 * time.Millisecond
	suspension = time.Minute
)

// trust is what an endpoint has shown so far.
type trust struct {
	clean atomic.Int64 // rests after which nothing had come
	until atomic.Int64 // no connection is used twice before this
}

func (t *trust) confirm() {
	if t.clean.Load() < cleanRests {
		t.clean.Add(1)
	}
}

func (t *trust) suspended(now int64) bool { return now < t.until.Load() }

// rest waits until the connection has been idle for long enough.
func (e *endpoint) rest(ctx context.Context, c *conn) error {
	if e.trust.clean.Load() >= cleanRests || c.uses == 0 {
		return nil
	}
	wait := restFor - time.Duration(e.up.now()-c.idleSince)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errCanceled
	}
}

// distrust ends the reuse of connections for a while.
func (e *endpoint) distrust() {
	now := e.up.now()
	e.trust.clean.Store(0)
	if until := e.trust.until.Swap(now + int64(suspension)); now >= until {
		e.up.opt.Log.Warn("app sends bytes behind its answers; its connections are used once for a while",
			slog.String("app", e.up.opt.App), slog.String("endpoint", e.name), slog.Duration("while", suspension))
	}
	e.closeIdle(discardUnasked)
}
