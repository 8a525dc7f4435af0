package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// A Plane takes events of apps and brings them to Inngest or to the spool.
type Plane struct {
	o            Options
	reader       *intake.Reader
	environments map[string]*environment
	chains       chains
	seeds        *seedTable
	ids          *idTable // nil: events are not compared by their ids
	rate         *limiter // nil: no bound
	heldBytes    prometheus.Gauge
	inflating    inflating
	hurry        hurry
	bodies       sync.Pool // *[]byte, of batches that have their outcome

	logs struct{ schema, seeds, store, refused sampler }

	wake     chan struct{} // jobs has grown
	idle     chan struct{} // closed when closed and no lane is left
	idleOnce sync.Once
	running  atomic.Bool

	mu     sync.Mutex
	lanes  map[laneKey]*lane
	jobs   []job // for Run to start
	held   int64 // bytes of events in lanes
	closed bool  // nothing is taken any more
}

// environment is the instruments of one, looked up beforehand, and what was
// said of it last.
type environment struct {
	requests                           map[outcome]prometheus.Counter
	received, batches, stored, refused prometheus.Counter
	batchEvents, batchWait             prometheus.Observer
	spooling                           atomic.Bool
}

// New makes a plane and reads the seeds that an earlier process knew. It starts
// nothing; see [Plane.Run].
func New(o Options) (*Plane, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	reader, err := intake.New(o.Limits)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	p := &Plane{
		o:            o,
		reader:       reader,
		environments: map[string]*environment{},
		seeds:        newSeedTable(&o),
		ids:          newIDTable(&o),
		rate:         newLimiter(o.Rate, o.Burst),
		heldBytes:    o.Metrics.Memory.WithLabelValues(),
		inflating:    newInflating(&o),
		hurry:        newHurry(),
		wake:         make(chan struct{}, 1),
		idle:         make(chan struct{}),
		lanes:        map[laneKey]*lane{},
	}
	for _, name := range o.Environments {
		p.environments[name] = newEnvironment(&o, name)
	}
	o.Metrics.MemoryLimit.WithLabelValues().Set(float64(o.MaxMemory))
	if err := p.seeds.open(); err != nil {
		return nil, err
	}
	return p, nil
}

func newEnvironment(o *Options, name string) *environment {
	m := o.Metrics
	e := &environment{
		requests:    map[outcome]prometheus.Counter{},
		received:    m.Received.WithLabelValues(name),
		batches:     m.Batches.WithLabelValues(name),
		stored:      m.Stored.WithLabelValues(name),
		refused:     m.Refused.WithLabelValues(name),
		batchEvents: m.BatchEvents.WithLabelValues(name),
		batchWait:   m.BatchWait.WithLabelValues(name),
	}
	for _, one := range outcomes() {
		e.requests[one] = m.Requests.WithLabelValues(name, string(one))
	}
	return e
}

// Run delivers what is accepted until ctx ends. Then nothing more is accepted;
// what is on its way goes to the spool, or its callers are told.
func (p *Plane) Run(ctx context.Context) error {
	if p.running.Swap(true) {
		return errors.New("events: Run was called before")
	}
	var workers sync.WaitGroup
	tick := time.NewTicker(max(p.o.Patience/4, time.Millisecond))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.wake:
			p.hire(ctx, &workers)
		case <-tick.C:
			p.tick()
		}
	}
	p.close()
	for p.hire(ctx, &workers) {
		workers.Wait()
	}
	workers.Wait()
	return p.seeds.close()
}

// hire starts a worker for each job, and tells whether there was any.
func (p *Plane) hire(ctx context.Context, workers *sync.WaitGroup) bool {
	p.mu.Lock()
	jobs := p.jobs
	p.jobs = nil
	p.mu.Unlock()
	for _, j := range jobs {
		workers.Go(func() { p.work(ctx, j) })
	}
	return len(jobs) > 0
}

// tick looks after batches that wait for too long.
func (p *Plane) tick() {
	p.o.Metrics.Seeds.WithLabelValues().Set(float64(p.seeds.len()))
	p.o.Metrics.IDs.WithLabelValues().Set(float64(p.ids.len()))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		p.relieve(l)
	}
}

// close ends intake and sends what gathers on its way.
func (p *Plane) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.lanes {
		if l.open != nil {
			l.sealOpen()
		}
		p.start(l)
	}
	if len(p.lanes) == 0 {
		p.idleOnce.Do(func() { close(p.idle) })
	}
}

// Flush takes no more events and returns when all that were accepted are
// delivered or spooled. It needs Run. If ctx ends first, Run's end spools the
// rest.
func (p *Plane) Flush(ctx context.Context) error {
	p.close()
	select {
	case <-p.idle:
		return nil
	case <-ctx.Done():
		s := p.Status()
		return fmt.Errorf("events: flush: %d bytes of events are still on their way: %w", s.Memory, context.Cause(ctx))
	}
}

// Status is what there is at one moment.
type Status struct {
	Mode         Mode
	Closed       bool  // nothing is accepted any more
	Memory       int64 // bytes of events without an outcome
	MaxMemory    int64
	Seeds        int // requests with seeds of their own that are remembered
	IDs          int // events whose ids are remembered
	Destinations []Destination
}

// A Destination is what is on its way to one event key and branch. Those with
// nothing on their way are not there.
type Destination struct {
	deliver.Destination
	Gathering int // events
	Waiting   int // batches
	Running   int // batches
	MaxBytes  int // of a batch
}

// Status returns what there is now.
func (p *Plane) Status() Status {
	s := Status{Mode: p.o.Mode, MaxMemory: p.o.MaxMemory, Seeds: p.seeds.len(), IDs: p.ids.len()}
	p.mu.Lock()
	s.Closed, s.Memory = p.closed, p.held
	for _, l := range p.lanes {
		d := Destination{Destination: l.key.Destination, Waiting: len(l.queue), Running: l.running}
		if l.open != nil {
			d.Gathering = l.open.events
		}
		if l.storing {
			d.Running++
		}
		s.Destinations = append(s.Destinations, d)
	}
	p.mu.Unlock()
	for i := range s.Destinations {
		d := &s.Destinations[i]
		d.MaxBytes = p.o.MaxBytes
		if n := p.o.Sender.Limit(d.Destination); n > 0 {
			d.MaxBytes = min(n, d.MaxBytes)
		}
	}
	slices.SortFunc(s.Destinations, func(a, b Destination) int {
		return strings.Compare(a.Environment+"\x00"+a.KeyID+"\x00"+a.Branch, b.Environment+"\x00"+b.KeyID+"\x00"+b.Branch)
	})
	return s
}
