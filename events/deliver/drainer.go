package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// source is the spool.
type source interface {
	Lanes() ([]*spool.Lane, <-chan struct{})
	Backlog(ctx context.Context) (spool.Backlog, error)
	Stats() spool.Stats
}

// sender is the Client.
type sender interface {
	Send(ctx context.Context, b *Batch) Result
	Recovered(environment string) <-chan struct{}
	Limit(d Destination) int
}

// DrainerOptions configures a Drainer.
type DrainerOptions struct {
	Spool       source // open while Run runs
	Client      sender
	Concurrency int              // batches on their way at once, over all destinations, > 0
	MaxEvents   int              // in one POST of several records, > 0
	Backoff     Backoff          // of one destination
	MaxAge      time.Duration    // a batch that is still tried after so long in the spool becomes a dead letter, > 0
	SetBack     Backoff          // of a batch that gets no clear answer while others are taken
	MaxSetBack  int              // batches of one lane that are set back at the same time, > 0; the spool gives out others beside them
	Extend      time.Duration    // how often batches are claimed again, well below the spool's AckWait, > 0
	Look        time.Duration    // how often the backlog is measured, > 0
	Now         func() time.Time // what MaxAge is measured with
	Metrics     *metrics.Deliver
	Log         *slog.Logger
}

func (o DrainerOptions) check() error {
	switch {
	case o.Spool == nil:
		return errors.New("deliver: Spool is missing")
	case o.Client == nil:
		return errors.New("deliver: Client is missing")
	case o.Concurrency <= 0:
		return fmt.Errorf("deliver: Concurrency is %d, must be above 0", o.Concurrency)
	case o.MaxEvents <= 0:
		return fmt.Errorf("deliver: MaxEvents is %d, must be above 0", o.MaxEvents)
	case o.Backoff.Min <= 0 || o.Backoff.Max < o.Backoff.Min:
		return fmt.Errorf("deliver: Backoff is from %v to %v, must be above 0 and rise", o.Backoff.Min, o.Backoff.Max)
	case o.SetBack.Min <= 0 || o.SetBack.Max < o.SetBack.Min:
		return fmt.Errorf("deliver: SetBack is from %v to %v, must be above 0 and rise", o.SetBack.Min, o.SetBack.Max)
	case o.MaxSetBack <= 0:
		return fmt.Errorf("deliver: MaxSetBack is %d, must be above 0", o.MaxSetBack)
	case o.MaxAge <= 0:
		return fmt.Errorf("deliver: MaxAge is %v, must be above 0", o.MaxAge)
	case o.Extend <= 0:
		return fmt.Errorf("deliver: Extend is %v, must be above 0", o.Extend)
	case o.Look <= 0:
		return fmt.Errorf("deliver: Look is %v, must be above 0", o.Look)
	case o.Now == nil:
		return errors.New("deliver: Now is missing")
	case o.Metrics == nil:
		return errors.New("deliver: Metrics is missing")
	case o.Log == nil:
		return errors.New("deliver: Log is missing")
	}
	return nil
}

// A Drainer brings what is in the spool to Inngest.
type Drainer struct {
	o     DrainerOptions
	slots chan struct{} // one for each batch on its way

	mu      sync.Mutex
	quiet   map[string]*quiet // by line
	status  DrainStatus
	blocked map[string]Blocked // by lane
	setBack map[string]setBack // by record id
	drained int64              // events
}

// setBack is a record that was set back.
type setBack struct {
	events int
	due    time.Time // when it comes again
}

// DrainStatus is how the spool is doing.
type DrainStatus struct {
	At      time.Time // of the last look; zero: there was none
	Backlog spool.Backlog
	Rate    float64 // events a second that Inngest took between the last two looks
	Blocked []Blocked

	// What gets no clear answer while others are taken: it was set back.
	SetBackRecords, SetBackEvents int
}

// Blocked is a destination whose oldest batch Inngest does not take now.
type Blocked struct {
	Destination
	Since    time.Time
	Attempts int
	Err      string // of the last attempt
}

// NewDrainer checks the options. It starts nothing; see [Drainer.Run].
func NewDrainer(o DrainerOptions) (*Drainer, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Drainer{o: o, slots: make(chan struct{}, o.Concurrency), quiet: map[string]*quiet{}, blocked: map[string]Blocked{}, setBack: map[string]setBack{}}, nil
}

