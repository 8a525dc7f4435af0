package spec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/spec"
)

// A gateway with many functions still starts at once.
func BenchmarkRead(b *testing.B) {
	for name, body := range map[string]string{
		"endpoint": `endpoint: "http://b/f"`,
		"steps":    `steps: [{id: a, post: "http://b/a", body: "${event.data}"}, {if: "steps.a.ok", then: [{id: s, sleep: 5m}]}, {return: "${steps.a}"}]`,
	} {
		b.Run(name, func(b *testing.B) {
			var text strings.Builder
			for n := range 100 {
				fmt.Fprintf(&text, "- {id: f%d, triggers: [{event: e, if: event.data.x > 1}], concurrency: {limit: 1, key: event.data.k}, %s}\n", n, body)
			}
			source := decoded(b, text.String())
			for b.Loop() {
				if _, problems := (spec.Reader{App: "a"}).Read(source, "functions"); problems != nil {
					b.Fatal(problems)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/function")
		})
	}
}
