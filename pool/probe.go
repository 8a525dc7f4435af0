package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// watch probes the endpoint: while its breaker is open, until it closes, and
// every HealthInterval while all is well.
func (e *endpoint) watch(ctx context.Context) {
	e.breaker.Enlist()
	defer e.breaker.Retire()
	var knocks sync.WaitGroup
	knocks.Go(func() { e.knockWhenDue(ctx) })
	defer knocks.Wait()
	var health <-chan time.Time
	if interval := e.up.opt.HealthInterval; interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		health = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.opened:
			e.recover(ctx)
		case <-health:
			e.checkHealth(ctx)
		}
	}
}

// recover probes until the breaker is closed.
func (e *endpoint) recover(ctx context.Context) {
	for !e.breaker.Closed() {
		if p, ok := e.breaker.AllowProbe(); ok {
			p.Done(e.verdictOfProbe(ctx))
			continue
		}
		_, since := e.breaker.State()
		timer := time.NewTimer(max(time.Until(since.Add(e.up.opt.Breaker.OpenFor)), time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// checkHealth probes an endpoint that is well. A good probe says nothing to the
// breaker: it must not end a sequence of calls that fail.
func (e *endpoint) checkHealth(ctx context.Context) {
	ticket, ok := e.breaker.Allow()
	if !ok {
		return
	}
	if e.verdictOfProbe(ctx) == breaker.Failure {
		ticket.Done(breaker.Failure)
	}
}

func (e *endpoint) verdictOfProbe(ctx context.Context) breaker.Outcome {
	began := time.Now()
	err := e.probe(ctx)
	switch {
	case err == nil:
		e.took(&e.probed, began)
		e.m.probed("good")
		return breaker.Success
	case ctx.Err() != nil:
		return breaker.Ignored
	default:
		e.m.probed("bad")
		e.setLastError(fmt.Errorf("probe: %w", err))
		return breaker.Failure
	}
}

var errNotSDK = errors.New("the answer is not an SDK's")

// probe asks the endpoint whether it is well, over a connection of its own:
// this one is also to show that connections are taken.
func (e *endpoint) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.up.opt.Breaker.ProbeTimeout)
	defer cancel()
	nc, err := e.dial(ctx)
	if err != nil {
		return err
	}
	c := newConn(e, nc, 0)
	defer c.kill()
	if e.up.opt.Probe == ProbeTCP {
		return nil
	}
	defer context.AfterFunc(ctx, c.kill)()
	_, err = c.send(&call.Call{
		Method: "GET", Target: []byte(e.up.opt.ProbePath),
		Head: []byte("User-Agent: inngest-gateway\r\nAccept: */*\r\nConnection: close\r\n"),
	})
	if err != nil {
		return err
	}
	a := e.up.newAnswer(e)
	defer a.recycle()
	if err := c.receiveHead(a); err != nil {
		return err
	}
	switch {
	case e.up.opt.Probe == ProbeSDK && !a.FromSDK():
		return fmt.Errorf("%w: status %d without %s", errNotSDK, a.Status, inngest.HeaderSDK)
	case e.up.opt.Probe == ProbeHTTP && a.Status >= 400:
		return fmt.Errorf("status %d", a.Status)
	}
	return nil
}
