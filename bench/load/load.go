package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Options configures a Load.
type Options struct {
	Address string        // of the listener, host:port
	Form    Requests      // a [Form] or [EventForm]
	Callers int           // at once, > 0
	Rate    float64       // calls a second of all callers together; 0: as fast as answers come
	Limit   time.Duration // for one call, > 0
}

// Requests makes the requests of a load, another one for each caller.
type Requests interface {
	request() (message, error)
	fresh() bool // a new connection for each call
}

// A message is a request that is sent again and again, changed in place.
type message interface {
	// begin makes it the first one of a slice of time, of the caller of that
	// number; next is called before each call.
	begin(caller int, now time.Time)
	next(now time.Time)
	parts() (head, body []byte)
	// check tells whether an answer is the one to it.
	check(*Answer) error
}

// A Load is a number of callers whose connections outlive a slice of time.
type Load struct {
	options Options
	callers []*Caller
	request []message
}

// New returns a load that has not called yet.
func New(o Options) (*Load, error) {
	if o.Callers <= 0 || o.Limit <= 0 || o.Rate < 0 {
		return nil, fmt.Errorf("load: %d callers, limit %s, rate %v", o.Callers, o.Limit, o.Rate)
	}
	l := &Load{options: o}
	for range o.Callers {
		r, err := o.Form.request()
		if err != nil {
			return nil, err
		}
		l.request = append(l.request, r)
		l.callers = append(l.callers, NewCaller(o.Address, o.Form.fresh(), o.Limit))
	}
	return l, nil
}

// A Result is what callers saw in a slice of time.
type Result struct {
	Calls     int64         // answered as wanted
	Refused   int64         // by a gateway that has no room, see [EventForm]
	Took      time.Duration // from the first call to the last answer
	Bytes     int64         // of the answers' bodies as they came
	Latencies *hdrhistogram.Histogram
}

// NewHistogram returns one for latencies in nanoseconds: 1 µs to a minute, three
// digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1_000, int64(time.Minute), 3)
}

// Run makes calls for d, one of each caller at least, and returns when the last
// is answered. An answer that is
// not the app's, or not the one to its call, is an error: figures of a load that
// fails are worth nothing.
func (l *Load) Run(ctx context.Context, d time.Duration) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]Result, len(l.callers))
	failures := make([]error, len(l.callers))
	start := time.Now()
	var wg sync.WaitGroup
	for i := range l.callers {
		wg.Go(func() {
			results[i], failures[i] = l.work(ctx, i, start, start.Add(d))
			if failures[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	total := Result{Took: time.Since(start), Latencies: NewHistogram()}
	for _, r := range results {
		total.Calls += r.Calls
		total.Refused += r.Refused
		total.Bytes += r.Bytes
		total.Latencies.Merge(r.Latencies)
	}
	if err := errors.Join(failures...); err != nil {
		return total, err
	}
	return total, ctx.Err()
}

// refusedPause is how long a caller waits after a refusal that it expects.
const refusedPause = 20 * time.Millisecond

func (l *Load) work(ctx context.Context, i int, start, end time.Time) (Result, error) {
	result := Result{Latencies: NewHistogram()}
	caller, request := l.callers[i], l.request[i]
	request.begin(i, start)
	interval, due := l.schedule(i, start)
	for first := true; ctx.Err() == nil; first = false {
		now := time.Now()
		began := now
		if interval == 0 && !first && !now.Before(end) {
			break
		}
		if interval > 0 {
			if !due.Before(end) || !wait(ctx, due) {
				break
			}
			// Time spent late is the callee's as well: a caller who came then
			// would have waited.
			began = due
			due = due.Add(interval)
		}
		request.next(now)
		answer, err := caller.call(request)
		if err == nil {
			err = request.check(answer)
		}
		if errors.Is(err, errNoRoom) {
			result.Refused++
			wait(ctx, time.Now().Add(refusedPause))
			continue
		}
		if err != nil {
			return result, fmt.Errorf("call %d to %s: %w", result.Calls+1, l.options.Address, err)
		}
		result.Calls++
		result.Bytes += answer.Size
		if err := result.Latencies.RecordValue(int64(time.Since(began))); err != nil {
			return result, err
		}
	}
	return result, nil
}

// schedule spreads the calls of an open loop evenly over the callers.
func (l *Load) schedule(i int, start time.Time) (interval time.Duration, first time.Time) {
	if l.options.Rate == 0 {
		return 0, start
	}
	interval = time.Duration(float64(len(l.callers)) / l.options.Rate * float64(time.Second))
	return interval, start.Add(interval * time.Duration(i) / time.Duration(len(l.callers)))
}

func wait(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Close closes the connections of all callers.
func (l *Load) Close() {
	for _, c := range l.callers {
		c.Close()
	}
}
