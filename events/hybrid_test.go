package events

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/events/spool"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func TestHybrid_spoolsWhatInngestDoesNotTake(t *testing.T) {
	for name, c := range map[string]func(*inngestSide){
		"away":          func(s *inngestSide) { s.away = errors.New("connection refused") },
		"known as down": func(s *inngestSide) { s.down = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				c(r.inngest)
				ids := r.send(t, request(array(0, 3))).taken(t, 3)
				if r.disk.len() != 1 || len(r.inngest.events) != 0 {
					t.Fatalf("%d records in the spool, want 1", r.disk.len())
				}
				if got := r.disk.records[0]; got.Environment != "prod" || got.KeyID != deliver.KeyID(testKey) || got.Count != 3 || !got.Accepted.Equal(time.Now()) {
					t.Errorf("record = %+v", got)
				}
				r.disk.drain(t, r.inngest)
				r.inngest.knows(t, ids, event(0), event(1), event(2))
			})
		})
	}
}

func TestHybrid_asksNobodyWhoIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.down = true
		r.send(t, request(event(1))).taken(t, 1)
		if n := len(r.inngest.counts()); n != 0 {
			t.Errorf("%d POSTs to an Inngest that is down", n)
		}
	})
}

// Of six events Inngest takes 0, refuses 1, leaves 2 and 3, takes 4, leaves 5.
func TestHybrid_spoolsTheRestOfABatchUnderItsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
			for _, i := range []int{0, 4} {
				r.inngest.events[b.Seed.ID(i+1)] = event(i)
				r.inngest.times[b.Seed.ID(i+1)]++
			}
			return &deliver.Result{
				Refused: []deliver.Refusal{{Index: 1, Status: 400, Message: "no good"}},
				Left:    []deliver.Range{{From: 2, To: 4}, {From: 5, To: 6}},
				Err:     errors.New("reset"),
			}
		}
		got := r.send(t, request(array(0, 6)))
		want := "no good (event 1, refused by Inngest with 400); the other events of the request were taken: 5"
		if got.Status != 400 || got.Error != want || got.Code != inngest.CodeEventRefused || got.IDs[1] != "" {
			t.Errorf("answer = %s, want a 400 that says %q", got.Body, want)
		}
		if n := r.disk.len(); n != 2 {
			t.Errorf("%d records in the spool, want 2", n)
		}
		r.disk.drain(t, r.inngest)
		for _, i := range []int{0, 2, 3, 4, 5} {
			r.inngest.knows(t, got.IDs[i:i+1], event(i))
		}
	})
}

func TestHybrid_tellsTheSenderOfABadEventAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay, r.inngest.poison = time.Millisecond, "yes"
		var group sync.WaitGroup
		var mu sync.Mutex
		taken, bad := 0, []string{}
		for n := range 500 {
			body := event(n)
			if n == 123 {
				body = `{"name":"t/bad","data":{"poison":"yes"}}`
			}
			at(time.Duration(n)*time.Microsecond, &group, func() {
				a := read(t, r.Accept(t.Context(), request(body)))
				mu.Lock()
				defer mu.Unlock()
				if a.Status == http.StatusOK {
					taken++
					r.inngest.knows(t, a.IDs, body)
				} else {
					bad = append(bad, a.Body)
				}
			})
		}
		group.Wait()
		want := []string{`{"ids":[""],"status":400,"error":"poisoned (event 0, refused by Inngest with 400)"}` + "\n"}
		if diff := cmp.Diff(want, bad); taken != 499 || diff != "" {
			t.Errorf("%d events taken, want 499; errors (-want +got):\n%s", taken, diff)
		}
	})
}

func TestHybrid_answersForAKeyThatInngestDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		key   string
		want  int
		store int
	}{
		"brought by the app": {"who knows", http.StatusUnauthorized, 0},
		"configured":         {testKey, http.StatusOK, 1}, // somebody will correct the configuration
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				r.inngest.away = fmt.Errorf("401: %w", deliver.ErrKeyRefused)
				q := request(event(1))
				q.Key = c.key
				a := r.Accept(t.Context(), q)
				if a.Status != c.want || r.disk.len() != c.store {
					t.Errorf("answer = %d %s, %d records; want %d and %d", a.Status, a.Body, r.disk.len(), c.want, c.store)
				}
				if want := `{"status":401,"message":"","error":"Event key not found"}` + "\n"; a.Status == 401 && string(a.Body) != want {
					t.Errorf("answer = %s, want the server's own %s", a.Body, want)
				}
			})
		})
	}
}

