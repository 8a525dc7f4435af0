package budget

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestClassOf_isTheSmallestThatHolds(t *testing.T) {
	before := 0
	for class := range classes {
		capacity := capacityOf(class, 0)
		if got := classOf(capacity); got != class {
			t.Errorf("%d bytes are of class %d, want %d", capacity, got, class)
		}
		if got := classOf(before + 1); got != class {
			t.Errorf("%d bytes are of class %d, want %d", before+1, got, class)
		}
		if before > 0 && (capacity-before)*5 > capacity {
			t.Errorf("between %d and %d bytes more than a fifth is empty", before, capacity)
		}
		before = capacity
	}
	if before != 16<<20 || classOf(before+1) < classes || capacityOf(classes, before+1) != before+1 {
		t.Errorf("the last class holds %d bytes; more is to be made to measure", before)
	}
}

// slow is a body that arrives in pieces, one every millisecond.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 32<<10)])
}

// Many times more than there is arrives at once. Each body gets its turn, long
// before anybody would have waited too long.
func TestReadFrom_tiesNoKnot(t *testing.T) {
	for name, answer := range map[string]bool{"requests": false, "answers": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 1 << 20
				b := newBudget(t, 16<<20, 4<<20)
				body := make([]byte, size)
				var all sync.WaitGroup
				began := time.Now()
				for range 200 {
					all.Go(func() {
						buf := b.Request(size)
						if answer {
							buf = b.Answer(size)
						}
						defer buf.Free()
						if _, err := buf.ReadFrom(t.Context(), slow{bytes.NewReader(body)}, size); err != nil {
							t.Errorf("after %v: %v", time.Since(began), err)
							return
						}
						time.Sleep(10 * time.Millisecond) // the call
					})
				}
				all.Wait()
				if b.Used() != 0 {
					t.Errorf("%d bytes are charged in the end", b.Used())
				}
			})
		})
	}
}

// What large bodies wait for does not keep small ones out, and the other way
// round large ones are not overtaken by those that came later.
func TestAcquire_keepsRoomForSmallClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, 16<<20, 8<<20)
		const large = 7 << 20 // all that there is for large ones
		if err := b.Acquire(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		first := wait(t, b.Acquire, t.Context(), 2<<20)
		second := wait(t, b.Acquire, t.Context(), 100<<10)
		if first.done || second.done {
			t.Fatal("a large claim got more than there is for large ones")
		}
		for range 16 {
			if !tryAcquire(b, 64<<10) {
				t.Fatal("a small claim had to wait")
			}
		}
		if tryAcquire(b, 1) {
			t.Error("a small claim got what only answers may use")
		}
		b.Release(16 * 64 << 10)
		b.Release(2 << 20)
		synctest.Wait()
		if !first.done || second.done {
			t.Errorf("done: the first %v, the second %v; want them in their order", first.done, second.done)
		}
		b.Release(large)
		synctest.Wait()
		if !second.done {
			t.Error("the second large claim still waits")
		}
	})
}

// A length that was declared is believed of a body of which something came, and
// only where memory is scarce.
func TestRoom_believesALengthWhenMemoryIsScarce(t *testing.T) {
	for name, c := range map[string]struct {
		used, came, want int
	}{
		"much is free":                 {1 << 20, 64 << 10, 128 << 10},
		"little is free":               {5 << 20, 64 << 10, 1 << 20},
		"little is free, nothing came": {5 << 20, 0, smallest},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(t, 8<<20, 0)
			if err := b.Acquire(t.Context(), int64(c.used)); err != nil {
				t.Fatal(err)
			}
			buf := b.Request(8 << 20)
			defer buf.Free()
			if err := buf.Write(t.Context(), make([]byte, c.came)); err != nil {
				t.Fatal(err)
			}
			if _, err := buf.Room(t.Context(), int64(1<<20-c.came)); err != nil {
				t.Fatal(err)
			}
			if got := len(buf.store.bytes); got != c.want {
				t.Errorf("%d bytes of storage, want %d", got, c.want)
			}
		})
	}
}
