package schema_test

import (
	"strings"
	"testing"
)

func BenchmarkCheck(b *testing.B) {
	set := examples(b)
	item := `{"sku":"SKU-00017","qty":2,"price":{"amount":1999,"currency":"EUR"},"attributes":{"size":"M","weight":0.4}}`
	data := []byte(`{"orderId":"x","customer":{"id":1,"email":"ada@example.com"},"items":[` + strings.TrimSuffix(strings.Repeat(item+",", 8), ",") +
		`],"total":{"amount":15992,"currency":"EUR"},"payment":{"kind":"card","last4":"1234"},"note":null}`)
	for name, event := range map[string]string{"1KiB": "order.created", "no schema": "another"} {
		event := []byte(event)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if f := set.Check(event, nil, data); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}
