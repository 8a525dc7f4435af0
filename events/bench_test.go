package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// taker takes everything without a look at it.
type taker struct{}

func (taker) Send(context.Context, *deliver.Batch) deliver.Result { return deliver.Result{} }
func (taker) Up(string) bool                                      { return true }
func (taker) Limit(deliver.Destination) int                       { return 0 }

// benchEvent is about 200 bytes.
func benchEvent(n int) string {
	return fmt.Sprintf(`{"name":"shop/order.created","data":{"orderId":"%08d","customer":"c-4711","items":[{"sku":"a-1","n":2},{"sku":"b-7","n":1}],"total":1999.5,"note":"leave it at the door"},"ts":1795540000000,"v":"2026-1"}`, n)
}

func benchArray(events int) string {
	all := make([]string, events)
	for n := range all {
		all[n] = benchEvent(n)
	}
	if events == 1 {
		return all[0]
	}
	return "[" + strings.Join(all, ",") + "]"
}

func BenchmarkAccept(b *testing.B) {
	for _, events := range []int{1, 10, 20, 100} {
		for name, seed := range map[string]bool{"": false, ",seed": true} {
			b.Run(fmt.Sprintf("array=%d%s", events, name), func(b *testing.B) {
				dir := b.TempDir()
				r := newRig(b, func(o *Options) { o.Sender, o.SeedDir, o.MaxSeeds = taker{}, dir, 100_000 })
				body := benchArray(events)
				b.SetParallelism(32)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					q := request(body)
					var own inngest.Seed
					if seed {
						own = freshSeed()
					}
					for pb.Next() {
						if seed {
							own = own.From(2)
							q.Seed = own.String()
						}
						if a := r.Accept(context.Background(), q); a.Status != 200 {
							b.Errorf("answer = %d %s", a.Status, a.Body)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// A lone caller: what the plane adds to the time of an event.
func BenchmarkAccept_alone(b *testing.B) {
	r := newRig(b, func(o *Options) { o.Sender = taker{} })
	q := request(benchEvent(1))
	b.ReportAllocs()
	for b.Loop() {
		if a := r.Accept(context.Background(), q); a.Status != 200 {
			b.Fatalf("answer = %d %s", a.Status, a.Body)
		}
	}
}

func freshSeed() inngest.Seed {
	var b batch
	b.name(&chains{}, time.Now())
	return b.seed
}

// Durable, with a real spool: one sync for each batch, and one more where callers
// bring seeds.
func BenchmarkAccept_durable(b *testing.B) {
	for _, events := range []int{1, 20, 100} {
		for name, seed := range map[string]bool{"": false, ",seed": true} {
			b.Run(fmt.Sprintf("array=%d%s", events, name), func(b *testing.B) { benchDurable(b, events, seed) })
		}
	}
}

func benchDurable(b *testing.B, events int, seed bool) {
	s, err := spool.New(spool.Options{
		Dir: b.TempDir(), Name: "BENCH", Replicas: 1, MaxBytes: 8 << 30, MaxAge: time.Hour, AckWait: time.Minute,
		MaxInFlight: 10, OpTimeout: 10 * time.Second, Sweep: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	r := newRig(b, func(o *Options) {
		o.Mode, o.Spool, o.SeedDir, o.MaxSeeds = ModeDurable, s, b.TempDir(), 100_000
	})
	body := benchArray(events)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q, own := request(body), freshSeed()
		for pb.Next() {
			if seed {
				own = own.From(2)
				q.Seed = own.String()
			}
			if a := r.Accept(context.Background(), q); a.Status != 200 {
				b.Errorf("answer = %d %s", a.Status, a.Body)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
