package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/events/schema"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A Request is a POST to the event API. Its key was checked and is the real one.
type Request struct {
	Environment     string // one of Options.Environments
	Key             string
	Branch          string // x-inngest-env
	Seed            string // x-inngest-event-id-seed
	Traceparent     string
	Tracestate      string
	ContentType     string
	ContentEncoding string
	Header          func(name string) string // of binary CloudEvents, name in lower case; nil: none
	Body            []byte                   // not used any more when Accept has returned
}

// Accept takes the events of a request and returns when they are safe: see
// [Mode]. It needs Run. When ctx ends before the events went anywhere they go
// nowhere. Any number of goroutines may call it.
func (p *Plane) Accept(ctx context.Context, r Request) Answer {
	env := p.environments[r.Environment]
	if env == nil {
		return (&failure{inngest.CodeInternal, fmt.Sprintf("environment %q is not known", r.Environment), 0}).answer()
	}
	a, o := p.accept(ctx, env, &r)
	env.requests[o].Inc()
	return a
}

func (p *Plane) accept(ctx context.Context, env *environment, r *Request) (Answer, outcome) {
	if r.Key == "" {
		return (&failure{inngest.CodeUnauthorized, "Event key not found: the request has none", 0}).answer(), outcomeInvalid
	}
	d := deliver.Destination{Environment: r.Environment, Branch: r.Branch, KeyID: p.o.Keys.note(r.Environment, r.Key)}
	if !readable(r.Seed) {
		return p.take(ctx, env, d, r, nil)
	}
	k := requestDigest(d, r)
	for {
		entry, known, wait := p.seeds.begin(k)
		switch {
		case wait != nil:
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return failCanceled().answer(), outcomeUnavailable
			}
		case known && entry.taken:
			p.o.Metrics.Repeats.WithLabelValues("seed").Add(float64(entry.count))
			return accepted(entry.all()), outcomeRepeated
		}
		defer p.seeds.end(k)
		own := &ownSeed{key: k}
		if known {
			own.earlier = &entry
		}
		return p.take(ctx, env, d, r, own)
	}
}

// readable tells whether a request has a seed. As on the server, one that cannot
// be read is none.
func readable(seed string) bool {
	if seed == "" {
		return false
	}
	_, err := inngest.ParseSeed(seed)
	return err == nil
}

// ownSeed is that of a request whose caller sent one.
type ownSeed struct {
	key     digest
	earlier *seedEntry // what an earlier try had, whose end nobody knows
}

// take reads the events of a request and brings them to their lane.
func (p *Plane) take(ctx context.Context, env *environment, d deliver.Destination, r *Request, own *ownSeed) (Answer, outcome) {
	// Before it is read: when there is no room most of the time must not go into
	// what cannot be taken.
	if !p.fits(len(r.Body)) {
		return failMemory(p.o.MaxMemory).answer(), outcomeUnavailable
	}
	leave, ok := p.inflating.enter(ctx, r.ContentEncoding)
	if !ok {
		return failCanceled().answer(), outcomeUnavailable
	}
	events, err := p.read(r)
	leave()
	if err != nil {
		p.o.Metrics.Invalid.WithLabelValues(string(err.Rule)).Inc()
		return invalid(err), outcomeInvalid
	}
	if len(events) == 0 {
		return accepted(nil), outcomeTaken
	}
	env.received.Add(float64(len(events)))
	if wait, ok := p.rate.take(bucketKey{d.Environment, d.KeyID}, len(events)); !ok {
		f := &failure{inngest.CodeRateLimited,
			fmt.Sprintf("the event key is over its rate of %d events a second (events.rate); the events were not taken", p.o.Rate), wait}
		return f.answer(), outcomeLimited
	}
	it := &item{events: events, bytes: sizeOf(events), traceparent: r.Traceparent, tracestate: r.Tracestate}
	if p.o.Trace == TraceDrop {
		it.traceparent, it.tracestate = "", ""
	}
	if own != nil {
		it.own, it.hasOwn = own.key, true
		if own.earlier != nil && own.earlier.ids == nil && own.earlier.count == len(events) {
			it.preset = &own.earlier.seed
		}
	}
	if p.ids != nil && it.preset == nil && named(events) {
		return p.takeOnce(ctx, d, it)
	}
	if f := p.submit(ctx, d, it); f != nil {
		return f.answer(), outcomeUnavailable
	}
	return it.answer()
}

// answer is what the caller of an item gets when none of its events failed.
func (it *item) answer() (Answer, outcome) {
	switch {
	case len(it.refused) > 0:
		return refused(it.ids(), it.refused), outcomeRefused
	case it.batch.others != nil:
		return accepted(it.ids()), outcomeTaken
	case it.batch.spooled:
		return it.accepted(), outcomeSpooled
	}
	return it.accepted(), outcomeTaken
}

// accepted is the answer with the ids that the seed gives, and what nearly every
// request gets: it makes no texts in between.
func (it *item) accepted() Answer {
	seed := it.batch.seed.From(it.offset + 1)
	body := append(make([]byte, 0, 32+29*len(it.events)), `{"ids":["`...)
	for n := range it.events {
		if n > 0 {
			body = append(body, `","`...)
		}
		body = seed.AppendID(body, n+1)
	}
	body = append(body, `"]`...)
	return Answer{Status: http.StatusOK, ContentType: intake.AnswerType, Body: append(body, ",\"status\":200}\n"...)}
}

// read reads and checks the events of a request.
func (p *Plane) read(r *Request) ([]intake.Event, *intake.Error) {
	body, err := intake.Inflate(r.ContentEncoding, r.Body, p.o.Limits.BodyBytes)
	var events []intake.Event
	switch {
	case err != nil:
	case r.Header == nil:
		events, err = p.reader.Read(r.ContentType, body)
	default:
		events, err = p.reader.ReadRequest(r.ContentType, r.Header, body)
	}
	if err != nil {
		var bad *intake.Error
		if !errors.As(err, &bad) { // not as long as intake keeps its word
			bad = &intake.Error{Index: -1, Rule: intake.RuleSyntax, Message: err.Error(), Status: http.StatusBadRequest}
		}
		return nil, bad
	}
	return events, p.checkSchemas(events)
}

// ruleSchema is the rule of an event whose data a schema does not allow.
const ruleSchema intake.Rule = "schema"

// checkSchemas checks the data of events that a schema is meant for. Violations
// of schemas that only warn are counted when no event is refused.
func (p *Plane) checkSchemas(events []intake.Event) *intake.Error {
	if p.o.Schemas == nil {
		return nil
	}
	var warnings []*schema.Failure
	for i := range events {
		e := &events[i]
		if !p.o.Schemas.Has(e.Name, e.V) {
			continue
		}
		f := p.o.Schemas.Check(e.Name, e.V, e.Data)
		switch {
		case f == nil:
		case f.Mode == schema.ModeWarn:
			warnings = append(warnings, f)
		default:
			return &intake.Error{Index: i, Field: f.Violations[0].Path, Rule: ruleSchema, Message: f.Error(), Status: http.StatusBadRequest}
		}
	}
	for _, f := range warnings {
		p.o.Metrics.Violations.WithLabelValues(f.Event).Inc()
		if leftOut, ok := p.logs.schema.allow(); ok {
			p.o.Log.Warn("event violates its schema and is taken", "event", f.Event, "schema", f.From, "err", f.Error(), "left_out", leftOut)
		}
	}
	return nil
}
