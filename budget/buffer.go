package budget

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// ErrTooLarge says that a body would pass the limit of its buffer.
var ErrTooLarge = errors.New("body too large")

// Storage comes in classes, four to each doubling: from 2 KiB, enough for most
// steps, to 16 MiB, twice the largest body of the protocol. So no more than a
// fifth of it is left empty.
const (
	smallest = 2 << 10
	classes  = 13*4 + 1

	answerStep = 64 << 10
)

// storage is what a body lies in, and a link of the list of those that wait for
// the next one.
type storage struct {
	bytes []byte
	next  *storage
}

// A Buffer is a body that grows with what arrives, at most doubling, whatever
// length was declared; where memory is scarce a large one grows to that length
// at once (see [Budget]). It charges the capacity of its storage, not its length:
// that is what the process really holds. Storage that waits for the next body is
// not charged, but gives way to what is (keep.go).
//
// The zero Buffer is not usable, see [Budget.Request] and [Budget.Answer]. A
// Buffer is used by one goroutine at a time and not copied once it holds bytes.
type Buffer struct {
	budget *Budget
	store  *storage
	length int
	max    int
	answer bool
}

// Request returns an empty buffer for the body of a request of at most max bytes.
func (b *Budget) Request(max int) Buffer { return Buffer{budget: b, max: max} }

// Answer returns an empty buffer for the body of an answer of at most max bytes.
func (b *Budget) Answer(max int) Buffer { return Buffer{budget: b, max: max, answer: true} }

// Len returns the number of bytes that arrived.
func (b *Buffer) Len() int { return b.length }

// Bytes returns what arrived. It is valid until the next call that grows the
// buffer, or Free.
func (b *Buffer) Bytes() []byte {
	if b.store == nil {
		return nil
	}
	return b.store.bytes[:b.length:b.length]
}

// Room returns free space to read into, at least one byte. more is how many
// bytes are still expected, -1 if unknown: storage never gets larger than that
// asks for. Room waits while the budget is spent and returns ErrExhausted, or
// ErrTooLarge when the buffer holds its maximum.
func (b *Buffer) Room(ctx context.Context, more int64) ([]byte, error) {
	if b.length >= b.max {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
	}
	if b.store == nil || b.length == len(b.store.bytes) {
		want := max(2*b.length, smallest)
		if b.answer && more > 0 {
			want = max(want, answerStep) // answers come in large reads from apps that we chose
		}
		if err := b.grow(ctx, want, more, b.length+1); err != nil {
			return nil, err
		}
	}
	return b.store.bytes[b.length:min(len(b.store.bytes), b.max)], nil
}

// Spare returns the free space of the storage that the buffer has already,
// perhaps none: who reads into it charges nothing before something is there.
func (b *Buffer) Spare() []byte {
	if b.store == nil {
		return nil
	}
	return b.store.bytes[b.length:min(len(b.store.bytes), b.max)]
}

// Advance tells that n bytes arrived in what Room or Spare returned.
func (b *Buffer) Advance(n int) { b.length += n }

// Write appends p, which has arrived already.
func (b *Buffer) Write(ctx context.Context, p []byte) error { return b.Append(ctx, p, -1) }

// Append is Write for a body of known length: more is how many bytes were still
// expected when p came, p included; -1 if that is unknown.
func (b *Buffer) Append(ctx context.Context, p []byte, more int64) error {
	if len(p) > b.max-b.length {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
	}
	if need := b.length + len(p); b.store == nil || need > len(b.store.bytes) {
		if err := b.grow(ctx, max(2*b.length, need), more, need); err != nil {
			return err
		}
	}
	b.length += copy(b.store.bytes[b.length:], p)
	return nil
}

// ReadFrom reads length bytes from r, or until its end if length is -1. A
// source that ends too early is io.ErrUnexpectedEOF.
func (b *Buffer) ReadFrom(ctx context.Context, r io.Reader, length int64) (int64, error) {
	if length > int64(b.max-b.length) {
		return 0, fmt.Errorf("%w: %d bytes declared, the limit is %d", ErrTooLarge, length, b.max)
	}
	var read int64
	for read != length {
		room, err := b.room(ctx, r, length, read)
		if err != nil || room == nil {
			return read, err
		}
		n, err := r.Read(room)
		b.Advance(n)
		read += int64(n)
		switch {
		case err == nil, err == io.EOF && read == length:
		case err == io.EOF && length < 0:
			return read, nil
		case err == io.EOF:
			return read, io.ErrUnexpectedEOF
		default:
			return read, err
		}
	}
	return read, nil
}

// room is Room for the next read of ReadFrom. At the limit, a source of unknown
// length may still turn out to be at its end: then room is nil without an error.
func (b *Buffer) room(ctx context.Context, r io.Reader, length, read int64) ([]byte, error) {
	if length >= 0 {
		room, err := b.Room(ctx, length-read)
		return room[:min(int64(len(room)), length-read)], err
	}
	if b.length < b.max {
		return b.Room(ctx, -1)
	}
	var extra [1]byte
	if n, err := io.ReadFull(r, extra[:]); n == 0 {
		if err == io.EOF {
			err = nil
		}
		return nil, err
	}
	return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
}

// grow moves the buffer to storage of size bytes, less if so many more are not
// expected, and all that are where memory is scarce; least bytes in any case. A
// caller of whom nothing has come is not believed what it says of the length.
func (b *Buffer) grow(ctx context.Context, size int, more int64, least int) error {
	if whole := int64(b.length) + more; more >= 0 && whole <= int64(b.max) {
		came := b.answer || least > 1
		if whole < int64(size) || came && b.budget.scarce(b.answer) {
			size = int(whole)
		}
	}
	size = min(max(size, least), b.max)
	class := classOf(size)
	capacity := capacityOf(class, size)
	var held int
	if b.store != nil {
		held = len(b.store.bytes)
	}
	acquire := b.budget.Acquire
	if b.answer {
		acquire = b.budget.AcquireAnswer
	}
	if err := acquire(ctx, int64(capacity-held)); err != nil {
		return err
	}
	next := b.budget.take(class, capacity)
	if b.store != nil {
		copy(next.bytes, b.store.bytes[:b.length])
		b.budget.give(b.store)
	}
	b.store = next
	return nil
}

// Free gives back storage and charge. The buffer is empty then and can be
// filled again; what Bytes returned must not be used any more.
func (b *Buffer) Free() {
	if b.store == nil {
		return
	}
	b.budget.Release(int64(len(b.store.bytes)))
	b.budget.give(b.store)
	b.store, b.length = nil, 0
}

// classOf returns the class whose storage holds size bytes.
func classOf(size int) int {
	if size <= smallest {
		return 0
	}
	doublings := bits.Len(uint(size-1)) - bits.Len(uint(smallest))
	quarter := smallest / 4 << doublings
	return 4*doublings + (size-1)/quarter - 3
}

// capacityOf returns what storage for size bytes really holds. Beyond the last
// class it is made to measure, and not kept.
func capacityOf(class, size int) int {
	if class >= classes {
		return size
	}
	return (4 + class%4) * (smallest / 4) << (class / 4)
}
