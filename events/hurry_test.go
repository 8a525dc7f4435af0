package events

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHurry_waitsForInngestNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.InFlight, o.Patience = 1, time.Hour })
		r.inngest.set(func(s *inngestSide) { s.delay = time.Hour })
		answers := make(chan said, 3)
		for n := range cap(answers) { // one is on its way, the others wait for it
			go func() { answers <- r.send(t, request(event(n))) }()
			synctest.Wait()
		}
		began := time.Now()
		r.Hurry()
		var ids []string
		for range cap(answers) {
			ids = append(ids, (<-answers).taken(t, 1)...)
		}
		ids = append(ids, r.send(t, request(event(3))).taken(t, 1)...)
		if took := time.Since(began); took > 0 {
			t.Errorf("the answers came after %s", took)
		}
		if len(r.inngest.counts()) != 1 {
			t.Errorf("Inngest was asked %d times, want once, before the hurry", len(r.inngest.counts()))
		}
		r.disk.drain(t, r.inngest)
		for _, id := range ids {
			if r.inngest.times[id] != 1 {
				t.Errorf("%s came %d times from the spool, want once", id, r.inngest.times[id])
			}
		}
	})
}
