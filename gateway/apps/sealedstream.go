package apps

import (
	"context"
	"errors"
	"io"

	"github.com/inngest-gateway/inngest-gateway/budget"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// A sealedStream reads a 201: white space, then one object that leaves sealed.
type sealedStream struct {
	from io.ReadCloser
	seal func([]byte) ([][]byte, error)

	held budget.Buffer // the object as far as it has come
	out  [][]byte      // the sealed object; its pieces point into held
	err  error         // what Read returns when out is empty
}

// Read implements io.Reader.
func (s *sealedStream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for s.err == nil && len(s.out) == 0 {
		if s.held.Len() == 0 {
			if n := s.lead(p); n > 0 {
				return n, nil
			}
			continue
		}
		s.hold()
	}
	for len(s.out) > 0 {
		n := copy(p, s.out[0])
		if s.out[0] = s.out[0][n:]; len(s.out[0]) == 0 {
			s.out = s.out[1:]
		}
		if n > 0 {
			return n, nil
		}
	}
	s.held.Free()
	return 0, s.err
}

// lead reads into p while there is white space only. What follows it is held.
func (s *sealedStream) lead(p []byte) int {
	n, err := s.from.Read(p)
	space := skipSpace(p[:n], 0)
	if space < n {
		if herr := s.held.Write(patience(), p[space:n]); herr != nil {
			s.err = held(herr)
			return space
		}
	}
	if err != nil {
		s.end(err)
	}
	return space
}

// hold reads the object.
func (s *sealedStream) hold() {
	room, err := s.held.Room(patience(), -1)
	if err != nil {
		s.err = held(err)
		return
	}
	n, err := s.from.Read(room)
	s.held.Advance(n)
	if err != nil {
		s.end(err)
	}
}

// end seals what is held when the app has sent all of it.
func (s *sealedStream) end(err error) {
	s.err = err
	if !errors.Is(err, io.EOF) || s.held.Len() == 0 {
		return
	}
	out, serr := s.seal(s.held.Bytes())
	if serr != nil {
		s.err = serr
		return
	}
	s.out = out
}

// patience is how long Read waits for memory. It has no context; the budget
// ends each wait after budget.Options.Wait.
func patience() context.Context { return context.Background() }

// held gives a refusal of the buffer its code.
func held(err error) error {
	if errors.Is(err, budget.ErrTooLarge) {
		return refuse(inngest.CodeUpstreamTooLarge, "it cannot be held until it is signed: %w", err)
	}
	return refuse(inngest.CodeMemoryExhausted, "it cannot be held until it is signed: %w", err)
}

// Close implements io.Closer.
func (s *sealedStream) Close() error {
	s.out, s.err = nil, io.ErrClosedPipe
	s.held.Free()
	return s.from.Close()
}
