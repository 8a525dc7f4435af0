package chaos

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A balancer passes connections on to gateways in turn, to those alone that say
// they are ready; it asks them often, as those before real gateways do.
type balancer struct {
	address  string
	listener net.Listener
	gateways []*gateway
	over     chan struct{}
	done     sync.WaitGroup

	mu    sync.Mutex
	ready []bool
	next  int
}

func newBalancer(tb testing.TB, gateways ...*gateway) *balancer {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	b := &balancer{address: ln.Addr().String(), listener: ln, gateways: gateways, over: make(chan struct{}), ready: make([]bool, len(gateways))}
	for i := range gateways {
		b.done.Go(func() { b.watch(i) })
	}
	b.done.Go(b.accept)
	tb.Cleanup(func() {
		close(b.over)
		ln.Close()
		b.done.Wait()
	})
	until(tb, "a balancer that found the gateways", func() bool { return b.size() == len(gateways) })
	return b
}

// watch asks one gateway until the end.
func (b *balancer) watch(i int) {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for {
		resp, err := client.Get("http://" + b.gateways[i].admin + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		b.mu.Lock()
		b.ready[i] = err == nil && resp.StatusCode == http.StatusOK
		b.mu.Unlock()
		select {
		case <-every.C:
		case <-b.over:
			return
		}
	}
}

// size is the number of gateways that are ready.
func (b *balancer) size() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ready := range b.ready {
		if ready {
			n++
		}
	}
	return n
}

// choose returns the gateway whose turn it is.
func (b *balancer) choose() *gateway {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.gateways {
		b.next = (b.next + 1) % len(b.gateways)
		if b.ready[b.next] {
			return b.gateways[b.next]
		}
	}
	return nil
}

func (b *balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.done.Go(func() { b.pass(c) })
	}
}

// pass passes one connection on, and ends both of its halves when one ends.
func (b *balancer) pass(c net.Conn) {
	defer c.Close()
	g := b.choose()
	if g == nil {
		return
	}
	back, err := net.Dial("tcp", g.inngest)
	if err != nil {
		return
	}
	defer back.Close()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(back, c) })
	both.Go(func() { copyHalf(c, back) })
	both.Wait()
}

// copyHalf copies one direction and passes its end on.
func copyHalf(to, from net.Conn) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}
