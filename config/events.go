package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
)

// Events is how events of apps reach Inngest.
type Events struct {
	// Batches of events, one request to Inngest each.
	Batch EventBatch `koanf:"batch"`

	// Bounds of a request of an app. Inngest's own are the defaults; lower ones
	// are for plans that take less.
	Limits EventLimits `koanf:"limits"`

	// What may wait in memory for Inngest's answer, of all callers together;
	// beyond it events go to the spool.
	Memory Size `koanf:"memory"`

	// Delivery to Inngest.
	Delivery Delivery `koanf:"delivery"`

	// Events on disk that Inngest does not have yet. Needs state_dir or a url.
	Spool Spool `koanf:"spool"`

	// JSON Schemas for the data of events.
	Schemas []EventSchema `koanf:"schemas"`

	// Events of one id within a window are sent once.
	Dedupe Dedupe `koanf:"dedupe"`

	// Events a second that one event key may send.
	Rate EventRate `koanf:"rate"`

	// What becomes of the traceparent of a request: batch keeps it where all
	// requests of a batch have the same one, keep sends requests with different
	// ones in batches of their own, drop sends none.
	Trace EventTrace `koanf:"trace"`
}

// EventBatch bounds a batch. It is sent when one of the bounds is reached, at
// once if nothing else is on its way.
type EventBatch struct {
	// Events in a batch. What is in the spool goes out in larger ones, up to
	// limits.events.
	MaxEvents int `koanf:"max_events"`

	// Bytes of a batch.
	MaxBytes Size `koanf:"max_bytes"`

	// Longest time that an event waits for others, under load.
	MaxWait time.Duration `koanf:"max_wait"`

	// Batches of one event key and environment on their way at once.
	InFlight int `koanf:"in_flight"`
}

// EventLimits bounds what an app may send at once.
type EventLimits struct {
	// JSON of one event.
	Event Size `koanf:"event"`

	// Events in one request.
	Events int `koanf:"events"`

	// Length of an event's name.
	Name int `koanf:"name"`

	// Body of one request after inflating.
	Request Size `koanf:"request"`
}

// Delivery is how batches are sent.
type Delivery struct {
	// Time for Inngest to answer one request.
	Timeout time.Duration `koanf:"timeout"`

	// How long a caller waits for a batch that is tried again, where there is
	// no spool to keep it.
	GiveUp time.Duration `koanf:"give_up"`

	// Shortest wait between two tries; it doubles with each, with jitter. What
	// Inngest asks for in Retry-After goes before.
	BackoffMin time.Duration `koanf:"backoff_min"`

	// Longest wait between two tries.
	BackoffMax time.Duration `koanf:"backoff_max"`

	// Circuit breaker towards the event API of an environment.
	Breaker Breaker `koanf:"breaker"`
}

// Spool is where events wait that Inngest does not have yet.
type Spool struct {
	// When an event is acknowledged. In hybrid when Inngest has it or, if Inngest
	// cannot be reached, when it is on disk; in durable when it is on disk.
	Mode SpoolMode `koanf:"mode"`

	// NATS server with JetStream to use instead of the embedded one, for
	// several gateways with one spool.
	URL Secret `koanf:"url" example:"nats://nats.internal:4222"`

	// Name of the streams, where several spools share one NATS server.
	Name string `koanf:"name"`

	// Copies that an external cluster keeps.
	Replicas int `koanf:"replicas"`

	// Bytes that may lie in it, dead letters too; beyond them new events are
	// refused with 503.
	MaxBytes Size `koanf:"max_bytes"`

	// Age at which an event is not delivered any more but becomes a dead letter:
	// by then Inngest has forgotten what it has, and could run it twice.
	MaxAge time.Duration `koanf:"max_age"`

	// Destinations that are drained at once.
	Concurrency int `koanf:"concurrency"`
}

// A SpoolMode says when an event is acknowledged.
type SpoolMode string

// The modes of the spool.
const (
	SpoolHybrid  SpoolMode = "hybrid"
	SpoolDurable SpoolMode = "durable"
)

func (SpoolMode) accepts() []string { return []string{string(SpoolHybrid), string(SpoolDurable)} }

