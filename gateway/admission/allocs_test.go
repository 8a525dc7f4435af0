//go:build !race

package admission

import (
	"context"
	"testing"
)

func TestDo_ofACallThatNeedNotWaitAllocatesNothing(t *testing.T) {
	o := options(t, &fakeApp{})
	o.Callee = quick{answer("")}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	calls, i := newBenchCalls(), 0
	if n := testing.AllocsPerRun(1000, func() {
		i++
		r.Do(context.Background(), calls[i%len(calls)])
	}); n != 0 {
		t.Errorf("allocations of one call = %v, want 0", n)
	}
}