// Run delivers until ctx ends. What is on its way then is given back, and goes
// out again with the same ids. The spool's own failures are waited out.
func (d *Drainer) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.look(ctx) })
	started := map[string]bool{}
	for {
		lanes, more := d.o.Spool.Lanes()
		for _, l := range lanes {
			if started[l.Name()] {
				continue
			}
			started[l.Name()] = true
			w := worker{d: d, lane: l.Name(), next: nextOf(l)}
			running.Go(func() { w.run(ctx) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// nextOf hides what a delivery is made of.
func nextOf(l *spool.Lane) func(context.Context, bool) (held, bool, error) {
	return func(ctx context.Context, wait bool) (held, bool, error) {
		next := l.TryNext
		if wait {
			next = l.Next
		}
		got, err := next(ctx)
		if err != nil || got == nil {
			return held{}, false, err
		}
		return held{got, got.Record, got.Appended, got.Expired}, true, nil
	}
}

// look measures the backlog.
func (d *Drainer) look(ctx context.Context) {
	tick := time.NewTicker(d.o.Look)
	defer tick.Stop()
	var before spool.Stats
	var drained int64
	for last := time.Now(); ; {
		b, err := d.o.Spool.Backlog(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.complain("spool backlog unknown", err)
		default:
			now, total := time.Now(), d.total()
			d.show(b, float64(total-drained)/max(now.Sub(last), time.Millisecond).Seconds())
			drained, last = total, now
		}
		before = d.countIncidents(before)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Drainer) total() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drained
}

func (d *Drainer) show(b spool.Backlog, rate float64) {
	m, age := d.o.Metrics, 0.0
	if !b.Oldest.IsZero() {
		age = max(d.o.Now().Sub(b.Oldest), 0).Seconds()
	}
	m.Backlog.WithLabelValues().Set(float64(b.Records))
	m.Waiting.WithLabelValues().Set(float64(b.Events))
	m.Bytes.WithLabelValues().Set(float64(b.Bytes))
	m.Oldest.WithLabelValues().Set(age)
	m.Kept.WithLabelValues().Set(float64(b.DeadLetters))
	m.Rate.WithLabelValues().Set(rate)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = DrainStatus{At: d.o.Now(), Backlog: b, Rate: rate}
	_, doubtful := d.countSetBack()
	m.Doubtful.WithLabelValues().Set(float64(doubtful))
}

// countSetBack counts what was set back, without what somebody else must have
// taken since. The lock is held.
func (d *Drainer) countSetBack() (records, events int) {
	late := time.Now().Add(-2 * d.o.SetBack.Max)
	for id, s := range d.setBack {
		if s.due.Before(late) {
			delete(d.setBack, id)
			continue
		}
		records++
		events += s.events
	}
	return records, events
}

func (d *Drainer) showSetBack(i *item, due time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setBack[i.record.ID] = setBack{i.events(), due}
}

func (d *Drainer) hideSetBack(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.setBack, id)
}

// countIncidents adds what happened in the spool since it was asked before.
func (d *Drainer) countIncidents(before spool.Stats) spool.Stats {
	now := d.o.Spool.Stats()
	for kind, n := range map[string]int64{
		"damaged_file":   now.DamagedFiles - before.DamagedFiles,
		"damaged_record": now.DamagedRecords - before.DamagedRecords,
		"damaged_stream": now.DamagedStreams - before.DamagedStreams,
		"leftover":       now.Leftovers - before.Leftovers,
		"too_old":        now.Expired - before.Expired,
		"restart":        now.Restarts - before.Restarts,
	} {
		d.o.Metrics.Incidents.WithLabelValues(kind).Add(float64(n))
	}
	return now
}

// Status returns what the last look found, and who is blocked now.
func (d *Drainer) Status() DrainStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.SetBackRecords, s.SetBackEvents = d.countSetBack()
	for _, b := range d.blocked {
		s.Blocked = append(s.Blocked, b)
	}
	slices.SortFunc(s.Blocked, func(x, y Blocked) int {
		return cmp.Or(cmp.Compare(x.Environment, y.Environment), cmp.Compare(x.Branch, y.Branch), cmp.Compare(x.KeyID, y.KeyID))
	})
	return s
}

// complain logs trouble with the spool itself, each line once a minute.
func (d *Drainer) complain(what string, err error) {
	d.mu.Lock()
	q := d.quiet[what]
	if q == nil {
		q = &quiet{}
		d.quiet[what] = q
	}
	d.mu.Unlock()
	if left, due := q.line(); due {
		d.o.Log.Error(what, "err", err, "left_out", left)
	}
}
