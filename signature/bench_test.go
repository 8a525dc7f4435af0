package signature

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

var sizes = []struct {
	name  string
	bytes int
}{{"1KiB", 1 << 10}, {"64KiB", 64 << 10}, {"4MiB", 4 << 20}}

// BenchmarkVerify times a good signature against the bare SHA-256 of the same
// body. "paired" lets the two take turns and reports the median of the ratios of
// their CPU time: the other two figures come from different moments of a
// machine whose speed may drift by more than they differ.
func BenchmarkVerify(b *testing.B) {
	key := mustKey(b, recorded.SigningKey)
	v := verifierAt(b, at, key)
	for _, size := range sizes {
		body := bytes.Repeat([]byte("x"), size.bytes)
		header := []byte(Sign(key, body, at))
		verify := func() {
			if err := v.Verify(header, body); err != nil {
				b.Fatal(err)
			}
		}
		hash := func() { sha256.Sum256(body) }
		b.Run(size.name+"/sha256", func(b *testing.B) { run(b, size.bytes, hash) })
		b.Run(size.name+"/verify", func(b *testing.B) { run(b, size.bytes, verify) })
		b.Run(size.name+"/paired", func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			turn := max(1, 1<<20/size.bytes) // runs in a turn
			var ratios []float64
			for b.Loop() {
				verified := timed(b, turn, verify)
				ratios = append(ratios, float64(verified)/float64(timed(b, turn, hash)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "verify/sha256")
		})
	}
}

func run(b *testing.B, bytes int, f func()) {
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
}

func timed(b *testing.B, times int, f func()) time.Duration {
	start := cpuTime(b)
	for range times {
		f()
	}
	return cpuTime(b) - start
}

// BenchmarkVerifyHostile times the dearest refusal of each kind: the time is
// good, the signature is not, and the body makes the canonical form as costly
// as its size allows.
func BenchmarkVerifyHostile(b *testing.B) {
	v := verifierAt(b, at, mustKey(b, recorded.SigningKey), mustKey(b, otherKey))
	header := []byte("t=1795541406&s=" + strings.Repeat("0", 64))
	const size = 256 << 10
	for name, text := range map[string]string{
		"no JSON":        strings.Repeat("x", size),
		"many numbers":   "[" + strings.Repeat("1,", size/2) + "1]",
		"long numbers":   "[" + strings.Repeat("1.7976931348623157e-300,", size/24) + "1]",
		"many arrays":    "[" + strings.Repeat("[],", size/3) + "1]",
		"many objects":   "[" + strings.Repeat(`{"b":0,"a":0},`, size/14) + "1]",
		"nested arrays":  strings.Repeat("[", size),
		"nested objects": strings.Repeat(`{"b":`, 9999) + strings.Repeat("1", size-110_000) + strings.Repeat(`,"a":0}`, 9999),
		"one string":     `"` + strings.Repeat(`\u00e9`, size/6) + `"`,
		"long names":     "{" + strings.Repeat(`"`+strings.Repeat("n", 500)+`":0,`, size/505) + `"a":0}`,
		"over limit":     "[" + strings.Repeat("1,", maxCanonical/2) + "1]",
	} {
		body := []byte(text)
		b.Run(name, func(b *testing.B) {
			run(b, len(body), func() {
				if v.Verify(header, body) == nil {
					b.Fatal("believed")
				}
			})
		})
	}
	body := bytes.Repeat([]byte("x"), size)
	b.Run("sha256", func(b *testing.B) { run(b, size, func() { sha256.Sum256(body) }) })
}
