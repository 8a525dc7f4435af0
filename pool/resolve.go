package pool

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// resolvePause is the shortest time between two lookups that failed dials ask
// for.
const resolvePause = time.Second

// A source is a dns+http endpoint: one endpoint for each address that its name
// has now.
type source struct {
	up   *Upstream
	name string
	addr address
	host string
	ask  chan struct{} // a dial failed: the addresses may have changed

	mu      sync.Mutex
	members []member // in the order of their addresses
	err     error    // of the last lookup
}

type member struct {
	ip       netip.Addr
	endpoint *endpoint
	stop     context.CancelFunc // ends its watch
}

func newSource(u *Upstream, name string, a address) *source {
	host, _, _ := net.SplitHostPort(a.hostPort)
	return &source{up: u, name: name, addr: a, host: host, ask: make(chan struct{}, 1)}
}

func (s *source) endpoints() []*endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	eps := make([]*endpoint, len(s.members))
	for i, m := range s.members {
		eps[i] = m.endpoint
	}
	return eps
}

// run looks the name up again and again, and watches the endpoints it has.
func (s *source) run(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.ask:
			select { // not for every dial that fails
			case <-ctx.Done():
				return
			case <-time.After(resolvePause):
			}
		}
		s.refresh(ctx, &watches)
		next := s.up.opt.ResolveInterval
		if len(s.endpoints()) == 0 {
			next = min(next, resolvePause)
		}
		timer.Reset(next)
	}
}

// refresh looks the name up. When that fails, the addresses known before stay:
// a name server that is down takes no app down.
func (s *source) refresh(ctx context.Context, watches *sync.WaitGroup) {
	lookup := s.up.opt.Lookup
	if lookup == nil {
		lookup = lookupIP
	}
	limited, cancel := context.WithTimeout(ctx, max(s.up.opt.DialTimeout, time.Second))
	defer cancel()
	ips, err := lookup(limited, s.host)
	if err == nil && len(ips) == 0 {
		err = errors.New("the name has no address")
	}
	if ctx.Err() != nil {
		return
	}
	log := s.up.opt.Log.With(slog.String("app", s.up.opt.App), slog.String("endpoint", s.name))
	s.mu.Lock()
	news := (err == nil) != (s.err == nil)
	s.err = err
	s.mu.Unlock()
	switch {
	case err != nil && news:
		log.Warn("name lookup failed; the addresses known before stay in use", slog.Any("err", err))
	case err == nil && news:
		log.Info("name lookup works again")
	}
	if err == nil && s.replace(ctx, ips, watches) {
		s.up.publish()
		log.Info("endpoint has other addresses", slog.Int("addresses", len(ips)))
	}
}

// replace makes ips the addresses of the source. Endpoints whose address stays
// keep their connections and breaker.
func (s *source) replace(ctx context.Context, ips []netip.Addr, watches *sync.WaitGroup) (changed bool) {
	for i, ip := range ips {
		ips[i] = ip.Unmap() // Go's resolver gives addresses of a hosts file as IPv6
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.Compact(ips)
	s.mu.Lock()
	old := s.members
	s.mu.Unlock()
	next := make([]member, 0, len(ips))
	for _, ip := range ips {
		if i := slices.IndexFunc(old, func(m member) bool { return m.ip == ip }); i >= 0 {
			next = append(next, old[i])
			continue
		}
		e, err := s.up.newEndpoint(s.name, s.addr.at(ip))
		if err != nil {
			s.up.opt.Log.Error("endpoint cannot be made", slog.String("endpoint", s.name), slog.Any("err", err))
			continue
		}
		e.source = s
		watchCtx, stop := context.WithCancel(ctx)
		watches.Go(func() { e.watch(watchCtx) })
		next = append(next, member{ip, e, stop})
		changed = true
	}
	s.mu.Lock()
	s.members = next
	s.mu.Unlock()
	for _, m := range old {
		if !slices.ContainsFunc(next, func(n member) bool { return n.ip == m.ip }) {
			m.stop()
			s.up.retire(m.endpoint)
			changed = true
		}
	}
	return changed
}

// doubt asks for a lookup: an address did not answer.
func (s *source) doubt() {
	select {
	case s.ask <- struct{}{}:
	default:
	}
}

func lookupIP(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