func TestHybrid_saysWhyNothingIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		key  string
		want inngest.Code
	}{
		"spool full":                {fmt.Errorf("append: %w", spool.ErrFull), testKey, inngest.CodeSpoolFull},
		"spool broken":              {errors.New("no space left on device"), testKey, inngest.CodeSpoolUnavailable},
		"a key that cannot be kept": {nil, "of an app", inngest.CodeSpoolUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				r.inngest.away, r.disk.err = errors.New("timeout"), c.err
				q := request(event(1))
				q.Key = c.key
				a := r.Accept(t.Context(), q)
				got := read(t, a)
				if got.Status != 503 || got.Code != c.want || a.RetryAfter <= 0 || !slices.Equal(got.IDs, []string{""}) {
					t.Errorf("answer = %s, code %s, retry after %v; want 503 %s", got.Body, got.Code, a.RetryAfter, c.want)
				}
			})
		})
	}
}

func TestHybrid_spoolsWhatHasNoRoomInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := `{"name":"t/big","data":{"x":"` + strings.Repeat("x", 10_000) + `"}}`
		r := newRig(t, func(o *Options) { o.MaxMemory, o.MaxBytes, o.InFlight, o.Patience = 100_000, 20_000, 1, time.Hour })
		r.inngest.delay = time.Minute
		var group sync.WaitGroup
		for n := range 30 {
			at(time.Duration(n)*10*time.Millisecond, &group, func() { r.send(t, request(big)).taken(t, 1) })
		}
		time.Sleep(time.Second)
		if n := r.disk.len(); n == 0 {
			t.Error("nothing went to the spool")
		}
		if s := r.Status(); s.Memory > s.MaxMemory {
			t.Errorf("%d bytes are held, the bound is %d", s.Memory, s.MaxMemory)
		}
		group.Wait()
	})
}

func TestHybrid_spoolsWhatWaitsTooLongForItsTurn(t *testing.T) {
	for name, c := range map[string]struct{ maxEvents, records int }{
		"in full batches":  {1, 3},
		"while it gathers": {500, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(o *Options) { o.InFlight, o.MaxEvents = 1, c.maxEvents })
				r.inngest.delay = time.Minute
				var group sync.WaitGroup
				at(0, &group, func() { r.send(t, request(event(0))).taken(t, 1) })
				for n := range 3 {
					at(time.Millisecond, &group, func() {
						began := time.Now()
						r.send(t, request(event(1+n))).taken(t, 1)
						if d := time.Since(began); d > 2*time.Second {
							t.Errorf("an event waited %v for its turn, want about Patience, 1 s", d)
						}
					})
				}
				group.Wait()
				if n := r.disk.len(); n != c.records {
					t.Errorf("%d records in the spool, want %d", n, c.records)
				}
			})
		})
	}
}

func TestDurable_acknowledgesWhatIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Mode = ModeDurable })
		var group sync.WaitGroup
		for n := range 10 {
			at(0, &group, func() {
				ids := r.send(t, request(event(n))).taken(t, 1)
				r.disk.drain(t, r.inngest)
				r.inngest.knows(t, ids, event(n))
			})
		}
		group.Wait()
		if n := len(r.inngest.counts()); n != 0 {
			t.Errorf("%d POSTs beside the spool", n)
		}
	})
}

func TestDurable_refusesWhatItCannotStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Mode = ModeDurable })
		r.disk.err = spool.ErrFull
		if got := r.send(t, request(event(1))); got.Status != 503 || got.Code != inngest.CodeSpoolFull {
			t.Errorf("answer = %s, want 503 spool_full", got.Body)
		}
	})
}

func none(o *Options) {
	o.Mode, o.Spool = ModeNone, nil
	o.GiveUp, o.BackoffMin, o.BackoffMax = 20*time.Second, 100*time.Millisecond, 30*time.Second
}

