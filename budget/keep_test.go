package budget

import (
	"bytes"
	"fmt"
	"testing"
)

func TestKeep_givesWayToWhatIsCharged(t *testing.T) {
	b := newBudget(t, 16<<20, 0)
	var buffers []Buffer
	for range 4 {
		buf := b.Request(1 << 20)
		if _, err := buf.ReadFrom(t.Context(), bytes.NewReader(make([]byte, 1<<20)), 1<<20); err != nil {
			t.Fatal(err)
		}
		buffers = append(buffers, buf)
	}
	for i := range buffers {
		buffers[i].Free()
	}
	if got := b.Held(); got == 0 || got > 4<<20 {
		t.Errorf("%d bytes are kept after 4 bodies of 1 MiB, want some, and at most a quarter of the budget", got)
	}
	if err := b.AcquireAnswer(t.Context(), 15<<20); err != nil {
		t.Fatal(err)
	}
	buf := b.Request(1 << 20)
	if err := buf.Write(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := b.Held(); got > b.Max() {
		t.Errorf("%d bytes are held, more than there may be: %d", got, b.Max())
	}
	buf.Free()
	b.Release(15 << 20)
}

// BenchmarkKeeping compares bodies whose storage is kept with such that get new
// one each.
func BenchmarkKeeping(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20, 4 << 20} {
		for name, most := range map[string]int64{"kept": mostKept, "new": 0} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				budget := newBudget(b, 256<<20, 0)
				budget.kept.most = most
				body := make([]byte, size)
				r := bytes.NewReader(body)
				buf := budget.Request(8 << 20)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r.Reset(body)
					if _, err := buf.ReadFrom(b.Context(), r, int64(size)); err != nil {
						b.Fatal(err)
					}
					buf.Free()
				}
			})
		}
	}
}
