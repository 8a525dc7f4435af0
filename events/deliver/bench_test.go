package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/inngest-gateway/inngest-gateway/events/spool"
)

// taking answers as Inngest does when all is well, without looking at events.
type taking struct{ answers map[int]string }

func (s *taking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	io.WriteString(w, s.answers[int(r.ContentLength)])
}

func idsOf(b *Batch) string {
	ids := make([]string, b.Count)
	for i := range ids {
		ids[i] = b.Seed.ID(i + 1)
	}
	text, _ := json.Marshal(map[string]any{"ids": ids, "status": 200})
	return string(text)
}

// BenchmarkSend is one batch over a kept connection. The baseline is the same
// POST without anything around it.
func BenchmarkSend(b *testing.B) {
	for _, count := range []int{1, 20, 500} {
		batch := batch(count, 100)
		server := httptest.NewServer(&taking{map[int]string{len(batch.Body): idsOf(batch)}})
		b.Cleanup(server.Close)
		c := newClient(b, clientOptions(server.URL))
		b.Run(fmt.Sprintf("%d events", count), func(b *testing.B) {
			b.SetBytes(int64(len(batch.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if r := c.Send(b.Context(), batch); r.Err != nil || r.IDs != nil {
					b.Fatal(r)
				}
			}
			b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprintf("%d events, bare POST", count), func(b *testing.B) {
			b.SetBytes(int64(len(batch.Body)))
			b.ReportAllocs()
			for b.Loop() {
				sent := &sentBody{text: batch.Body}
				body, _ := sent.open()
				req, _ := http.NewRequest(http.MethodPost, server.URL, body)
				req.ContentLength = int64(len(batch.Body))
				a, err := c.o.Transport.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, a.Body)
				a.Body.Close()
			}
		})
	}
}

func BenchmarkReadAnswer(b *testing.B) {
	batch := batch(500, 1)
	text := []byte(idsOf(batch))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if a := readAnswer(200, http.Header{}, text, batch.Seed, time.Now()); a.taken != 500 || a.ids != nil {
			b.Fatal(a)
		}
	}
}

// BenchmarkCut is what a refused batch costs beside its POSTs.
func BenchmarkCut(b *testing.B) {
	batch := batch(500, 1000)
	b.SetBytes(int64(len(batch.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cut(batch.Body, batch.Count); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDrain is the spool's records to Inngest, one record an operation.
func BenchmarkDrain(b *testing.B) {
	for _, count := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d events a record", count), func(b *testing.B) { benchDrain(b, count) })
	}
}

func benchDrain(b *testing.B, count int) {
	s := openSpool(b, b.TempDir())
	o := batch(count, 100)
	all, _ := newAPI(b)
	server := httptest.NewServer(all)
	b.Cleanup(server.Close)
	c := newClient(b, clientOptions(server.URL))
	for n := range b.N {
		err := s.Append(b.Context(), spool.Record{
			Environment: o.Environment, KeyID: o.KeyID, Seed: o.Seed.From(count*n + 1).String(), Count: count, Accepted: time.Now(),
			Body: bytes.ReplaceAll(o.Body, []byte(`"n":"`), fmt.Appendf(nil, `"n":"%d-`, n)),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	b.ReportAllocs()
	options := drainerOptions(s, c)
	options.Look = time.Second
	_, stop := drain(b, options)
	await(b, "end", func() bool {
		return testutil.ToFloat64(options.Metrics.Drained.WithLabelValues("prod")) == float64(count*b.N)
	})
	stop() // with the last acknowledgements
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(len(all.sent()))/float64(b.N), "POSTs/record")
}