func TestNone_triesUntilInngestIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, none)
		r.inngest.away = errors.New("connection refused")
		var group sync.WaitGroup
		at(10*time.Second, &group, func() { r.inngest.set(func(s *inngestSide) { s.away = nil }) })
		ids := r.send(t, request(array(0, 2))).taken(t, 2)
		group.Wait()
		r.inngest.knows(t, ids, event(0), event(1))
		if n := len(r.inngest.counts()); n < 5 || n > 12 {
			t.Errorf("%d tries in 10 s, want them further and further apart", n)
		}
		for _, b := range r.inngest.posts {
			if b.Seed != r.inngest.posts[0].Seed {
				t.Error("a try had other ids than the one before")
			}
		}
	})
}

func TestNone_givesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, none)
		r.inngest.away = errors.New("connection refused")
		began := time.Now()
		a := r.Accept(t.Context(), request(event(1)))
		if a.Status != 503 || a.Code != inngest.CodeInngestUnavailable || a.RetryAfter != retryLate {
			t.Errorf("answer = %d %s %v, want 503 inngest_unavailable", a.Status, a.Code, a.RetryAfter)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("it took %v, want at most GiveUp", d)
		}
	})
}

func TestNone_doesNotWaitLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, none)
		r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
			return &deliver.Result{Left: []deliver.Range{{To: b.Count}}, RetryAfter: time.Minute, Err: deliver.ErrHeld}
		}
		began := time.Now()
		a := r.Accept(t.Context(), request(event(1)))
		if a.Status != 503 || a.RetryAfter != time.Minute || time.Since(began) != 0 {
			t.Errorf("answer = %d, retry after %v, after %v; want 503 and 1m at once", a.Status, a.RetryAfter, time.Since(began))
		}
	})
}

func TestNone_sendsWhatIsLeftUnderItsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, none)
		tries := 0
		r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
			if tries++; tries > 1 {
				return nil
			}
			r.inngest.events[b.Seed.ID(3)] = event(2)
			r.inngest.times[b.Seed.ID(3)]++
			return &deliver.Result{Left: []deliver.Range{{From: 0, To: 2}, {From: 3, To: 5}}, Err: errors.New("reset")}
		}
		ids := r.send(t, request(array(0, 5))).taken(t, 5)
		r.inngest.knows(t, ids, event(0), event(1), event(2), event(3), event(4))
	})
}

func TestNone_refusesWhatHasNoRoomInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := `{"name":"t/big","data":{"x":"` + strings.Repeat("x", 10_000) + `"}}`
		r := newRig(t, func(o *Options) { none(o); o.MaxMemory = 50_000 })
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for range 10 {
			at(0, &group, func() {
				a := r.Accept(t.Context(), request(big))
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprint(a.Status, a.Code)]++
			})
		}
		group.Wait()
		if diff := cmp.Diff(map[string]int{"200": 4, "503memory_exhausted": 6}, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

func TestAccept_doesNotReadWhatThereIsNoRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { none(o); o.MaxMemory = 15_000 })
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		at(0, &group, func() {
			r.Accept(t.Context(), request(`{"name":"t/big","data":{"x":"`+strings.Repeat("x", 10_000)+`"}}`))
		})
		at(time.Millisecond, &group, func() {
			if a := r.Accept(t.Context(), request(strings.Repeat("[", 10_000))); a.Code != inngest.CodeMemoryExhausted {
				t.Errorf("answer to what is no JSON = %d %q, want %s: it must not be read", a.Status, a.Code, inngest.CodeMemoryExhausted)
			}
		})
		group.Wait()
	})
}

func TestAccept_takesOneRequestThatIsLargerThanTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { none(o); o.MaxMemory = 10 })
		r.send(t, request(event(1))).taken(t, 1)
	})
}

// Inngest took the events without a look at the seed.
func TestAccept_answersWithTheIDsThatInngestChose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.answer = func(*deliver.Batch) *deliver.Result {
			return &deliver.Result{IDs: []string{"A", "B"}}
		}
		for range 2 { // the repeat of the same seed too
			got := r.send(t, seeded("1795540000000,MDEyMzQ1Njc4OQ==", array(0, 2))).taken(t, 2)
			if diff := cmp.Diff([]string{"A", "B"}, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		}
	})
}
