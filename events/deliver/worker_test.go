package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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
	acks, extended int
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
	was := p.out
	p.out = true
	return !was
}

func (p *paper) Ack(context.Context) error {
	time.Sleep(p.slowAck)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failAck > 0 {
		p.failAck--
		return errors.New("no")
	}
	p.acks++
	return nil
}

func (p *paper) Nak(context.Context, time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
	return nil
}

func (p *paper) Extend(context.Context) error {
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
	o := drainerOptions(&spool.Spool{}, c)
	o.Backoff, o.Extend = Backoff{Min: 100 * time.Millisecond, Max: time.Minute}, 2*time.Second
	d, err := NewDrainer(o)
	if err != nil {
		t.Fatal(err)
	}
	w := worker{d: d, lane: "l", next: func(ctx context.Context) (held, error) {
		for _, p := range papers {
			if p.handOut() {
				return held{p, p.Record, p.appended}, nil
			}
		}
		<-ctx.Done()
		return held{}, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); w.run(ctx) }()
	return func() { cancel(); <-ended }
}

func TestWorker_backsOffAndComesBackWhenInngestDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(500)
		c, a := inBubble(t, func() int { return int(status.Load()) }, func(o *Options) { o.Breaker.OpenFor = 10 * time.Second })
		first, second := newPaper("1", batch(5, 1, 2)), newPaper("2", batch(1, 1))
		second.Body = []byte(`[{"name":"x","n":"later"}]`)
		stop := workOn(t, c, first, second)
		pass(10 * time.Minute)
		if n := len(a.sent()); n < 20 || n > 70 {
			t.Errorf("%d POSTs in 10 minutes of outage", n)
		}
		status.Store(0)
		pass(time.Minute)
		if first.seen().acks != 1 || second.seen().acks != 1 || len(first.seen().letters) != 1 {
			t.Errorf("after the outage: %+v, %+v", first.seen(), second.seen())
		}
		stop()
	})
}

func TestWorker_honoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(http.StatusTooManyRequests)
		c, a := inBubble(t, func() int { return int(status.Load()) }, nil)
		p := newPaper("1", batch(1, 1))
		stop := workOn(t, c, p)
		synctest.Wait()
		status.Store(0)
		pass(19 * time.Second)
		if n := len(a.sent()); n != 1 {
			t.Errorf("%d POSTs within the time that was asked for", n)
		}
		pass(3 * time.Second)
		if p.seen().acks != 1 {
			t.Errorf("not delivered after it: %+v", p.seen())
		}
		stop()
	})
}

func TestWorker_claimsWhatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inBubble(t, func() int { time.Sleep(9 * time.Second); return 0 }, nil)
		p := newPaper("1", batch(1, 1))
		stop := workOn(t, c, p)
		pass(20 * time.Second)
		if p.seen().extended != 4 || p.seen().acks != 1 {
			t.Errorf("extended %d times in 9s, want 4; %d acks", p.seen().extended, p.seen().acks)
		}
		stop()
	})
}

func TestWorker_doesNotWaitForAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		var papers []*paper
		for n := range 10 {
			p := newPaper(fmt.Sprint(n), batch(1, 1))
			p.Body, p.slowAck = fmt.Appendf(nil, `[{"n":"%d"}]`, n), time.Second
			papers = append(papers, p)
		}
		stop := workOn(t, c, papers...)
		synctest.Wait()
		if n := len(a.sent()); n != maxAcks+1 {
			t.Errorf("%d POSTs while the first acknowledgement is on its way, want %d", n, maxAcks+1)
		}
		pass(10 * time.Second)
		stop()
		for n, p := range papers {
			if p.seen().acks != 1 {
				t.Errorf("record %d has %d acks", n, p.seen().acks)
			}
		}
	})
}

func TestWorker_removesWhatWasDeliveredWithoutSendingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { time.Sleep(time.Millisecond); return 0 }, nil)
		p := newPaper("1", batch(1, 1))
		p.failAck = 1
		again := newPaper("1", batch(1, 1))
		other := newPaper("2", batch(1, 1))
		other.Body = []byte(`[{"n":"2"}]`)
		stop := workOn(t, c, p, other, again)
		pass(time.Second)
		stop()
		if n := len(a.sent()); n != 2 || again.seen().acks != 1 {
			t.Errorf("%d POSTs, want 2; %d acks, want 1", n, again.seen().acks)
		}
	})
}

func TestWorker_keepsTheRecordWhileThereIsNoPlaceForDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := inBubble(t, func() int { return 0 }, nil)
		p := newPaper("1", batch(4, 1, 0, 2))
		p.failAside = 5
		stop := workOn(t, c, p)
		pass(time.Second)
		if p.seen().acks != 0 {
			t.Error("removed before its dead letters were kept")
		}
		posts := len(a.sent())
		pass(time.Minute)
		stop()
		if p.seen().acks != 1 || len(p.seen().letters) != 2 || len(a.sent()) != posts {
			t.Errorf("acks %d, letters %v, %d POSTs after %d", p.seen().acks, p.seen().letters, len(a.sent()), posts)
		}
	})
}

func TestWorker_setsAsideWhatItCannotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := inBubble(t, func() int { return 0 }, nil)
		p := newPaper("1", batch(3, 1))
		p.Seed = "none"
		stop := workOn(t, c, p)
		pass(time.Second)
		stop()
		if p.seen().acks != 1 || len(p.seen().letters) != 1 {
			t.Errorf("acks %d, letters %v", p.seen().acks, p.seen().letters)
		}
	})
}
