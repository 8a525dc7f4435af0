//go:build !race

package breaker

import "testing"

func TestBreaker_allocatesNothing(t *testing.T) {
	b := newBreaker(t)
	if n := testing.AllocsPerRun(1000, func() {
		ticket, _ := b.Allow()
		ticket.Done(Success)
	}); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}

func BenchmarkBreaker(b *testing.B) {
	br := newBreaker(b)
	for b.Loop() {
		ticket, _ := br.Allow()
		ticket.Done(Success)
	}
}
