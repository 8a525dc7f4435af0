package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// Append stores r at the end and gives it an id. When it returns nil, r is
// durable. ErrFull says that the bound is reached; other errors that the store
// does not work now, and that r may be stored or not.
func (s *Spool) Append(ctx context.Context, r Record) error {
	if r.Count < 1 || len(r.Body) == 0 {
		return fmt.Errorf("spool: a record of %d events in %d bytes", r.Count, len(r.Body))
	}
	if err := s.append(ctx, r); err != nil {
		return fmt.Errorf("spool: append %d events: %w", r.Count, err)
	}
	return nil
}

func (s *Spool) append(ctx context.Context, r Record) error {
	r.ID = ulid.Make().String()
	// The body as it is: that it may shrink makes the bound a little early for
	// the last record, never late.
	need := int64(len(r.Body))
	if s.used.Load()+need > s.o.MaxBytes {
		if err := s.measure(ctx); err != nil { // others remove too
			return err
		}
		if used := s.used.Load(); used+need > s.o.MaxBytes {
			return fmt.Errorf("%w: %d of %d bytes used, %d needed", ErrFull, used, s.o.MaxBytes, need)
		}
	}
	if err := s.roomOnDisk(need); err != nil {
		return err
	}
	size, err := s.put(ctx, &r)
	if err != nil {
		if errors.Is(err, ErrFull) {
			// The server counts what our own count has not seen yet.
			err = errors.Join(err, s.measure(ctx))
		}
		return err
	}
	s.used.Add(size)
	return nil
}

// put stores a record and makes its lane known.
func (s *Spool) put(ctx context.Context, r *Record) (int64, error) {
	lane := s.laneOf(r)
	size, err := s.main.put(ctx, lane, r, nil)
	s.enter(lane) // after an error too: it may be stored
	return size, err
}
