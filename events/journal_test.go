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

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

func testJournal(t testing.TB, dir string, records int) (*journal, *recent[seedEntry]) {
	t.Helper()
	j := newJournal(dir, 10*time.Minute, records)
	table := newRecent[seedEntry](10*time.Minute, 100)
	if err := j.again(table, time.Now()); err != nil {
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
	damaged, err := newJournal(dir, 10*time.Minute, 10).load(table, time.Now())
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
		if numbers, _ := loaded(t, dir); !slices.Equal(numbers, []int{51, 52, 53, 54, 55, 56, 57, 58, 59, 60}) {
			t.Errorf("loaded %v, want those of less than 10 minutes before the last", numbers)
		}
		if files, err := j.files(); err != nil || len(files) > 2 {
			t.Errorf("files = %q, %v; want at most 2", files, err)
		}
	})
}

func TestJournal_beginsAnewWhenItCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j, table := testJournal(t, dir, 100)
		note(t, j, table, 1)
		time.Sleep(beginPause)
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
	})
}

// While the disk is full the table, which may be large, is not written for each
// batch, and neither while it takes the table and nothing behind it.
func TestJournal_beginsOnceASecondWhileItCannotWrite(t *testing.T) {
	for name, full := range map[string]bool{"no file can be made": true, "files can be made": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "seeds")
				j, table := testJournal(t, dir, 1000)
				time.Sleep(time.Hour)
				if full {
					_ = j.file.Close()
					if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
						t.Fatal(err)
					}
				}
				var begun []time.Time
				for n := range 1000 { // 10 seconds
					k, e := testEntry(n)
					now := time.Now()
					table.put(k, e, now)
					err := j.append(appendRecord(nil, kindAssigned, k, e, now), table, now)
					if err == nil {
						err = j.sync()
					}
					if full && err == nil {
						t.Fatal("append has no error where no file can be made")
					}
					if len(begun) == 0 || !j.begun.Equal(begun[len(begun)-1]) {
						begun = append(begun, j.begun)
					}
					if !full {
						_ = j.file.Close() // the next write fails
					}
					time.Sleep(10 * time.Millisecond)
				}
				if n := len(begun); n < 5 || n > 12 {
					t.Errorf("begun %d times in 10 seconds, want about once a second", n)
				}
				if !full {
					return
				}
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				time.Sleep(beginPause)
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				note(t, j, table, 1000)
				numbers, damaged := loaded(t, dir)
				if len(numbers) != 100 || damaged != 0 { // what the table holds
					t.Errorf("loaded %d and %d damaged, want all of the table", len(numbers), damaged)
				}
			})
		})
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

func TestJournal_leavesThatOfAnotherProcessAlone(t *testing.T) {
	dir := t.TempDir()
	first, table := testJournal(t, dir, 100)
	note(t, first, table, 1)

	second := newJournal(dir, 10*time.Minute, 100)
	t.Cleanup(func() { _ = second.close() })
	theirs := newRecent[seedEntry](10*time.Minute, 100)
	k, e := testEntry(2)
	now := time.Now()
	theirs.put(k, e, now)
	record := appendRecord(nil, kindAssigned, k, e, now)
	if err := second.append(record, theirs, now); err == nil {
		t.Fatal("two processes have one journal")
	}
	note(t, first, table, 3)
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if err := second.append(record, theirs, now); err != nil {
		t.Fatal(err)
	}
	if numbers, damaged := loaded(t, dir); !slices.Equal(slices.Sorted(slices.Values(numbers)), []int{1, 2, 3}) || damaged != 0 {
		t.Errorf("loaded %v and %d damaged, want those of both", numbers, damaged)
	}
}
