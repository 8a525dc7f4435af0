package events

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inngest-gateway/inngest-gateway/events/deliver"
	"github.com/inngest-gateway/inngest-gateway/inngest"
)

const callerSeed = "1795540000000,MDEyMzQ1Njc4OQ=="

func TestSeed_repeatHasTheSameIDsAndIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		first := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
		time.Sleep(9 * time.Minute)
		again := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
		if diff := cmp.Diff(first, again); diff != "" || len(r.inngest.counts()) != 1 {
			t.Errorf("%d POSTs, ids of the repeat (-first +again):\n%s", len(r.inngest.counts()), diff)
		}
		time.Sleep(2 * time.Minute)
		r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
		if n := len(r.inngest.counts()); n != 2 {
			t.Errorf("%d POSTs, want the seed forgotten after its window", n)
		}
	})
}

func TestSeed_belongsToItsRequest(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"another body":               func(q *Request) { q.Body = []byte(event(2)) },
		"another seed":               func(q *Request) { q.Seed = "1795540000001,MDEyMzQ1Njc4OQ==" },
		"another key":                func(q *Request) { q.Key = "another" },
		"another branch":             func(q *Request) { q.Branch = "feature" },
		"no seed":                    func(q *Request) { q.Seed = "" },
		"a seed that cannot be read": func(q *Request) { q.Seed = "0" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				first := r.send(t, seeded(callerSeed, event(1))).taken(t, 1)
				q := seeded(callerSeed, event(1))
				change(&q)
				if again := r.send(t, q).taken(t, 1); slices.Equal(first, again) || len(r.inngest.counts()) != 2 {
					t.Errorf("answered from the first request: %q", again)
				}
			})
		})
	}
}

func TestSeed_repeatWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay = time.Second
		var group sync.WaitGroup
		got := make([][]string, 3)
		for n := range got {
			at(time.Duration(n)*100*time.Millisecond, &group, func() {
				got[n] = r.send(t, seeded(callerSeed, event(1))).taken(t, 1)
			})
		}
		group.Wait()
		if !slices.Equal(got[0], got[1]) || !slices.Equal(got[0], got[2]) || len(r.inngest.counts()) != 1 {
			t.Errorf("ids = %v in %d POSTs, want the same of one", got, len(r.inngest.counts()))
		}
	})
}

// The first answer got lost on its way to the gateway, which therefore said 503:
// the second try must not make a second run.
func TestSeed_repeatAfterAFailureHasTheSameIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, none)
		r.inngest.answer = func(b *deliver.Batch) *deliver.Result {
			return &deliver.Result{Left: []deliver.Range{{To: b.Count}}, RetryAfter: time.Hour, Err: errors.New("no answer")}
		}
		if got := r.send(t, seeded(callerSeed, array(0, 2))); got.Status != 503 {
			t.Fatalf("answer = %s, want 503", got.Body)
		}
		r.inngest.set(func(s *inngestSide) { s.answer = nil })
		ids := r.send(t, seeded(callerSeed, array(0, 2))).taken(t, 2)
		if r.inngest.posts[0].Seed != r.inngest.posts[1].Seed {
			t.Error("the repeat has other ids")
		}
		r.inngest.knows(t, ids, event(0), event(1))
	})
}

func TestSeed_repeatOfARefusedRequestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for name, body := range map[string]string{"here": `{"name":""}`, "there": `{"name":"t/bad","data":{"poison":"yes"}}`} {
			r.inngest.set(func(s *inngestSide) { s.poison = "yes" })
			for range 2 {
				if got := r.send(t, seeded(callerSeed, body)); got.Status != 400 {
					t.Errorf("%s: answer = %s, want 400", name, got.Body)
				}
			}
		}
	})
}

func TestSeed_outlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, func(o *Options) { o.SeedDir = dir })
		first := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.start(t)
		again := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
		if diff := cmp.Diff(first, again); diff != "" || len(r.inngest.counts()) != 1 {
			t.Errorf("%d POSTs, ids of the repeat (-first +again):\n%s", len(r.inngest.counts()), diff)
		}
	})
}

