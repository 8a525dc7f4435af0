package deliver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// paper is a delivery that notes what happens to it.
type paper struct {
	spool.Record
	appended  time.Time
	failAck   int // so many times
	failAside int // so many times
	slowAck   time.Duration

	mu sync.Mutex
	noted
}

type noted struct {
	out            bool
	until          time.Time // not handed out before
	acks, extended int
	dropped        int
	letters        []string
}

func (p *paper) seen() noted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noted
}

func (p *paper) handOut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out || p.acks > 0 || time.Now().Before(p.until) {
		return false
	}
	p.out = true
	return true
}

func (p *paper) Ack(context.Context) error {
	time.Sleep(p.slowAck)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failAck > 0 {
		p.failAck--
		p.out = false // it comes again
		return errors.New("no")
	}
	p.acks++
	return nil
}

func (p *paper) Nak(_ context.Context, delay time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out, p.until = false, time.Now().Add(delay)
	return nil
}

// lapse has a claim end.
func (p *paper) lapse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
}

// forget has the record come again at once.
func (p *paper) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out, p.until = false, time.Time{}
}

func (p *paper) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped++
}

func (p *paper) Extend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extended++
	return nil
}

func (p *paper) SetAside(_ context.Context, r spool.Record, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failAside > 0 {
		p.failAside--
		return errors.New("disk full")
	}
	p.letters = append(p.letters, fmt.Sprintf("%d: %s", r.Count, reason))
	return nil
}

// pass lets time pass and what is due then happen.
func pass(wait time.Duration) {
	time.Sleep(wait)
	synctest.Wait()
}

func newPaper(id string, b *Batch) *paper {
	return &paper{appended: time.Now(), Record: spool.Record{
		ID: id, Environment: b.Environment, KeyID: b.KeyID, Seed: b.Seed.String(), Count: b.Count, Body: b.Body,
	}}
}

// workOn runs a worker on papers. As the spool does, it hands out the first one
// that nobody holds.
func workOn(t *testing.T, c *Client, papers ...*paper) (stop func()) {
	t.Helper()
	return workWith(t, 500, c, papers...)
}

func workWith(t *testing.T, maxEvents int, c *Client, papers ...*paper) (stop func()) {
	t.Helper()
	_, stop = workUnder(t, c, func(o *DrainerOptions) { o.MaxEvents = maxEvents }, papers...)
	return stop
}

func workUnder(t *testing.T, c *Client, change func(*DrainerOptions), papers ...*paper) (d *Drainer, stop func()) {
	t.Helper()
	o := drainerOptions(&spool.Spool{}, c)
	o.Backoff, o.Extend = Backoff{Min: 100 * time.Millisecond, Max: time.Minute}, 2*time.Second
	o.SetBack = Backoff{Min: time.Second, Max: 5 * time.Minute}
	if change != nil {
		change(&o)
	}
	d, err := NewDrainer(o)
	if err != nil {
		t.Fatal(err)
	}
	w := worker{d: d, lane: "l", next: func(ctx context.Context, wait bool) (held, bool, error) {
		for {
			for _, p := range papers {
				if p.handOut() {
					return held{p, p.Record, p.appended, time.Since(p.appended) > o.MaxAge}, true, nil
				}
			}
			if !wait || ctx.Err() != nil {
				return held{}, false, ctx.Err()
			}
			sleep(ctx, 300*time.Millisecond, nil)
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.run(ctx) }()
	return d, func() { cancel(); <-ended }
}
