package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/call"
	"github.com/inngest-gateway/inngest-gateway/metrics"
	"github.com/inngest-gateway/inngest-gateway/pool"
)

// Options configures a Room.
type Options struct {
	App    string // id of the app, for logs and labels
	Names  Names  // of settings, for texts
	Callee callee // what answers the calls; a whole answer of it must hold nothing of its call
	Health health // nil: the callee is always there

	Wait        Wait
	Lobby       *Lobby // what waits in all rooms together; nil: there is no other room
	Concurrency Concurrency
	Guard       Guard

	// Tolerance is how long after its signature the app still believes a call,
	// > 0; 0 where it sees no signature of the caller's, or none at all.
	Tolerance time.Duration

	Store   store // keeps pauses and the learnt wait limit; nil: memory
	Budget  *budget.Budget
	Now     func() time.Time // for pauses and signatures
	Metrics *metrics.Admission
	Log     *slog.Logger
}

// Names are what the settings of a room are called in the configuration, which
// depends on what it stands before.
type Names struct {
	Wait        string // apps[].wait, which has max, max_calls and max_bytes
	Concurrency string // apps[].concurrency.max
	Connections string // apps[].upstream.connections.max
}

// Wait bounds the waiting room.
type Wait struct {
	Auto     bool          // learn how long callers wait, from 50 s up to 4 min
	Max      time.Duration // else: how long a call is parked; 0: never
	MaxCalls int           // parked at once, > 0
	MaxBytes int64         // of their heads and bodies, > 0
}

// Concurrency bounds the calls that the app has at once.
type Concurrency struct {
	Min, Max int  // 0 < Min <= Max
	Adaptive bool // between the two, by signs of load; else Max
}

// Guard is what is done about duplicates.
type Guard struct {
	Off bool // nothing

	// An answer that did not get through is kept for so long and given to the
	// next call for the same work, also of a newer generation; 0: never. Not for
	// apps that checkpoint.
	Replay      time.Duration
	ReplayBytes int64 // of the answers that are kept, > 0 with Replay
	MaxAnswer   int   // bytes of a stream that several callers can share, > 0
}

// callee answers calls: an upstream, a host of functions.
type callee interface {
	Do(context.Context, *call.Call) (*call.Answer, error)
}

// health tells about the callee: a pool.Upstream does.
type health interface {
	Usable() bool
	Status() []pool.EndpointStatus
}

// store keeps the state of one room over a restart. A Folder makes them.
type store interface {
	Load() (State, error) // the zero State if there is none
	Save(State) error
}

func (o *Options) check() error {
	w, c, g := o.Wait, o.Concurrency, o.Guard
	switch {
	case o.App == "":
		return errors.New("App is missing")
	case o.Names.Wait == "" || o.Names.Concurrency == "" || o.Names.Connections == "":
		return errors.New("Names are missing")
	case o.Callee == nil:
		return errors.New("Callee is missing")
	case w.Max < 0 || w.Max > longestWait:
		return fmt.Errorf("Wait.Max is %v, must be from 0 to %v", w.Max, longestWait)
	case w.Auto && w.Max != 0:
		return fmt.Errorf("Wait.Max is %v, must be 0 with Wait.Auto", w.Max)
	case w.MaxCalls <= 0 || w.MaxBytes <= 0:
		return fmt.Errorf("Wait.MaxCalls and MaxBytes are %d and %d, must be above 0", w.MaxCalls, w.MaxBytes)
	case c.Min <= 0 || c.Max < c.Min:
		return fmt.Errorf("Concurrency is from %d to %d, must be above 0 and not the wrong way round", c.Min, c.Max)
	case g.Replay < 0 || g.Replay > 0 && (g.Off || g.ReplayBytes <= 0):
		return errors.New("Guard.Replay needs the guard, and ReplayBytes above 0")
	case !g.Off && g.MaxAnswer <= 0:
		return fmt.Errorf("Guard.MaxAnswer is %d, must be above 0", g.MaxAnswer)
	case o.Tolerance < 0:
		return fmt.Errorf("Tolerance is %v, must not be below 0", o.Tolerance)
	case o.Budget == nil || o.Now == nil || o.Metrics == nil || o.Log == nil:
		return errors.New("Budget, Now, Metrics or Log is missing")
	}
	return nil
}
