package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// work brings batches of one lane to their end, as long as there are any.
func (p *Plane) work(ctx context.Context, j job) {
	for b := j.batch; b != nil; {
		p.finish(ctx, b, j.spill)
		b = p.next(j.lane, j.spill, b)
	}
}

// finish brings one batch to its end and tells its items.
func (p *Plane) finish(ctx context.Context, b *batch, spill bool) {
	env := p.environments[b.Environment]
	env.batches.Inc()
	env.batchEvents.Observe(float64(b.events))
	env.batchWait.Observe(time.Since(b.began).Seconds())
	b.name(&p.chains, p.o.Now())
	own := p.assign(b)
	b.write(p.room())
	switch {
	case p.o.Mode == ModeDurable:
		p.store(ctx, b, b.whole(), own)
	case p.o.Mode == ModeNone:
		p.insist(ctx, b)
	case spill || ctx.Err() != nil || p.hurry.over():
		b.spooled = true
		p.store(ctx, b, b.whole(), own)
	case !p.o.Sender.Up(b.Environment):
		p.spooling(env, b, deliver.ErrDown)
		p.store(ctx, b, b.whole(), own)
	default:
		p.try(ctx, env, b, own)
	}
	for _, it := range b.items {
		switch {
		case !it.hasOwn || it.failed != nil || len(it.refused) > 0:
		case b.others != nil:
			p.seeds.takenAs(it.own, it.ids())
		default:
			p.seeds.taken(it.own)
		}
	}
	p.free(b)
	close(b.done)
}

// room returns memory for the body of a batch.
func (p *Plane) room() []byte {
	if kept, ok := p.bodies.Get().(*[]byte); ok {
		return *kept
	}
	return nil
}

// free keeps the body of a batch for another one: neither the event API's client
// nor the spool uses it any more. An event that is larger than batches are would
// keep too much.
func (p *Plane) free(b *batch) {
	body := b.body
	b.body = nil
	if cap(body) <= 2*p.o.MaxBytes {
		p.bodies.Put(&body)
	}
}

// own says what is known of the seeds that callers of a batch brought.
type own struct {
	any bool  // some did
	err error // they could not be stored
}

// assign stores the ids of those requests that came with seeds.
func (p *Plane) assign(b *batch) own {
	var o own
	for _, it := range b.items {
		o.any = o.any || it.hasOwn
	}
	if !o.any {
		return o
	}
	if o.err = p.seeds.assign(b); o.err != nil {
		p.seedError(o.err)
	}
	return o
}

func (p *Plane) seedError(err error) {
	p.o.Metrics.SeedErrors.WithLabelValues().Inc()
	if leftOut, ok := p.logs.seeds.allow(); ok {
		p.o.Log.Error("seeds of callers not stored", "err", err, "left_out", leftOut)
	}
}

// try sends a batch once; what Inngest does not take goes to the spool. A key
// that the app brought and Inngest does not know is the app's business.
func (p *Plane) try(ctx context.Context, env *environment, b *batch, o own) {
	sending, done := p.hurry.within(ctx)
	r := p.o.Sender.Send(sending, b.post())
	hurried := sending.Err() != nil
	done()
	b.rename(0, r.IDs)
	p.refuse(b, r.Refused)
	if len(r.Left) == 0 {
		if env.spooling.CompareAndSwap(true, false) {
			p.o.Log.Info("events go to Inngest again", "environment", b.Environment)
		}
		return
	}
	if errors.Is(r.Err, deliver.ErrKeyRefused) && !p.o.Keys.isConfigured(b.Environment, b.KeyID) {
		for _, left := range r.Left {
			b.fail(left, failKey())
		}
		return
	}
	if !hurried {
		p.spooling(env, b, r.Err)
	}
	b.spooled = true
	p.store(ctx, b, r.Left, o)
}

// spooling notes that Inngest does not take a batch, and says so the first time.
func (p *Plane) spooling(env *environment, b *batch, why error) {
	b.spooled = true
	if env.spooling.CompareAndSwap(false, true) {
		p.o.Log.Warn("events go to the spool", "environment", b.Environment, "key", b.KeyID, "err", why)
	}
}

