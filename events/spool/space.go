package spool

import "fmt"

// roomOnDisk refuses a record that would take the last of the disk. A JetStream
// stream that met a full disk once takes nothing until the server is started
// anew, and removing what was delivered needs room as well.
func (s *Spool) roomOnDisk(need int64) error {
	if s.o.Dir == "" || s.o.MinFree == 0 {
		return nil
	}
	free, err := freeBytes(s.o.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", s.o.Dir, err)
	}
	if free < s.o.MinFree+need {
		return fmt.Errorf("%w: the disk of %s has %d bytes left, %d are kept free", ErrFull, s.o.Dir, free, s.o.MinFree)
	}
	return nil
}
