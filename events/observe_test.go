package events

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/inngest-gateway/inngest-gateway/events/schema"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/metrics"
)

// counted returns the counters and gauges that are not 0, and how many values
// the histograms have.
func counted(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "inngest_gateway_events_")
			for _, l := range m.GetLabel() {
				if l.GetName() != "environment" {
					name += " " + l.GetValue()
				}
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if value != 0 && strings.HasPrefix(f.GetName(), "inngest_gateway_events_") && name != "held_limit_bytes" {
				all[name] = value
			}
		}
	}
	return all
}

func TestMetrics_countWhatBecomesOfEvents(t *testing.T) {
	set, err := schema.Compile([]schema.Source{{Name: "t/loose", From: "loose.json", Mode: schema.ModeWarn, Text: []byte(`{"required":["price"]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		r := newRig(t, func(o *Options) {
			o.Metrics, o.Schemas, o.DedupeWindow, o.Rate, o.Burst = metrics.New(reg).Events, set, time.Hour, 100, 20
		})
		r.inngest.poison = "yes"
		r.send(t, request(`[{"name":"t/loose"},{"name":"t/e"}]`))
		r.send(t, request(`{"name":""}`))
		r.send(t, request(`{"name":"t/e","data":{"poison":"yes"}}`))
		for range 2 {
			r.send(t, seeded(callerSeed, array(0, 2)))
			r.send(t, request(withID("a", 1)))
		}
		r.inngest.set(func(s *inngestSide) { s.away = errors.New("connection refused") })
		r.send(t, request(array(0, 3)))
		r.disk.set(func(d *disk) { d.err = spool.ErrFull })
		r.send(t, request(array(0, 30)))
		r.send(t, request(event(1)))
		synctest.Wait()
		want := map[string]float64{
			"requests_total taken":              3,
			"requests_total invalid":            1,
			"requests_total refused":            1,
			"requests_total repeated":           2,
			"requests_total spooled":            1,
			"requests_total unavailable":        1,
			"requests_total limited":            1,
			"received_total":                    41,
			"invalid_requests_total name_empty": 1,
			"schema_violations_total t/loose":   1,
			"refused_total":                     1,
			"stored_total":                      3,
			"batches_total":                     6,
			"batch_size_events":                 6,
			"batch_wait_seconds":                6,
			"repeated_total seed":               2,
			"repeated_total id":                 1,
		}
		if diff := cmp.Diff(want, counted(t, reg)); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
		if got := counted(t, reg); got["remembered_seeds"] != 1 || got["remembered_ids"] != 1 {
			t.Errorf("remembered seeds and ids = %v, %v, want 1 and 1", got["remembered_seeds"], got["remembered_ids"])
		}
	})
}

func TestLog_saysWhenEventsGoAnotherWayAndNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var text bytes.Buffer
		r := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(lockedWriter{&mu, &text}, nil)) })
		r.inngest.poison = "yes"
		for n := range 40 {
			switch n {
			case 10:
				r.inngest.set(func(s *inngestSide) { s.away = errors.New("connection refused") })
			case 20:
				r.disk.set(func(d *disk) { d.err = errors.New("no space left on device") })
			case 30:
				r.inngest.set(func(s *inngestSide) { s.away = nil })
			}
			r.send(t, request(`{"name":"t/e","data":{"secret":"s3cret"}}`))
			r.send(t, request(`{"name":"t/e","data":{"secret":"s3cret","poison":"yes"}}`))
			time.Sleep(time.Second)
		}
		got := map[string]int{}
		for line := range strings.Lines(text.String()) {
			_, message, _ := strings.Cut(line, `msg="`)
			message, _, _ = strings.Cut(message, `"`)
			got[message]++
		}
		want := map[string]int{"event refused by Inngest": 2, "events go to the spool": 1, "events not stored": 1, "events go to Inngest again": 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s\n%s", diff, text.String())
		}
		for _, secret := range []string{testKey, "s3cret"} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
		if !strings.Contains(text.String(), "left_out=9") {
			t.Errorf("no line says how many were left out:\n%s", text.String())
		}
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}
