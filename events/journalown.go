package events

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// journalLock is the name of the file that the owner of a folder's journal holds.
const journalLock = "seeds.lock"

// own makes the journal this process's, if it is not yet: two that begin files
// would remove each other's. What another process has written since this one
// began is taken over.
func (j *journal) own(into *recent[seedEntry], now time.Time) error {
	if j.lock != nil {
		return nil
	}
	lock, err := createSynced(filepath.Join(j.dir, journalLock))
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another process keeps its seeds in %s: %w", j.dir, err), lock.Close())
	}
	written := newRecent[seedEntry](into.window, into.max)
	if _, err := j.load(written, now); err != nil {
		return errors.Join(err, lock.Close())
	}
	written.each(now, func(k digest, e seedEntry, at time.Time) {
		if _, known := into.get(k, now); !known {
			into.put(k, e, at)
		}
	})
	j.lock = lock
	return nil
}

// disown lets another process have the journal.
func (j *journal) disown() error {
	if j.lock == nil {
		return nil
	}
	err := j.lock.Close() // with it the lock goes
	j.lock = nil
	return err
}