// An EventSchema is a JSON Schema for the data of one event.
type EventSchema struct {
	// Name of the event; without one the schema is there for others to refer to.
	Name string `koanf:"name" example:"order.created"`

	// Version (v) of the event; without one all that have no schema of their own.
	Version string `koanf:"version" example:"2"`

	// File with the schema, JSON.
	File string `koanf:"file" example:"/etc/inngest-gateway/order-created.json"`

	// The schema itself, JSON, instead of a file.
	Schema string `koanf:"schema" example:"'{\"type\": \"object\"}'"`

	// What happens to an event that violates it: enforce refuses it, warn counts
	// and takes it.
	Mode SchemaMode `koanf:"mode"`

	text []byte // of File
}

// A SchemaMode says what happens to an event that violates its schema.
type SchemaMode string

// The modes of a schema.
const (
	SchemaEnforce SchemaMode = "enforce"
	SchemaWarn    SchemaMode = "warn"
)

func (SchemaMode) accepts() []string { return []string{string(SchemaEnforce), string(SchemaWarn)} }

// Dedupe remembers the ids that apps give their events.
type Dedupe struct {
	// How long an id is remembered; 0s: not at all.
	Window time.Duration `koanf:"window"`

	// Ids that are remembered at most.
	MaxIDs int `koanf:"max_ids"`
}

// EventRate bounds events of one key.
type EventRate struct {
	// Events a second; 0: no bound.
	PerSecond int `koanf:"per_second"`

	// Events that may come at once; 0: as many as in one second.
	Burst int `koanf:"burst"`
}

// An EventTrace is what becomes of trace headers.
type EventTrace string

// The treatments of trace headers.
const (
	TraceBatch EventTrace = "batch"
	TraceKeep  EventTrace = "keep"
	TraceDrop  EventTrace = "drop"
)

func (EventTrace) accepts() []string {
	return []string{string(TraceBatch), string(TraceKeep), string(TraceDrop)}
}

func defaultEvents() Events {
	return Events{
		Batch:  EventBatch{MaxEvents: 500, MaxBytes: MiB, MaxWait: 5 * time.Millisecond, InFlight: 4},
		Limits: EventLimits{Event: 3 * MiB, Events: 5000, Name: 512, Request: 8 * MiB},
		Memory: 64 * MiB,
		Delivery: Delivery{
			Timeout: 10 * time.Second, GiveUp: 20 * time.Second,
			BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second,
			Breaker: Breaker{
				ConsecutiveFailures: 3, FailureRatio: 0.5, MinCalls: 20,
				Window: 30 * time.Second, OpenFor: 2 * time.Second, Probes: 1,
			},
		},
		Spool: Spool{
			Mode: SpoolHybrid, Name: "inngest_gateway", Replicas: 1,
			MaxBytes: 2 * GiB, MaxAge: 24 * time.Hour, Concurrency: 4,
		},
		Dedupe: Dedupe{MaxIDs: 100_000},
		Trace:  TraceBatch,
	}
}

// readSchemas reads the files that schemas stand in.
func (c *Config) readSchemas(readFile func(string) ([]byte, error), p *problems) {
	for i := range c.Events.Schemas {
		one, at := &c.Events.Schemas[i], element("events.schemas", i)
		switch {
		case (one.File == "") == (one.Schema == ""):
			p.add(at, "with both or none of file and schema", "one of them")
		case one.File != "":
			text, err := readFile(one.File)
			if err != nil {
				p.add(at+".file", err.Error(), "a file with a JSON Schema")
			}
			one.text = text
		}
	}
}

// SchemaSet compiles the schemas of events. An error is a [Problems].
func (c *Config) SchemaSet() (*schema.Set, error) {
	p := &problems{}
	set := c.compileSchemas(p)
	return set, p.err()
}

