package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// A pooled app has few connections. Who finds none waits its turn for a while,
// and is told that all are in use.
type pooled struct {
	fakeApp
	conns chan struct{} // that are in use; its senders take turns
	wait  time.Duration
	asked atomic.Int32
}

func newPooled(conns int, wait time.Duration) *pooled {
	p := &pooled{conns: make(chan struct{}, conns), wait: wait}
	p.step = takes(10 * time.Second)
	return p
}

func (p *pooled) Do(ctx context.Context, c *call.Call) (*call.Answer, error) {
	p.asked.Add(1)
	select {
	case p.conns <- struct{}{}:
	default:
		select {
		case p.conns <- struct{}{}:
		case <-time.After(p.wait):
			return nil, &pool.Error{Code: inngest.CodeUpstreamBusy, Endpoint: "e", Err: errors.New("busy")}
		}
	}
	defer func() { <-p.conns }()
	return p.fakeApp.Do(ctx, c)
}

func (p *pooled) room(t *testing.T, adaptive bool) *Room {
	o := options(t, &p.fakeApp)
	o.Callee, o.Wait.Max = p, time.Hour
	o.Concurrency = Concurrency{Min: 10, Max: 1000, Adaptive: adaptive}
	return newRoom(t, o)
}

// 60 calls want 5 connections, fewer than the least that the limit can be.
func TestRoom_asksABusyPoolRarelyAndInOrder(t *testing.T) {
	for _, adaptive := range []bool{true, false} {
		for _, wait := range []time.Duration{0, time.Millisecond, 3 * time.Second} {
			t.Run(fmt.Sprintf("adaptive %v, connections.wait %v", adaptive, wait), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPooled(5, wait)
					r := p.room(t, adaptive)
					var want []string
					var all []<-chan result
					for i := range 60 {
						want = append(want, fmt.Sprint(i))
						all = append(all, send(r, newCall(want[i])))
						time.Sleep(7 * time.Millisecond)
					}
					time.Sleep(9 * time.Second)
					if got := r.Status().Limit; got != 5 {
						t.Errorf("limit = %d, want the 5 that find a connection", got)
					}
					for _, one := range all {
						wantAnswer(t, <-one)
					}
					if n := p.asked.Load(); n > 60+60+30 {
						t.Errorf("the pool was asked %d times for 60 calls, want once each, once more to learn it, and rarely after that", n)
					}
					if got := p.seen(); !slices.Equal(got, want) {
						t.Errorf("order = %v, want that of arrival", got)
					}
				})
			})
		}
	}
}

// Calls that never wait have all the connections, so that no end of a call of
// the room tells when one is free.
func TestRoom_asksAPoolThatOthersFillNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(2, 0)
		p.step = nil
		p.conns <- struct{}{}
		p.conns <- struct{}{}
		r := p.room(t, true)
		var all []<-chan result
		for i := range 20 {
			all = append(all, send(r, newCall(fmt.Sprint(i))))
		}
		time.Sleep(10 * time.Second)
		if n := p.asked.Load(); n < 10 || n > 10*20+20 {
			t.Errorf("the pool was asked %d times in 10 s, want now and then, each 50 ms at most", n)
		}
		<-p.conns
		<-p.conns
		began := time.Now()
		for _, one := range all {
			wantAnswer(t, <-one)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the last call was answered %v after a connection was free", took)
		}
	})
}

func TestRoom_usesConnectionsThatAreThereAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(40, 0)
		for range 35 {
			p.conns <- struct{}{}
		}
		r := p.room(t, false)
		stop := make(chan struct{})
		load(r, 100, stop)
		time.Sleep(30 * time.Second)
		if got := r.Status().Limit; got > 6 {
			t.Errorf("limit = %d, want about 5, for which there are connections", got)
		}
		for range 35 {
			<-p.conns
		}
		time.Sleep(4 * time.Minute)
		if got := r.Status().Running; got < 39 {
			t.Errorf("%d calls run four minutes after 40 connections were free", got)
		}
		close(stop)
		time.Sleep(10 * time.Minute)
	})
}

// What others wait for is what the error says.
func TestRoom_saysThatConnectionsAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(1, 0)
		p.step = takes(time.Hour)
		r := p.room(t, true)
		send(r, newCall("running"))
		synctest.Wait()
		send(r, newCall("came back"))
		synctest.Wait()
		c := newCall("never sent")
		c.Signed = time.Time{}
		r.mu.Lock()
		r.patience.limit = 10 * time.Second
		r.mu.Unlock()
		if e := refusal(t, <-send(r, c)); e.Code != inngest.CodeUpstreamBusy {
			t.Errorf("error = %v, want upstream_busy", e)
		}
		r.Drain()
		time.Sleep(2 * time.Hour)
	})
}

// A connection is free when a call has ended: nobody waits for longer.
func TestRoom_goesOnWhenAConnectionIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPooled(1, 0)
		p.step = takes(20 * time.Millisecond)
		r := p.room(t, true)
		send(r, newCall("first"))
		synctest.Wait()
		got := <-send(r, newCall("second"))
		wantAnswer(t, got)
		if got.after != 40*time.Millisecond {
			t.Errorf("answered after %v, want 40 ms: at once when the first had ended", got.after)
		}
	})
}
