package intake_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/valyala/fastjson"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
)

// event1KiB is an event of 1,024 bytes with what events have: short texts, a few
// numbers, some nesting.
func event1KiB() string {
	const head = `{"name":"shop/order.created","id":"order-10293847","ts":1795492367886,"v":"2026-1","data":{"orderId":"10293847","customer":{"id":48151623,"email":"ada@example.com","tags":["new","eu"]},"items":[`
	const item = `{"sku":"SKU-00017","title":"Größe M, blau","qty":2,"price":19.99,"gift":false,"note":null},`
	text := head + strings.TrimSuffix(strings.Repeat(item, 8), ",") + `],"comment":"`
	return text + strings.Repeat("x", 1024-len(text)-3) + `"}}`
}

func arrayOf(n int, event string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(event+",", n), ",") + "]"
}

func event3MiB(fill string) string {
	const head = `{"name":"a","data":{"x":[`
	n := (3<<20 - len(head) - 3) / (len(fill) + 1)
	return head + strings.TrimSuffix(strings.Repeat(fill+",", n), ",") + "]}}"
}

func BenchmarkRead(b *testing.B) {
	r := newReader(b)
	for _, c := range []struct{ name, body string }{
		{"1KiB", event1KiB()},
		{"100x1KiB", arrayOf(100, event1KiB())},
		{"5000xtiny", arrayOf(5000, `{"name":"a","data":{}}`)},
		{"3MiB/objects", event3MiB(event1KiB())},
		{"3MiB/text", event3MiB(`"` + strings.Repeat("x", 3<<20-100) + `"`)},
		{"3MiB/numbers", event3MiB(`1e300`)},
		{"3MiB/escapes", event3MiB(`"` + strings.Repeat(`\n`, 1<<19) + `"`)},
		{"3MiB/sessions", `{"name":"a","meta":{"propagated_sessions":{` + strings.TrimSuffix(strings.Repeat(`"\u0061":1,`, 250_000), ",") + `}}}`},
	} {
		body := []byte(c.body)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Read("application/json", body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBaseline is what the same body costs others: encoding/json into the
// server's struct, and the fastest parser of a tree.
func BenchmarkBaseline(b *testing.B) {
	body := []byte(event1KiB())
	b.Run("1KiB/encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var e serverEvent
			if err := json.Unmarshal(body, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("1KiB/json-valid", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if !json.Valid(body) {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("1KiB/fastjson", func(b *testing.B) {
		var p fastjson.Parser
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.ParseBytes(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	body := []byte(arrayOf(100, event1KiB()))
	for _, coding := range []string{"gzip", "zstd", "br"} {
		coded := deflate(b, coding, body)
		b.Run(coding, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := intake.Inflate(coding, coded, 8<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
