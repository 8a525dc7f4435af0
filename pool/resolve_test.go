package pool

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/test/faultyapp"
)

// names answers lookups in a bubble.
type names struct {
	mu    sync.Mutex
	ips   []netip.Addr
	err   error
	asked int
}

func (n *names) set(err error, ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err, n.ips = err, nil
	for _, ip := range ips {
		n.ips = append(n.ips, netip.MustParseAddr(ip))
	}
}

func (n *names) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if host != "app.internal" {
		return nil, errors.New("another name")
	}
	return append([]netip.Addr(nil), n.ips...), n.err
}

// resolving runs a test on an upstream whose name is looked up every 30 s.
func resolving(t *testing.T, test func(*testing.T, *Upstream, *names, *faultyapp.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		var n names
		n.set(nil, "10.0.0.1", "10.0.0.2")
		o := options(t, "dns+http://app.internal:3000").inMemory(&network)
		o.Lookup = n.lookup
		test(t, run(t, o), &n, &network)
	})
}

func addresses(u *Upstream) (all []string) {
	for _, s := range u.Status() {
		all = append(all, s.Address)
	}
	return all
}

func wantAddresses(t *testing.T, u *Upstream, want ...string) {
	t.Helper()
	synctest.Wait()
	got := addresses(u)
	if len(got) != len(want) {
		t.Fatalf("addresses %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("addresses %v, want %v", got, want)
		}
	}
}

func TestResolve_followsTheName(t *testing.T) {
	resolving(t, func(t *testing.T, u *Upstream, n *names, network *faultyapp.Network) {
		one := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("10.0.0.1:3000")})
		two := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("10.0.0.2:3000")})
		v6 := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("[fd00::3]:3000")})
		wantAddresses(t, u, "10.0.0.1:3000", "10.0.0.2:3000")
		one.Make(faultyapp.Fault{Serve: afterASecond})
		two.Make(faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
			if x.Request.Host != "app.internal:3000" {
				t.Errorf("host %q, want the name", x.Request.Host)
			}
			return x.Send(x.Own())
		}})
		for range 20 {
			mustDo(t, u, post("x"))
		}
		if one.Requests() == 0 || two.Requests() == 0 {
			t.Errorf("requests: %d and %d", one.Requests(), two.Requests())
		}
		kept := two.Accepted()

		n.set(nil, "fd00::3", "10.0.0.2", "::ffff:10.0.0.2", "10.0.0.2")
		time.Sleep(31 * time.Second)
		wantAddresses(t, u, "10.0.0.2:3000", "[fd00::3]:3000")
		if one.Open() != 0 {
			t.Errorf("%d connections to an address that is gone", one.Open())
		}
		mustDo(t, u, post("x"))
		if kept == 0 || two.Accepted() > kept+1 {
			t.Errorf("%d connections to the address that stayed, %d before", two.Accepted(), kept)
		}
		closed := u.opt.Breaker.Metrics.State.WithLabelValues("shop", "dns+http://app.internal:3000", "closed")
		if got := testutil.ToFloat64(closed); got != 2 {
			t.Errorf("%v closed breakers of the endpoint, want 2", got)
		}
		for _, app := range []*faultyapp.App{one, two, v6} {
			app.Stop()
		}
	})
}

func TestResolve_keepsWhatItKnowsWhenTheNameServerIsDown(t *testing.T) {
	resolving(t, func(t *testing.T, u *Upstream, n *names, _ *faultyapp.Network) {
		wantAddresses(t, u, "10.0.0.1:3000", "10.0.0.2:3000")
		n.set(errors.New("no name server"))
		time.Sleep(2 * time.Minute)
		wantAddresses(t, u, "10.0.0.1:3000", "10.0.0.2:3000")
		n.set(nil) // an answer without addresses
		time.Sleep(time.Minute)
		wantAddresses(t, u, "10.0.0.1:3000", "10.0.0.2:3000")
		n.set(nil, "10.0.0.9")
		time.Sleep(time.Minute)
		wantAddresses(t, u, "10.0.0.9:3000")
	})
}

func TestResolve_looksAgainSoonWhenAnAddressRefuses(t *testing.T) {
	resolving(t, func(t *testing.T, u *Upstream, n *names, network *faultyapp.Network) {
		wantAddresses(t, u, "10.0.0.1:3000", "10.0.0.2:3000")
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("10.0.0.7:3000")})
		n.set(nil, "10.0.0.7")
		for range 50 {
			_, err := u.Do(t.Context(), post("x"))
			wantError(t, err, inngest.CodeUpstreamRefused)
		}
		time.Sleep(1100 * time.Millisecond)
		wantAddresses(t, u, "10.0.0.7:3000")
		mustDo(t, u, post("x"))
		if n.asked != 2 {
			t.Errorf("%d lookups, want the first and one more for all refusals", n.asked)
		}
		app.Stop()
	})
}

func TestResolve_refusesUntilAnAddressIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network faultyapp.Network
		var n names
		n.set(errors.New("no such host"))
		o := options(t, "dns+http://app.internal:3000").inMemory(&network)
		o.Lookup = n.lookup
		u := run(t, o)
		time.Sleep(time.Second)
		_, err := u.Do(t.Context(), post("x"))
		if e := wantError(t, err, inngest.CodeUpstreamRefused); e.Sent || u.Usable() {
			t.Errorf("%v, sent %v, usable %v", e, e.Sent, u.Usable())
		}
		n.set(nil, "10.0.0.1")
		time.Sleep(1100 * time.Millisecond)
		wantAddresses(t, u, "10.0.0.1:3000")
	})
}

// A call that runs when its address goes away ends as any other, and the limit
// on silence holds for it too.
func TestResolve_letsCallsEndOnAddressesThatAreGone(t *testing.T) {
	resolving(t, func(t *testing.T, u *Upstream, n *names, network *faultyapp.Network) {
		app := faultyapp.Start(t, faultyapp.Options{Listener: network.Listen("10.0.0.1:3000")})
		n.set(nil, "10.0.0.1")
		time.Sleep(31 * time.Second)
		wantAddresses(t, u, "10.0.0.1:3000")
		app.Make(faultyapp.Fault{Serve: func(x *faultyapp.Exchange) bool {
			if x.Body == "hang" {
				x.Hang()
			}
			return x.Pause(29*time.Second) && x.Send(x.Own())
		}})
		time.Sleep(20 * time.Second)
		n.set(nil, "10.0.0.2")
		var calls sync.WaitGroup
		calls.Go(func() { mustDo(t, u, post("slow")) })
		calls.Go(func() {
			_, err := u.Do(t.Context(), post("hang"))
			wantError(t, err, inngest.CodeUpstreamTimeout)
		})
		calls.Wait()
		wantAddresses(t, u, "10.0.0.2:3000")
		if app.Open() > 1 { // the one that hangs notices nothing
			t.Errorf("%d connections to an address that is gone", app.Open())
		}
		app.Stop()
	})
}
