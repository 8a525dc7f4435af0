package spool

import (
	"fmt"
	"testing"
)

// BenchmarkAppend is one synced append after the other, and 16 at once.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		body := noise(size)
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			o := options(b.TempDir())
			o.MaxBytes, o.payload = 8<<30, maxPayload
			s := open(b, o)
			b.SetBytes(int64(size))
			for b.Loop() {
				add(b, s, record(1, body))
			}
		})
		b.Run(fmt.Sprintf("%dKiB/16 at once", size>>10), func(b *testing.B) {
			o := options(b.TempDir())
			o.MaxBytes, o.payload = 8<<30, maxPayload
			s := open(b, o)
			b.SetBytes(int64(size))
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := s.Append(b.Context(), record(1, body)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkDrain is Next and Ack of 64 KiB.
func BenchmarkDrain(b *testing.B) {
	s := open(b, options(b.TempDir()))
	body := noise(64 << 10)
	b.SetBytes(64 << 10)
	for b.Loop() {
		b.StopTimer()
		add(b, s, record(1, body))
		b.StartTimer()
		if err := next(b, s).Ack(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