// compileSchemas notes what is wrong with the schemas and returns nil then.
func (c *Config) compileSchemas(p *problems) *schema.Set {
	var sources []schema.Source
	var fields []string // where each source stands
	before := len(p.list)
	for i, one := range c.Events.Schemas {
		at := element("events.schemas", i)
		source := schema.Source{Name: one.Name, Version: one.Version, From: one.File, Text: one.text, Mode: schema.Mode(one.Mode)}
		field := at + ".file"
		if one.File == "" {
			field = at + ".schema"
			source.From, source.Text = field, []byte(one.Schema)
		}
		if len(source.Text) == 0 {
			p.add(at, "without a text", "a JSON Schema") // Load has told the reason
			continue
		}
		if one.Name == "" {
			source.Mode = ""
		}
		sources, fields = append(sources, source), append(fields, field)
	}
	set, err := schema.Compile(sources)
	var list schema.Problems
	if err != nil && !errors.As(err, &list) {
		p.add("events.schemas", err.Error(), "JSON Schemas")
	}
	for _, one := range list {
		got := one.Says
		if one.At != "" {
			got = "wrong at " + one.At + ": " + got
		}
		p.add(fields[one.Source], got, "a JSON Schema")
	}
	if len(p.list) > before || len(sources) < len(c.Events.Schemas) {
		return nil
	}
	return set
}

func (e Events) validate(p *problems) {
	between(p, "events.batch.max_events", e.Batch.MaxEvents, 1, int(defaultEvents().Limits.Events))
	between(p, "events.batch.max_bytes", e.Batch.MaxBytes, KiB, 64*MiB)
	between(p, "events.batch.max_wait", e.Batch.MaxWait, 0, time.Second)
	between(p, "events.batch.in_flight", e.Batch.InFlight, 1, 1000)
	most := defaultEvents().Limits
	between(p, "events.limits.event", e.Limits.Event, 1, most.Event)
	between(p, "events.limits.events", e.Limits.Events, 1, most.Events)
	between(p, "events.limits.name", e.Limits.Name, 1, most.Name)
	atLeast(p, "events.limits.request", e.Limits.Request, 1)
	atLeast(p, "events.memory", e.Memory, MiB)
	atLeast(p, "events.delivery.timeout", e.Delivery.Timeout, time.Millisecond)
	atLeast(p, "events.delivery.give_up", e.Delivery.GiveUp, time.Millisecond)
	atLeast(p, "events.delivery.backoff_min", e.Delivery.BackoffMin, time.Millisecond)
	atLeast(p, "events.delivery.backoff_max", e.Delivery.BackoffMax, e.Delivery.BackoffMin)
	e.Delivery.Breaker.validate(p, "events.delivery.breaker")
	e.Spool.validate(p)
	if e.Dedupe.Window != 0 {
		between(p, "events.dedupe.window", e.Dedupe.Window, time.Second, 24*time.Hour)
	}
	between(p, "events.dedupe.max_ids", e.Dedupe.MaxIDs, 1, 10*mostCount)
	between(p, "events.rate.per_second", e.Rate.PerSecond, 0, 10*mostCount)
	between(p, "events.rate.burst", e.Rate.Burst, 0, 10*mostCount)
	accepted(p, "events.trace", e.Trace)
}

func (s Spool) validate(p *problems) {
	accepted(p, "events.spool.mode", s.Mode)
	if !s.URL.IsZero() && !isNATS(s.URL.Reveal()) {
		p.add("events.spool.url", mask, "nats://host:port or tls://host:port, several with commas between them")
	}
	if !isStreamName(s.Name) {
		p.add("events.spool.name", quoted(s.Name), "letters, digits, _ and -")
	}
	between(p, "events.spool.replicas", s.Replicas, 1, 5)
	atLeast(p, "events.spool.max_bytes", s.MaxBytes, MiB)
	between(p, "events.spool.max_age", s.MaxAge, time.Minute, 24*time.Hour)
	between(p, "events.spool.concurrency", s.Concurrency, 1, 64)
}

// durableWhere refuses a mode that promises what nothing keeps.
func (c *Config) durableWhere(p *problems) {
	if c.Events.Spool.Mode == SpoolDurable && c.StateDir == "" && c.Events.Spool.URL.IsZero() {
		p.add("events.spool.mode", quoted(string(SpoolDurable)),
			fmt.Sprintf("%s, or a place for the events: state_dir or events.spool.url", SpoolHybrid))
	}
}

// isNATS tells whether a text is a list of addresses of NATS servers.
func isNATS(text string) bool {
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(one)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
			return false
		}
	}
	return true
}

func isStreamName(text string) bool {
	return text != "" && len(text) <= 64 &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}
