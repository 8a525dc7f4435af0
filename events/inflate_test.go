package events

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/events/intake"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestAccept_inflatesOnlySoManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for range cap(r.inflating) {
			r.inflating <- struct{}{} // others inflate
		}
		coded := request("")
		coded.ContentEncoding, coded.Body = "gzip", zipped(event(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a := r.Accept(ctx, coded); a.Code != inngest.CodeCallCanceled {
			t.Errorf("answer without a place = %d %s", a.Status, a.Body)
		}
		r.send(t, request(event(2))).taken(t, 1) // it needs none

		<-r.inflating
		for n := range 2 { // the place is given up each time
			coded.Body = zipped(event(3 + n))
			r.send(t, coded).taken(t, 1)
		}
	})
}

func TestInflating_fitsIntoTheMemoryForEvents(t *testing.T) {
	for name, c := range map[string]struct {
		memory, body int
		want         int
	}{
		"less than one": {16 << 20, 8 << 20, 1},
		"one":           {64 << 20, 16 << 20, 1},
	} {
		o := &Options{MaxMemory: int64(c.memory), Limits: intake.ServerLimits(c.body)}
		if got := cap(newInflating(o)); got != c.want {
			t.Errorf("%s: %d places, want %d", name, got, c.want)
		}
	}
}
