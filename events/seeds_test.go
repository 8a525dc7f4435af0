package events

import (
	"bytes"
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

func testJournal(t testing.TB, dir string, records int) (*journal, *recent[seedEntry]) {
	t.Helper()
	j := &journal{dir: dir, window: 10 * time.Minute, records: records}
	table := newRecent[seedEntry](10*time.Minute, 100)
	if err := j.begin(table, time.Now()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j, table
}

func testEntry(n int) (digest, seedEntry) {
	return digest{byte(n), byte(n >> 8)}, seedEntry{seed: inngest.Seed{Millis: uint64(n), Entropy: [10]byte{byte(n)}}, count: n}
}

// note puts an entry into table and journal.
func note(t testing.TB, j *journal, table *recent[seedEntry], n int) {
	t.Helper()
	k, e := testEntry(n)
	now := time.Now()
	table.put(k, e, now)
	if err := errors.Join(j.append(appendRecord(nil, kindAssigned, k, e, now), table, now), j.sync()); err != nil {
		t.Fatal(err)
	}
}

func loaded(t testing.TB, dir string) (numbers []int, damaged int) {
	t.Helper()
	table := newRecent[seedEntry](10*time.Minute, 100)
	damaged, err := (&journal{dir: dir, window: 10 * time.Minute, records: 10}).load(table, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	table.each(time.Now(), func(k digest, e seedEntry, _ time.Time) {
		wantKey, want := testEntry(e.count)
		e.taken = false
		if k != wantKey || !cmp.Equal(e, want, cmp.AllowUnexported(seedEntry{})) {
			t.Errorf("loaded %v %+v, want %v %+v", k, e, wantKey, want)
		}
		numbers = append(numbers, e.count)
	})
	return numbers, damaged
}

func TestJournal_losesOnlyWhatIsDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		damage  func([]byte) []byte
		want    []int
		damaged int
	}{
		"nothing":          {func(b []byte) []byte { return b }, []int{1, 2, 3, 4}, 0},
		"a flipped bit":    {func(b []byte) []byte { b[journalRecord+20] ^= 4; return b }, []int{1, 3, 4}, 1},
		"the end cut off":  {func(b []byte) []byte { return b[:len(b)-7] }, []int{1, 2, 3}, 1},
		"zeros at the end": {func(b []byte) []byte { return append(b, make([]byte, 2*journalRecord)...) }, []int{1, 2, 3, 4}, 2},
		"empty":            {func([]byte) []byte { return nil }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, table := testJournal(t, dir, 100)
			for n := 1; n <= 4; n++ {
				note(t, j, table, n)
			}
			path := j.file.Name()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.damage(bytes.Clone(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			numbers, damaged := loaded(t, dir)
			if !slices.Equal(numbers, c.want) || damaged != c.damaged {
				t.Errorf("loaded %v and %d damaged, want %v and %d", numbers, damaged, c.want, c.damaged)
			}
		})
	}
}

func TestJournal_keepsTheYoungestInTwoFiles(t *testing.T) {
	dir := t.TempDir()
	j, table := testJournal(t, dir, 10)
	var all []int
	for n := 1; n <= 95; n++ {
		note(t, j, table, n)
		all = append(all, n)
	}
	numbers, damaged := loaded(t, dir)
	if len(numbers) < 10 || !slices.Equal(numbers, all[95-len(numbers):]) || damaged != 0 {
		t.Errorf("loaded %v and %d damaged, want at least the last 10 of 95", numbers, damaged)
	}
	files, err := j.files()
	if err != nil || len(files) > 2 {
		t.Errorf("files = %q, %v; want at most 2", files, err)
	}
}

func TestJournal_forgetsByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j, table := testJournal(t, dir, 1000)
		for n := 1; n <= 60; n++ {
			note(t, j, table, n)
			time.Sleep(time.Minute)
		}
		if numbers, _ := loaded(t, dir); !slices.Equal(numbers, []int{52, 53, 54, 55, 56, 57, 58, 59, 60}) {
			t.Errorf("loaded %v, want those of less than 10 minutes", numbers)
		}
		if files, err := j.files(); err != nil || len(files) > 2 {
			t.Errorf("files = %q, %v; want at most 2", files, err)
		}
	})
}

func TestJournal_beginsAnewWhenItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	j, table := testJournal(t, dir, 100)
	note(t, j, table, 1)
	_ = j.file.Close()
	k, e := testEntry(2)
	now := time.Now()
	table.put(k, e, now)
	if err := j.append(appendRecord(nil, kindAssigned, k, e, now), table, now); err == nil {
		t.Fatal("append to a closed file has no error")
	}
	note(t, j, table, 3)
	if numbers, damaged := loaded(t, dir); !slices.Equal(numbers, []int{1, 2, 3}) || damaged != 0 {
		t.Errorf("loaded %v and %d damaged, want 1, 2 and 3", numbers, damaged)
	}
}

func TestJournal_syncsForManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	j, _ := testJournal(t, dir, 1000)
	var group sync.WaitGroup
	for n := range 50 {
		group.Go(func() {
			table := newRecent[seedEntry](time.Minute, 1000)
			k, e := testEntry(n + 1)
			if err := errors.Join(j.append(appendRecord(nil, kindAssigned, k, e, time.Now()), table, time.Now()), j.sync()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if numbers, damaged := loaded(t, dir); len(numbers) != 50 || damaged != 0 {
		t.Errorf("loaded %d and %d damaged, want 50", len(numbers), damaged)
	}
}

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
