package program_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/inngest-gateway/inngest-gateway/functions/program"
)

// What the gateway does for a program beside its backends' work: a whole run of
// ten steps, each of which sends what the one before gave.
func BenchmarkRun_tenSteps(b *testing.B) {
	var text strings.Builder
	text.WriteString("- {id: s0, post: \"http://b/0\", body: \"${event.data}\"}\n")
	for n := 1; n < 10; n++ {
		fmt.Fprintf(&text, "- {id: s%d, post: \"http://b/%d\", body: {before: \"${steps.s%d.target}\"}}\n", n, n, n-1)
	}
	d := driver(b, text.String(), &backend{})
	for _, size := range []int{1 << 10, 64 << 10, 512 << 10} {
		event := `{"data":{"text":"` + strings.Repeat("x", size) + `"}}`
		b.Run(fmt.Sprintf("event=%dKiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				finish(b, d, newRun(event), nil)
			}
		})
	}
}

// The last walk of a run with 1,000 steps in a loop.
func BenchmarkAdvance_thousandSteps(b *testing.B) {
	for name, parallel := range map[string]string{"sequential": "", "parallel": ", parallel: 1000"} {
		d := driver(b, `[{forEach: "lists.range(1000)"`+parallel+`, do: [{id: "s-${item}", as: s, get: "http://b/${item}"}]}, {return: "${steps.s.size()}"}]`, &backend{})
		r := newRun(`{}`)
		finish(b, d, r, nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if out := d.Advance(b.Context(), r); string(out.Data) != "1000" {
					b.Fatal(told(out))
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	source := decode(b, `[{id: a, get: "http://b/${event.data.x}"}, {if: steps.a.ok, then: [{return: "${steps.a}"}]}]`)
	l, err := program.NewLanguage()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := l.Compile(source, program.Scope{Path: "steps"}); problems != nil {
			b.Fatal(problems)
		}
	}
}
