package spool

import (
	"fmt"
	"sync"
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

// BenchmarkDrain is Next and Ack of 64 KiB: of the only record there is, of one
// among many, and with up to 8 acknowledgements on their way.
func BenchmarkDrain(b *testing.B) {
	body := noise(64 << 10)
	run := func(name string, backlog, acks int) {
		b.Run(name, func(b *testing.B) {
			o := options(b.TempDir())
			o.MaxBytes, o.payload = 8<<30, maxPayload
			s := open(b, o)
			for range backlog {
				add(b, s, record(1, body))
			}
			var on sync.WaitGroup
			slots := make(chan struct{}, acks)
			b.SetBytes(64 << 10)
			for b.Loop() {
				b.StopTimer()
				add(b, s, record(1, body))
				b.StartTimer()
				d := next(b, s)
				slots <- struct{}{}
				on.Go(func() {
					if err := d.Ack(b.Context()); err != nil {
						b.Error(err)
					}
					<-slots
				})
				if acks == 1 {
					on.Wait()
				}
			}
			on.Wait()
		})
	}
	run("the only one", 0, 1)
	run("of many", 100, 1)
	run("of many, 8 acks on their way", 100, 8)
}