// store puts ranges of a batch into the spool.
func (p *Plane) store(ctx context.Context, b *batch, ranges []deliver.Range, o own) {
	// The answers depend on it, also when the gateway stops: the spool has a
	// limit of its own for each operation.
	ctx = context.WithoutCancel(ctx)
	err := p.remembered(o)
	if err == nil {
		err = p.o.Keys.keep(b.Environment, b.KeyID)
	}
	for _, r := range ranges {
		if err == nil {
			part := b.part(r)
			err = p.o.Spool.Append(ctx, spool.Record{
				Environment: b.Environment,
				KeyID:       b.KeyID,
				Branch:      b.Branch,
				Seed:        part.Seed.String(),
				Count:       part.Count,
				Body:        part.Body,
				Traceparent: part.Traceparent,
				Tracestate:  part.Tracestate,
				Accepted:    p.o.Now(),
			})
		}
		if err != nil {
			b.fail(r, failStore(err))
			continue
		}
		p.environments[b.Environment].stored.Add(float64(r.To - r.From))
	}
	if err != nil {
		if leftOut, ok := p.logs.store.allow(); ok {
			p.o.Log.Error("events not stored", "environment", b.Environment, "key", b.KeyID, "events", b.events, "err", err, "left_out", leftOut)
		}
	}
}

// remembered returns when the seeds of a batch's callers are on disk: if the power
// fails after the batch is, a repeat must not get other ids. Where that does not
// work mode durable takes nothing; mode hybrid would rather risk that than the
// events.
func (p *Plane) remembered(o own) error {
	if !o.any {
		return nil
	}
	err := o.err
	if err == nil {
		if err = p.seeds.sync(); err != nil {
			p.seedError(err)
		}
	}
	if p.o.Mode != ModeDurable {
		return nil
	}
	return err
}

// insist sends a batch until Inngest has all of it or Options.GiveUp has passed:
// there is no spool.
func (p *Plane) insist(ctx context.Context, b *batch) {
	deadline := b.sealed.Add(p.o.GiveUp)
	wait := p.o.BackoffMin
	left := b.whole()
	for {
		r := p.sendParts(ctx, b, left)
		if len(r.Left) == 0 {
			return
		}
		left = r.Left
		// Half of the wait is chance, so that gateways do not come together. The
		// last try is made when the time is over.
		rest := time.Until(deadline)
		pause := max(r.RetryAfter, min(rest, wait/2+rand.N(wait/2+1)))
		if errors.Is(r.Err, deliver.ErrKeyRefused) || rest <= 0 || rest < pause {
			p.giveUp(b, left, failAway(r.Err, r.RetryAfter), r.Err)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			p.giveUp(b, left, failClosed(), r.Err)
			return
		}
		wait = min(2*wait, p.o.BackoffMax)
	}
}

// sendParts sends each range; the result counts in the whole batch.
func (p *Plane) sendParts(ctx context.Context, b *batch, parts []deliver.Range) deliver.Result {
	var all deliver.Result
	for _, part := range parts {
		r := p.o.Sender.Send(ctx, b.part(part))
		for i := range r.Refused {
			r.Refused[i].Index += part.From
		}
		p.refuse(b, r.Refused)
		b.rename(part.From, r.IDs)
		for _, left := range r.Left {
			all.Left = append(all.Left, deliver.Range{From: part.From + left.From, To: part.From + left.To})
		}
		all.RetryAfter = max(all.RetryAfter, r.RetryAfter)
		if r.Err != nil {
			all.Err = r.Err
		}
	}
	return all
}

func (p *Plane) giveUp(b *batch, left []deliver.Range, f *failure, err error) {
	for _, r := range left {
		b.fail(r, f)
	}
	if leftOut, ok := p.logs.store.allow(); ok {
		p.o.Log.Error("events not delivered", "environment", b.Environment, "key", b.KeyID, "events", b.events, "err", err, "left_out", leftOut)
	}
}

// maxReason bounds what a log line quotes of an answer.
const maxReason = 200

// refuse notes the events that Inngest has refused for good.
func (p *Plane) refuse(b *batch, all []deliver.Refusal) {
	if len(all) == 0 {
		return
	}
	b.refuse(all)
	p.environments[b.Environment].refused.Add(float64(len(all)))
	if leftOut, ok := p.logs.refused.allow(); ok {
		reason := all[0].Message
		p.o.Log.Warn("event refused by Inngest", "environment", b.Environment, "key", b.KeyID, "events", len(all),
			"status", all[0].Status, "reason", reason[:min(len(reason), maxReason)], "left_out", leftOut)
	}
}