// Somebody sets the clock while the gateway is down.
func TestSeed_outlivesAStepOfTheClock(t *testing.T) {
	for name, step := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := newRig(t, func(o *Options) { o.SeedDir = dir })
				r.send(t, seeded("1795540000001,MDEyMzQ1Njc4OQ==", event(0))).taken(t, 1)
				time.Sleep(9 * time.Minute)
				first := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				r.options.Now = func() time.Time { return time.Now().Add(step) }
				r.start(t)
				if n := r.seeds.len(); n != 2 {
					t.Errorf("%d seeds are known, want both", n)
				}
				again := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
				if diff := cmp.Diff(first, again); diff != "" || len(r.inngest.counts()) != 2 {
					t.Errorf("%d POSTs, ids of the repeat (-first +again):\n%s", len(r.inngest.counts()), diff)
				}
				time.Sleep(11 * time.Minute)
				r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
				if n := len(r.inngest.counts()); n != 3 {
					t.Errorf("%d POSTs, want the seed forgotten after its window", n)
				}
			})
		})
	}
}

// What a killed process had written is all that its successor knows: here that
// ids were given, not that Inngest had the events. So they are sent once more,
// and Inngest knows them by their ids.
func TestSeed_isWrittenBeforeAnythingIsSent(t *testing.T) {
	for name, mode := range map[string]Mode{"hybrid": ModeHybrid, "durable": ModeDurable} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, copied := t.TempDir(), t.TempDir()
				kill := func() { copyFiles(t, dir, copied) }
				r := newRig(t, func(o *Options) { o.SeedDir, o.Mode = dir, mode })
				r.disk.before = kill
				r.inngest.answer = func(*deliver.Batch) *deliver.Result { kill(); return nil }
				first := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
				r.disk.before, r.inngest.answer = nil, nil
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				r.options.SeedDir = copied
				r.start(t)
				again := r.send(t, seeded(callerSeed, array(0, 3))).taken(t, 3)
				if diff := cmp.Diff(first, again); diff != "" {
					t.Errorf("ids after a kill (-first +again):\n%s", diff)
				}
				if n := r.disk.len() + len(r.inngest.counts()); n != 2 {
					t.Errorf("sent %d times, want it sent again: nobody knows whether it was before", n)
				}
			})
		})
	}
}

func copyFiles(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Error(err)
	}
}

func TestSeed_isNeverForAnotherRequestThatSharesTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.inngest.delay = time.Millisecond
		var group sync.WaitGroup
		got := make([][]string, 20)
		for round := range 2 {
			for n := range got {
				at(0, &group, func() {
					seed := inngest.Seed{Millis: 1795540000000, Entropy: [10]byte{byte(n)}}
					want := []string{}
					for i := range 1 + n%3 {
						want = append(want, event(n*10+i))
					}
					ids := r.send(t, seeded(seed.String(), array(n*10, n*10+1+n%3))).taken(t, 1+n%3)
					r.inngest.knows(t, ids, want...)
					if round == 1 && !slices.Equal(ids, got[n]) {
						t.Errorf("request %d has ids %q, then %q", n, got[n], ids)
					}
					got[n] = ids
				})
			}
			group.Wait()
		}
	})
}

func TestDurable_refusesWhatCannotBeRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "seeds")
		r := newRig(t, func(o *Options) { o.Mode, o.SeedDir = ModeDurable, dir })
		r.send(t, seeded(callerSeed, event(0))).taken(t, 1)
		r.seeds.journal.mu.Lock()
		_ = r.seeds.journal.file.Close() // as a disk that is gone
		r.seeds.journal.mu.Unlock()
		moved := dir + ".away"
		if err := os.Rename(dir, moved); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := r.send(t, seeded(callerSeed, event(1))); got.Code != inngest.CodeSpoolUnavailable {
				t.Errorf("answer = %s, code %q, want spool_unavailable", got.Body, got.Code)
			}
		}
		r.send(t, request(event(2))).taken(t, 1) // nothing to remember
		// The disk is back.
		if err := errors.Join(os.Remove(dir), os.Rename(moved, dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(beginPause)
		ids := r.send(t, seeded(callerSeed, event(1))).taken(t, 1)
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
		r.start(t)
		if again := r.send(t, seeded(callerSeed, event(1))).taken(t, 1); !slices.Equal(ids, again) {
			t.Errorf("ids after a restart are %q, were %q", again, ids)
		}
	})
}
