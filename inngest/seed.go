package inngest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"
)

// A Seed decides the ids that the server gives to the events of one request
// (HeaderEventIDSeed): whoever knows it knows the ids before the answer is
// there, and a repeated request gives the same ones.
type Seed struct {
	Millis  uint64
	Entropy [10]byte
}

// ParseSeed reads "<millis>,<base64 of 10 bytes>".
func ParseSeed(text string) (Seed, error) {
	var s Seed
	millis, entropy, ok := strings.Cut(text, ",")
	if !ok {
		return s, fmt.Errorf("event id seed %q: want <millis>,<base64 of 10 bytes>", text)
	}
	n, err := strconv.ParseUint(millis, 10, 64)
	if err != nil || n > ulid.MaxTime() {
		return s, fmt.Errorf("event id seed %q: the milliseconds are no number up to %d", text, ulid.MaxTime())
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(entropy)
	// The length of the text counts too: the decoder skips line breaks.
	if err != nil || len(raw) != len(s.Entropy) || len(entropy) != base64.StdEncoding.EncodedLen(len(raw)) {
		return s, fmt.Errorf("event id seed %q: the entropy is not the base64 of %d bytes", text, len(s.Entropy))
	}
	s.Millis = n
	copy(s.Entropy[:], raw)
	return s, nil
}

// String returns the seed as HeaderEventIDSeed has it.
func (s Seed) String() string {
	return strconv.FormatUint(s.Millis, 10) + "," + base64.StdEncoding.EncodeToString(s.Entropy[:])
}

// ID returns the id of the n-th event of a request to /e, n from 1: the ULID
// of Millis and of the entropy whose last four bytes are incremented by n. The
// n-th event of /invoke has ID(n-1): there the server counts from 0.
func (s Seed) ID(n int) string { return s.ulid(n).String() }

// AppendID appends the text of ID.
func (s Seed) AppendID(dst []byte, n int) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, ulid.EncodedSize)...)
	// It can fail only where there is no room.
	_ = s.ulid(n).MarshalTextTo(dst[at:])
	return dst
}

func (s Seed) ulid(n int) ulid.ULID {
	s = s.add(n)
	var id ulid.ULID
	// Both calls can fail only for a time beyond the year 10889 or an entropy
	// of another length.
	_ = id.SetTime(s.Millis)
	_ = id.SetEntropy(s.Entropy[:])
	return id
}

// From returns the seed of the request that carries the events from position
// k on, k from 1: its first event gets the id that the k-th would have had.
func (s Seed) From(k int) Seed { return s.add(k - 1) }

// add increments the last four bytes of the entropy, big endian, modulo 2^32.
func (s Seed) add(n int) Seed {
	last := s.Entropy[6:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+uint32(n))
	return s
}
