package admission

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A shared is a whole answer that several calls get, or that is kept because
// nobody got it.
type shared struct {
	room  *Room
	inner *call.Answer
	refs  atomic.Int32
	got   atomic.Bool // by a caller

	keep   bool // until somebody got it
	gone   bool // the leader's caller had hung up: what is written to it is lost
	work   work
	id     inngest.Identity
	target []byte
	rest   uint64 // hash of the body without ctx: the state that the answer belongs to
	bytes  int64
	until  time.Time
}

// take returns the answer for one of those who get it; lost if its caller is
// known to be gone. Bodies are shared, the list of fields is not: who gets it
// may change it.
func (s *shared) take(lost bool) *call.Answer {
	a := *s.inner
	a.Fields = slices.Clone(s.inner.Fields)
	a.Settled = false
	a.Free = func(a *call.Answer) { s.release(a.Settled && !lost) }
	return &a
}

func (s *shared) release(got bool) {
	if got {
		s.got.Store(true)
	}
	if s.refs.Add(-1) > 0 {
		return
	}
	if s.got.Load() || !s.keep || !s.room.store(s) {
		s.inner.Release()
	}
}

// keepable tells whether an answer is worth a replay: an app's own, and good.
func (r *Room) keepable(a *call.Answer) bool {
	return r.opt.Guard.Replay > 0 && a.Code == "" && a.Status < 400 && a.FromSDK() && int64(len(a.Body)) <= r.opt.Guard.ReplayBytes
}

// identify notes what the answer is for, before its call is its owner's again.
func (s *shared) identify(f *flight, c *call.Call, seed maphash.Seed) {
	s.work, s.id, s.target = f.work, f.id, slices.Clone(c.Target)
	s.rest = maphash.Bytes(seed, withoutContext(c.Body))
	s.bytes = int64(len(s.inner.Body)) + 1024
	s.until = time.Now().Add(s.room.opt.Guard.Replay)
}

// store keeps an answer that nobody got. It takes the place of older ones.
func (r *Room) store(s *shared) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &r.guard
	if r.draining || !time.Now().Before(s.until) || s.bytes > r.opt.Guard.ReplayBytes {
		return false
	}
	if old := g.kept[s.work]; old != nil {
		r.unstore(old)
		old.inner.Release()
	}
	for g.bytes+s.bytes > r.opt.Guard.ReplayBytes {
		oldest := s
		for _, k := range g.kept {
			if k.until.Before(oldest.until) {
				oldest = k
			}
		}
		if oldest == s {
			return false
		}
		r.unstore(oldest)
		oldest.inner.Release()
	}
	g.kept[s.work] = s
	g.bytes += s.bytes
	r.m.kept.Set(float64(g.bytes))
	return true
}

func (r *Room) unstore(s *shared) {
	delete(r.guard.kept, s.work)
	r.guard.bytes -= s.bytes
	r.m.kept.Set(float64(r.guard.bytes))
}

// replay returns the answer that an earlier call for the same work did not get
// through: of the same generation, or of an older one if the run has not moved
// since.
func (r *Room) replay(key work, c *call.Call) *call.Answer {
	s := r.guard.kept[key]
	if s == nil {
		return nil
	}
	a, b := &s.id, &c.Identity
	if a.Attempt != b.Attempt || a.StepID != b.StepID || a.FunctionID != b.FunctionID || a.Generation > b.Generation ||
		!bytes.Equal(s.target, c.Target) || s.rest != maphash.Bytes(r.guard.seed, withoutContext(c.Body)) || !time.Now().Before(s.until) {
		return nil
	}
	r.unstore(s)
	s.refs.Store(1)
	r.m.replays.Inc()
	return s.take(false)
}

// expireKept drops answers that nobody asked for in time.
func (r *Room) expireKept(now time.Time) {
	for _, s := range r.guard.kept {
		if !now.Before(s.until) {
			r.unstore(s)
			s.inner.Release()
		}
	}
}

// withoutContext returns what follows ctx in a call's canonical body, which is
// the run's state; all of it if that is not plain.
func withoutContext(body []byte) []byte {
	const open = `{"ctx":{`
	if len(body) < len(open) || string(body[:len(open)]) != open {
		return body
	}
	depth, quoted := 1, false
	for i := len(open); i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return body[i:]
			}
		}
	}
	return body
}
