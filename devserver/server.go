package devserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
)

// A Server is an Inngest server in memory. [Server.Handler] takes requests at
// any time; runs advance while [Server.Run] runs.
type Server struct {
	opts     Options
	key      signature.Key
	verifier *signature.Verifier // nil without a key
	tokenKey []byte              // signs our own tokens
	log      *slog.Logger
	client   *http.Client // calls apps
	plain    *http.Client // the HTTP requests of Gateway steps, and syncs
	match    *matcher
	realtime *realtime
	watch    *watch
	page     *template.Template

	mu    sync.Mutex
	st    store
	queue queue
	wake  chan struct{}
	// begin starts a goroutine that Run waits for; nil while Run does not run,
	// and everything that would need one waits on the queue then.
	begin   func(func(context.Context))
	wiped   int             // how often Forget was called
	keys    map[string]bool // event keys
	fault   func(EventPost) EventFault
	refuse  func(json.RawMessage) error
	posts   int // of events, and how many of them met a fault
	faults  int
	changed chan struct{} // closed and replaced when a run or an app changed
}

// New builds a server. It listens nowhere and starts nothing.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: o, log: o.Log, st: newStore(),
		wake: make(chan struct{}, 1), changed: make(chan struct{}), watch: newWatch(o.Observer), tokenKey: make([]byte, 32),
	}
	rand.Read(s.tokenKey)
	s.SetEventKeys(o.EventKeys...)
	if o.SigningKey != "" {
		key, err := signature.ParseKey(o.SigningKey)
		if err != nil {
			return nil, fmt.Errorf("devserver: %w", err)
		}
		s.key = key
		s.verifier, err = signature.NewVerifier(signature.Options{
			Keys: []signature.Key{key}, Tolerance: 5 * time.Minute, MaxCanonical: inngest.MaxAnswerBytes, Now: time.Now,
		})
		if err != nil {
			return nil, fmt.Errorf("devserver: %w", err)
		}
	}
	s.match = newMatcher()
	var err error
	if s.page, err = newPage(); err != nil {
		return nil, err
	}
	s.client, s.plain = newCallClient(), newPlainClient()
	s.realtime = newRealtime(s)
	return s, nil
}

// Run advances runs, fires crons and repeats syncs until ctx ends; then it
// hangs up on the apps it is calling and returns when the last goroutine has
// ended. It runs once at a time and may be called again.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	s.mu.Lock()
	if s.begin != nil {
		s.mu.Unlock()
		return fmt.Errorf("devserver: Run is running already")
	}
	s.begin = func(f func(context.Context)) { wg.Go(func() { f(ctx) }) }
	s.mu.Unlock()
	for _, u := range s.opts.AppURLs {
		wg.Go(func() { s.keepSynced(ctx, u) })
	}
	wg.Go(func() { s.watch.run(ctx) })

	s.loop(ctx)

	s.mu.Lock()
	s.begin = nil
	s.mu.Unlock()
	wg.Wait()
	s.realtime.hangUp()
	return nil
}

// loop runs what is due until ctx ends.
func (s *Server) loop(ctx context.Context) {
	for {
		jump := s.opts.Clock.jump()
		wait := s.runDue()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-jump:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// runDue runs every timer whose time has come and returns how long the next
// one is away.
func (s *Server) runDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := s.opts.Clock.Now()
		t, ok := s.queue.due(now)
		if !ok {
			if at, ok := s.queue.next(); ok {
				return at.Sub(now)
			}
			return time.Hour
		}
		t.fn()
	}
}

// at has fn run at that time, with the lock held. The caller holds the lock.
func (s *Server) at(t time.Time, fn func()) *timer {
	timer := s.queue.add(t, fn)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return timer
}

// alarm closes late after d; the returned function takes that back.
func (s *Server) alarm(d time.Duration, late chan struct{}) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.after(d, func() { close(late) })
	s.notify()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.queue.stop(t)
	}
}

// after is at, relative to now.
func (s *Server) after(d time.Duration, fn func()) *timer {
	return s.at(s.opts.Clock.Now().Add(d), fn)
}

// notify wakes those who wait for a change. The caller holds the lock.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Forget makes the server forget everything, as a wiped one: apps, runs,
// events, waits. Calls that are running are not hung up on; their answers
// count for nothing.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.st.runs {
		if !r.status.Ended() {
			close(r.done)
			r.status = Cancelled
		}
	}
	s.st = newStore()
	s.queue = queue{}
	s.wiped++
	s.notify()
}
