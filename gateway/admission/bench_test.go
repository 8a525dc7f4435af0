package admission

import (
	"context"
	"fmt"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/call"
)

// quick answers at once, with the same answer.
type quick struct{ answer *call.Answer }

func (q quick) Do(context.Context, *call.Call) (*call.Answer, error) { return q.answer, nil }
func (q quick) Usable() bool                                         { return true }

// The room is on the way of every call, so what it costs when nobody waits is
// to be seen beside the callee alone.
func BenchmarkDo(b *testing.B) {
	q := quick{answer("")}
	plain := newBenchCalls()
	b.Run("callee alone", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			q.Do(context.Background(), plain[i%len(plain)])
		}
	})
	for name, off := range map[string]bool{"without guard": true, "with guard": false} {
		o := options(b, &fakeApp{})
		o.Callee, o.Guard.Off = q, off
		r, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Do(context.Background(), plain[i%len(plain)])
			}
		})
		b.Run(name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				calls := newBenchCalls()
				for i := 0; pb.Next(); i++ {
					r.Do(context.Background(), calls[i%len(calls)])
				}
			})
		})
	}
}

func newBenchCalls() []*call.Call {
	calls := make([]*call.Call, 64)
	for i := range calls {
		calls[i] = callOf(fmt.Sprint("f", i%8), fmt.Sprintf("01JDZ0000000000000000000%03d", i))
	}
	return calls
}
