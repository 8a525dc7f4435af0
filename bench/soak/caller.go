package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/load"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// mix is how often a body of a size is called with, in a hundred calls.
var mix = []struct{ size, share int }{{1 << 10, 80}, {64 << 10, 15}, {1 << 20, 5}}

// pause is what a refused caller waits. Inngest would wait for as long as
// Retry-After says.
const pause = 50 * time.Millisecond

// A caller calls until its context ends.
type caller struct {
	ledger   *ledger
	calls    *load.Caller
	requests []*load.Request // by mix
	random   *rand.Rand
}

// newCaller returns a caller that keeps its connection or has a new one for each
// call.
func newCaller(l *ledger, address string, fresh bool, key signature.Key, random *rand.Rand) (*caller, error) {
	c := &caller{ledger: l, calls: load.NewCaller(address, fresh, 2*time.Minute), random: random}
	for _, m := range mix {
		r, err := load.NewRequest(load.Form{Host: address, Path: app.Path, Size: m.size, Close: fresh, Gzip: fresh, Key: key})
		if err != nil {
			return nil, err
		}
		c.requests = append(c.requests, r)
	}
	return c, nil
}

func (c *caller) run(ctx context.Context) {
	defer c.calls.Close()
	for ctx.Err() == nil {
		which := c.draw()
		number, request := c.ledger.next(), c.requests[which]
		request.Prepare(number, time.Now())
		answer, err := c.calls.Call(request)
		if err != nil {
			// The gateway is there all the time: it must not drop a caller.
			c.ledger.complain(fmt.Errorf("call %d of %d bytes: %w", number, mix[which].size, err))
			c.ledger.refuse(number, "")
			continue
		}
		if c.judge(number, mix[which].size, request, answer) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (c *caller) draw() int {
	n := c.random.IntN(100)
	for i, m := range mix {
		if n -= m.share; n < 0 {
			return i
		}
	}
	return len(mix) - 1
}

// expected are the refusals that an app which goes away leads to, and a memory
// that is full.
var expected = []inngest.Code{
	inngest.CodeUpstreamRefused, inngest.CodeUpstreamReset, inngest.CodeUpstreamOpen, inngest.CodeMemoryExhausted,
}

// judge notes what the caller was told and reports whether it was the answer.
func (c *caller) judge(number uint64, size int, r *load.Request, a *load.Answer) bool {
	if a.Status == 200 && a.SDK {
		if !bytes.Equal(a.Run, r.Run()) || len(a.Coding) == 0 && a.Size != int64(size) {
			c.ledger.complain(fmt.Errorf("call %d of run %s and %d bytes got the answer to run %s, %d bytes", number, r.Run(), size, a.Run, a.Size))
		}
		c.ledger.answer(number)
		return true
	}
	code := inngest.Code(a.Refusal)
	c.ledger.refuse(number, code)
	switch {
	case !slices.Contains(expected, code), a.Status != code.Status():
		c.ledger.complain(fmt.Errorf("call %d: status %d, x-gateway-error %q", number, a.Status, code))
	case a.SDK:
		c.ledger.complain(fmt.Errorf("call %d: refusal %s in the name of an SDK", number, code))
	case a.WaitFor() < time.Second:
		c.ledger.complain(fmt.Errorf("call %d: refusal %s with Retry-After %q", number, code, a.RetryAfter))
	}
	return false
}
