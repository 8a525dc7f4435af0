package gateway

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/inngest-gateway/inngest-gateway/breaker"
	"github.com/inngest-gateway/inngest-gateway/config"
	"github.com/inngest-gateway/inngest-gateway/events"
	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// Bounds of the event plane that are nobody's to choose.
const (
	eventAnswer  = 1 << 20          // bytes of an answer of the event API: it lists ids
	limitRegrow  = time.Hour        // a learnt limit of the event API grows again
	seedWindow   = 10 * time.Minute // SDKs try again for less
	maxSeeds     = 100_000          // requests remembered by the seed that they brought
	maxEventKeys = 1000             // event keys that apps bring themselves
	backlogLook  = 5 * time.Second  // between two measurements of what is in the spool
)

// newEvents builds the event plane: what keeps events, what sends them, what
// takes them.
func (g *Gateway) newEvents() (err error) {
	if g.spool, err = newSpool(g.cfg, g.now, g.log); err != nil {
		return err
	}
	if g.eventKeys, err = g.newEventKeys(); err != nil {
		return err
	}
	if g.sender, err = g.newSender(); err != nil {
		return err
	}
	if g.spool != nil {
		if g.drainer, err = g.newDrainer(); err != nil {
			return err
		}
	}
	g.events, err = g.newPlane()
	return err
}

// newEventKeys knows the real event keys. Those that apps bring themselves are
// kept beside the embedded spool; one that other gateways drain too has no place
// for them.
func (g *Gateway) newEventKeys() (*events.Keys, error) {
	o := events.KeysOptions{Configured: map[string][]string{}, Max: maxEventKeys}
	for name, e := range g.environments {
		for _, key := range append([]config.Secret{e.EventKey}, e.EventKeys...) {
			if !key.IsZero() {
				o.Configured[name] = append(o.Configured[name], key.Reveal())
			}
		}
	}
	if g.cfg.Events.Spool.URL.IsZero() {
		o.Dir = g.cfg.StateDir
	}
	return events.NewKeys(o)
}

func (g *Gateway) newSender() (*deliver.Client, error) {
	c := g.cfg.Events
	urls := map[string]string{}
	for name, e := range g.environments {
		urls[name] = e.EventURL
	}
	b := c.Delivery.Breaker
	return deliver.New(deliver.Options{
		Environments: urls,
		Transport:    g.transport,
		Keys:         g.eventKeys,
		Timeout:      c.Delivery.Timeout,
		MaxAnswer:    eventAnswer,
		MaxBytes:     int(c.Batch.MaxBytes),
		Regrow:       limitRegrow,
		Remember:     rememberKey,
		Breaker: breaker.Options{
			ConsecutiveFailures: b.ConsecutiveFailures,
			FailureRatio:        b.FailureRatio,
			MinCalls:            b.MinCalls,
			Window:              b.Window,
			OpenFor:             b.OpenFor,
			HalfOpenProbes:      b.Probes,
			ProbeTimeout:        c.Delivery.Timeout,
			Metrics:             g.metrics.Breaker,
		},
		Metrics: g.metrics.Deliver,
		Log:     g.log,
	})
}

func (g *Gateway) newDrainer() (*deliver.Drainer, error) {
	c := g.cfg.Events
	return deliver.NewDrainer(deliver.DrainerOptions{
		Spool:       g.spool,
		Client:      g.sender,
		Concurrency: c.Spool.Concurrency,
		MaxEvents:   c.Limits.Events, // nobody waits for these, and the way to Inngest may be long
		Backoff:     deliver.Backoff{Min: c.Delivery.BackoffMin, Max: c.Delivery.BackoffMax},
		SetBack:     deliver.Backoff{Min: spoolSetBackMin, Max: spoolSetBackMax},
		MaxSetBack:  spoolSetBack,
		MaxAge:      c.Spool.MaxAge,
		Extend:      spoolExtend,
		Look:        backlogLook,
		Now:         g.now,
		Metrics:     g.metrics.Deliver,
		Log:         g.log,
	})
}

func (g *Gateway) newPlane() (*events.Plane, error) {
	c := g.cfg.Events
	schemas, err := g.cfg.SchemaSet()
	if err != nil {
		return nil, err
	}
	limits := intake.ServerLimits(int(c.Limits.Request))
	limits.EventBytes, limits.Events, limits.NameLen = int(c.Limits.Event), c.Limits.Events, c.Limits.Name
	o := events.Options{
		Environments: slices.Sorted(maps.Keys(g.environments)),
		Mode:         events.ModeNone,
		Sender:       g.sender,
		Keys:         g.eventKeys,
		Limits:       limits,
		Schemas:      schemas,
		MaxEvents:    c.Batch.MaxEvents,
		MaxBytes:     int(c.Batch.MaxBytes),
		MaxWait:      c.Batch.MaxWait,
		InFlight:     c.Batch.InFlight,
		Patience:     c.Delivery.Timeout,
		MaxMemory:    int64(c.Memory),
		Trace:        events.Trace(c.Trace),
		GiveUp:       c.Delivery.GiveUp,
		BackoffMin:   c.Delivery.BackoffMin,
		BackoffMax:   c.Delivery.BackoffMax,
		SeedDir:      g.cfg.StateDir,
		SeedWindow:   seedWindow,
		MaxSeeds:     maxSeeds,
		DedupeWindow: c.Dedupe.Window,
		MaxIDs:       c.Dedupe.MaxIDs,
		Rate:         c.Rate.PerSecond,
		Burst:        cmp.Or(c.Rate.Burst, c.Rate.PerSecond),
		Now:          g.now,
		Metrics:      g.metrics.Events,
		Log:          g.log,
	}
	if g.spool != nil {
		o.Mode, o.Spool = events.Mode(c.Spool.Mode), openedSpool{g.spool, &g.spoolOpen}
	}
	return events.New(o)
}

// stopEvents brings what was taken to Inngest, or to the spool.
func (g *Gateway) stopEvents(ctx context.Context) error { return g.events.Flush(ctx) }
