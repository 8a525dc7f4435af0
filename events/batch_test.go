package events

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func event(n int) string { return fmt.Sprintf(`{"name":"t/e","data":{"n":%d}}`, n) }

func array(from, to int) string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, event(n))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestAccept_sendsALoneEventAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		began := time.Now()
		ids := r.send(t, request(event(1))).taken(t, 1)
		if d := time.Since(began); d != 0 {
			t.Errorf("a lone event waited for %v", d)
		}
		r.inngest.knows(t, ids, event(1))
	})
}

func TestAccept_gathersWhileABatchIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay = 3 * time.Millisecond
		var group sync.WaitGroup
		for n := range 20 {
			at(time.Duration(n)*50*time.Microsecond, &group, func() {
				r.inngest.knows(t, r.send(t, request(event(n))).taken(t, 1), event(n))
			})
		}
		group.Wait()
		if diff := cmp.Diff([]int{1, 19}, r.inngest.counts()); diff != "" {
			t.Errorf("events of the POSTs (-want +got):\n%s", diff)
		}
	})
}

func TestAccept_waitsNoLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		at(0, &group, func() { r.send(t, request(event(0))).taken(t, 1) })
		for n := range 3 {
			at(time.Duration(1+n)*time.Millisecond, &group, func() {
				began := time.Now()
				r.send(t, request(event(1+n))).taken(t, 1)
				if got, want := time.Since(began), time.Second+time.Duration(5-n)*time.Millisecond; got != want {
					t.Errorf("event %d took %v, want %v", n, got, want)
				}
			})
		}
		group.Wait()
		if diff := cmp.Diff([]int{1, 3}, r.inngest.counts()); diff != "" {
			t.Errorf("events of the POSTs (-want +got):\n%s", diff)
		}
	})
}

func TestAccept_cutsBatches(t *testing.T) {
	size := len(event(1)) + 1
	for name, c := range map[string]struct {
		change func(*Options)
		limit  int
		want   []int
	}{
		"at events":           {func(o *Options) { o.MaxEvents = 4 }, 0, []int{1, 4, 4, 1}},
		"at bytes":            {func(o *Options) { o.MaxBytes = 3*size + 1 }, 0, []int{1, 3, 3, 3}},
		"at a learnt limit":   {nil, 5*size + 1, []int{1, 5, 4}},
		"at one event":        {func(o *Options) { o.MaxEvents = 1; o.InFlight = 10 }, 0, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		"at bounds never met": {nil, 0, []int{1, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.change)
				r.inngest.delay, r.inngest.limit = 4*time.Millisecond, c.limit
				var group sync.WaitGroup
				for n := range 10 {
					at(time.Duration(n)*time.Microsecond, &group, func() {
						r.inngest.knows(t, r.send(t, request(event(n))).taken(t, 1), event(n))
					})
				}
				group.Wait()
				if diff := cmp.Diff(c.want, r.inngest.counts()); diff != "" {
					t.Errorf("events of the POSTs (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAccept_neverCutsARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.MaxEvents, o.InFlight = 3, 1 })
		r.inngest.delay = time.Millisecond
		var group sync.WaitGroup
		at(0, &group, func() { r.send(t, request(array(0, 2))).taken(t, 2) })
		at(1, &group, func() { r.send(t, request(array(2, 4))).taken(t, 2) })
		at(2, &group, func() { r.send(t, request(array(4, 11))).taken(t, 7) })
		group.Wait()
		if diff := cmp.Diff([]int{2, 2, 7}, r.inngest.counts()); diff != "" {
			t.Errorf("events of the POSTs (-want +got):\n%s", diff)
		}
	})
}

func TestAccept_keepsBatchesOfADestinationInFlightWithinTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.InFlight, o.MaxWait, o.Patience = 2, 0, time.Hour })
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		for n := range 10 {
			at(time.Duration(n)*time.Millisecond, &group, func() { r.send(t, request(event(n))).taken(t, 1) })
		}
		time.Sleep(500 * time.Millisecond)
		s := r.Status()
		if len(s.Destinations) != 1 || s.Destinations[0].Running != 2 || s.Destinations[0].Gathering != 8 {
			t.Errorf("Status = %+v, want 2 batches on their way and 8 events that gather", s)
		}
		group.Wait()
		synctest.Wait()
		if s := r.Status(); len(s.Destinations) != 0 || s.Memory != 0 {
			t.Errorf("Status after all = %+v, want nothing", s)
		}
	})
}

func TestAccept_keepsKeysBranchesAndEnvironmentsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Environments = append(o.Environments, "test") })
		r.inngest.delay = time.Millisecond
		var group sync.WaitGroup
		for n := range 12 {
			q := request(event(n))
			switch n % 4 {
			case 1:
				q.Key = "another"
			case 2:
				q.Branch = "feature"
			case 3:
				q.Environment = "test"
			}
			at(0, &group, func() { r.send(t, q).taken(t, 1) })
		}
		group.Wait()
		if got := len(r.inngest.counts()); got != 8 {
			t.Errorf("%d POSTs, want two for each of four destinations", got)
		}
		for _, b := range r.inngest.posts {
			for _, n := range []string{`"n":1}`, `"n":2}`, `"n":3}`} {
				if strings.Contains(string(b.Body), `"n":0}`) && strings.Contains(string(b.Body), n) {
					t.Errorf("one POST for several destinations: %s", b.Body)
				}
			}
		}
	})
}

func TestAccept_givesTheIDsThatInngestGave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay = time.Millisecond
		var group sync.WaitGroup
		for n := range 30 { // arrays of many lengths in one batch
			from := n * 10
			want := []string{}
			for i := from; i < from+1+n%7; i++ {
				want = append(want, event(i))
			}
			at(0, &group, func() {
				r.inngest.knows(t, r.send(t, request(array(from, from+1+n%7))).taken(t, 1+n%7), want...)
			})
		}
		group.Wait()
	})
}
