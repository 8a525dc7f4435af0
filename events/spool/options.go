package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// ErrFull says that the spool has reached Options.MaxBytes, or the disk
// Options.MinFree.
var ErrFull = errors.New("spool is full")

// ErrNotFound says that there is no dead letter of this id.
var ErrNotFound = errors.New("no such dead letter")

// ErrDamaged says that a record cannot be decoded.
var ErrDamaged = errors.New("record is damaged")

// Options configures a Spool.
type Options struct {
	Dir         string           // of the embedded server; exactly one of Dir and URL
	URL         string           // of an external server, nats://user:password@host:port, several with commas
	Name        string           // of the streams, also the first word of their subjects; letters, digits, - and _
	Replicas    int              // copies an external cluster keeps, 1 to 5; 1 with Dir
	MaxBytes    int64            // spool and dead letters together, as stored, > 0
	MinFree     int64            // bytes of Dir's disk that are not used, >= 0; 0: the disk is not looked at
	MaxAge      time.Duration    // older records become dead letters, > 0
	AckWait     time.Duration    // a record without an answer is handed out again after this, > 0
	MaxInFlight int              // records of a lane handed out at once, > 0
	MaxDelayed  int              // records of a lane beside them that Nak gave back with a delay, >= 0; beyond them fewer are handed out
	OpTimeout   time.Duration    // longest wait for one answer of the server, > 0
	Sweep       time.Duration    // how often Run looks after bounds and health, > 0
	Now         func() time.Time // what MaxAge is measured with
	Log         *slog.Logger

	payload int32 // of the embedded server where a test wants less than maxPayload
}

func (o Options) check() error {
	word := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	switch {
	case (o.Dir == "") == (o.URL == ""):
		return errors.New("spool: one of Dir and URL is needed, not both")
	case !readable(o.URL):
		return errors.New("spool: URL cannot be read") // it may hold a password
	case o.Name == "" || strings.ContainsFunc(o.Name, func(r rune) bool { return !word(r) }):
		return fmt.Errorf("spool: Name is %q, must be of letters, digits, - and _", o.Name)
	case o.Replicas < 1 || o.Replicas > 5 || o.Dir != "" && o.Replicas != 1:
		return fmt.Errorf("spool: Replicas is %d, must be 1 to 5, and 1 with Dir", o.Replicas)
	case o.MaxBytes <= 0:
		return fmt.Errorf("spool: MaxBytes is %d, must be above 0", o.MaxBytes)
	case o.MinFree < 0:
		return fmt.Errorf("spool: MinFree is %d, must not be below 0", o.MinFree)
	case o.MaxAge <= 0:
		return fmt.Errorf("spool: MaxAge is %v, must be above 0", o.MaxAge)
	case o.AckWait <= 0:
		return fmt.Errorf("spool: AckWait is %v, must be above 0", o.AckWait)
	case o.MaxInFlight <= 0:
		return fmt.Errorf("spool: MaxInFlight is %d, must be above 0", o.MaxInFlight)
	case o.MaxDelayed < 0:
		return fmt.Errorf("spool: MaxDelayed is %d, must not be below 0", o.MaxDelayed)
	case o.OpTimeout <= 0:
		return fmt.Errorf("spool: OpTimeout is %v, must be above 0", o.OpTimeout)
	case o.Sweep <= 0:
		return fmt.Errorf("spool: Sweep is %v, must be above 0", o.Sweep)
	case o.Now == nil:
		return errors.New("spool: Now is missing")
	case o.Log == nil:
		return errors.New("spool: Log is missing")
	}
	return nil
}

func readable(urls string) bool {
	for one := range strings.SplitSeq(urls, ",") {
		if _, err := url.Parse(strings.TrimSpace(one)); err != nil {
			return false
		}
	}
	return true
}
