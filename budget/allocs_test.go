//go:build !race

package budget

import (
	"bytes"
	"testing"
)

func TestBuffer_allocatesNothingOnceWarm(t *testing.T) {
	b := newBudget(t, 64<<20, 0)
	body := make([]byte, 64<<10)
	r := bytes.NewReader(body)
	buf := b.Request(8 << 20)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(body)
		if _, err := buf.ReadFrom(ctx, r, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		buf.Free()
	}); n > 1 {
		t.Errorf("%v allocations a body, want at most 1", n)
	}
}
