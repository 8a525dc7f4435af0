package events

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRecent_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecent[int](time.Minute, 10)
		evicted := 0
		for n := range 1000 {
			evicted += r.put(digest{byte(n % 25)}, n, time.Now())
			if r.len() > 10 || len(r.order) > 50 {
				t.Fatalf("%d entries in an order of %d, the bound is 10", r.len(), len(r.order))
			}
			time.Sleep(time.Second)
		}
		if evicted == 0 {
			t.Error("nothing was evicted")
		}
		k := digest{200}
		r.put(k, 1, time.Now())
		time.Sleep(59 * time.Second)
		if _, ok := r.get(k, time.Now()); !ok {
			t.Error("an entry is gone before its time")
		}
		time.Sleep(time.Second)
		if v, ok := r.get(k, time.Now()); ok {
			t.Errorf("an entry outlives its time: %d", v)
		}
		if r.put(digest{201}, 1, time.Now()); r.len() != 1 {
			t.Errorf("%d entries, want those that are too old gone", r.len())
		}
	})
}
