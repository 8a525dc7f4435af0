package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
)

func dedupe(o *Options) { o.DedupeWindow = time.Hour }

// withID is an event with an id of its sender, n in its data.
func withID(id string, n int) string {
	return fmt.Sprintf(`{"name":"t/e","id":%q,"data":{"n":%d}}`, id, n)
}

func TestDedupe_sendsAnIDOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dedupe)
		first := r.send(t, request(withID("a", 1))).taken(t, 1)
		time.Sleep(59 * time.Minute)
		again := r.send(t, request(withID("a", 2))).taken(t, 1)
		if !slices.Equal(first, again) || len(r.inngest.counts()) != 1 {
			t.Errorf("ids %q and %q in %d POSTs, want the same of one", first, again, len(r.inngest.counts()))
		}
		time.Sleep(2 * time.Minute)
		if late := r.send(t, request(withID("a", 3))).taken(t, 1); slices.Equal(first, late) {
			t.Error("an id is known after its window")
		}
	})
}

func TestDedupe_isForEventsThatAreTheSame(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"another id":     func(q *Request) { q.Body = []byte(withID("b", 1)) },
		"another name":   func(q *Request) { q.Body = []byte(`{"name":"t/other","id":"a"}`) },
		"another key":    func(q *Request) { q.Key = "another" },
		"another branch": func(q *Request) { q.Branch = "feature" },
		"no id":          func(q *Request) { q.Body = []byte(event(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, dedupe)
				first := r.send(t, request(withID("a", 1))).taken(t, 1)
				q := request(withID("a", 1))
				change(&q)
				if again := r.send(t, q).taken(t, 1); slices.Equal(first, again) || len(r.inngest.counts()) != 2 {
					t.Error("answered from the first event")
				}
			})
		})
	}
}

func TestDedupe_sendsTheRestOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dedupe)
		a := r.send(t, request(withID("a", 0))).taken(t, 1)
		body := "[" + strings.Join([]string{event(1), withID("a", 2), withID("b", 3), event(4), withID("b", 5)}, ",") + "]"
		ids := r.send(t, request(body)).taken(t, 5)
		if ids[1] != a[0] || ids[4] != ids[2] {
			t.Errorf("ids = %q, want %s second and the last like the third", ids, a[0])
		}
		if diff := cmp.Diff([]int{1, 3}, r.inngest.counts()); diff != "" {
			t.Errorf("events of the POSTs (-want +got):\n%s", diff)
		}
		r.inngest.knows(t, []string{ids[0], ids[2], ids[3]}, event(1), withID("b", 3), event(4))
	})
}

func TestDedupe_repeatWaitsForTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		fails bool
		posts int
	}{
		"that is taken": {false, 1},
		"that fails":    {true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { none(o); dedupe(o) })
				r.inngest.delay = time.Second
				tries := 0
				r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
					if tries++; tries == 1 && c.fails {
						return &deliver.Result{Left: []deliver.Range{{To: 1}}, RetryAfter: time.Hour, Err: errors.New("no")}
					}
					return nil
				}
				var group sync.WaitGroup
				at(0, &group, func() {
					if a := r.send(t, request(withID("a", 1))); (a.Status == 503) != c.fails {
						t.Errorf("first answer = %s", a.Body)
					}
				})
				at(time.Millisecond, &group, func() {
					r.inngest.knows(t, r.send(t, request(withID("a", 1))).taken(t, 1), withID("a", 1))
				})
				group.Wait()
				if n := len(r.inngest.counts()); n != c.posts {
					t.Errorf("%d POSTs, want %d", n, c.posts)
				}
			})
		})
	}
}

func TestDedupe_crossedRequestsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dedupe)
		r.inngest.delay = time.Millisecond
		var group sync.WaitGroup
		for n := range 50 {
			at(0, &group, func() {
				x, y := withID(fmt.Sprint(n%5), 1), withID(fmt.Sprint((n+1)%5), 1)
				r.send(t, request("["+x+","+y+"]")).taken(t, 2)
			})
		}
		group.Wait()
		if len(r.inngest.events) != 5 {
			t.Errorf("Inngest has %d events, want 5", len(r.inngest.events))
		}
	})
}

func TestDedupe_refusedEventsAreNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dedupe)
		r.inngest.poison = "yes"
		bad := `{"name":"t/e","id":"bad","data":{"poison":"yes"}}`
		r.send(t, request(withID("a", 0))).taken(t, 1)
		got := r.send(t, request("["+withID("a", 0)+","+bad+","+event(1)+"]"))
		if got.Status != 400 || got.IDs[0] == "" || got.IDs[1] != "" || got.IDs[2] == "" || !strings.Contains(got.Error, "event 1") {
			t.Errorf("answer = %s, want a 400 about event 1", got.Body)
		}
		r.inngest.set(func(s *inngestSide) { s.poison = "" })
		r.inngest.knows(t, r.send(t, request(bad)).taken(t, 1), bad)
	})
}

func TestDedupe_rememberedWithTheSeedOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dedupe)
		r.send(t, request(withID("a", 0))).taken(t, 1)
		body := "[" + event(1) + "," + withID("a", 0) + "," + event(2) + "]"
		first := r.send(t, seeded(callerSeed, body)).taken(t, 3)
		again := r.send(t, seeded(callerSeed, body)).taken(t, 3)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("ids of the repeat (-first +again):\n%s", diff)
		}
		if diff := cmp.Diff([]int{1, 2}, r.inngest.counts()); diff != "" {
			t.Errorf("events of the POSTs (-want +got):\n%s", diff)
		}
	})
}
