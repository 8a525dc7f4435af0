package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
)

// damaged returns a folder with a closed spool of n records of 10 KiB each.
func damaged(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, options(dir))
	for n := range n {
		add(t, s, record(n, noise(10<<10)))
	}
	s.Close()
	return dir
}

// overwrite flips the bits of n bytes from a place on.
func overwrite(t *testing.T, path string, from, n int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < min(from+n, len(data)); i++ {
		data[i] ^= 0xff
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// size is what a record of damaged takes in the file.
const size = 10639

func TestOpen_losesOnlyWhatIsDamaged(t *testing.T) {
	const records = 60
	for name, c := range map[string]struct {
		damage func(t *testing.T, stream string)
		lost   []int // numbers of records
		files  int64 // set aside or repaired
	}{
		"nothing": {func(*testing.T, string) {}, nil, 0},
		"one bit in the body of a record": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 5*size+5000, 1)
		}, []int{5}, 1},
		"the head of a record": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 5*size, 22)
		}, []int{5}, 1},
		"the length of the first record": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 0, 4)
		}, []int{0}, 1},
		"the end of one and the start of the next": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 6*size-10, 20)
		}, []int{5, 6}, 1},
		"two places": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 2*size+100, 1)
			overwrite(t, stream+"/msgs/1.blk", 40*size+100, 1)
		}, []int{2, 40}, 1},
		"the last record": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 59*size+100, 50)
		}, []int{59}, 1},
		"cut in the last record": {func(t *testing.T, stream string) {
			cut(t, stream+"/msgs/1.blk", 60*size-100)
		}, []int{59}, 1},
		"cut in the middle": {func(t *testing.T, stream string) {
			cut(t, stream+"/msgs/1.blk", 30*size+100)
		}, numbers(30, 60), 1},
		"everything overwritten": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 0, 60*size)
		}, numbers(0, 60), 1},
		"an empty file": {func(t *testing.T, stream string) {
			cut(t, stream+"/msgs/1.blk", 0)
		}, numbers(0, 60), 0},
		"no file": {func(t *testing.T, stream string) {
			remove(t, stream+"/msgs/1.blk")
		}, numbers(0, 60), 0},
		"no folder of messages":      {func(t *testing.T, stream string) { remove(t, stream+"/msgs") }, numbers(0, 60), 0},
		"no index":                   {func(t *testing.T, stream string) { remove(t, stream+"/msgs/index.db") }, nil, 0},
		"a damaged index":            {func(t *testing.T, stream string) { overwrite(t, stream+"/msgs/index.db", 3, 9) }, nil, 0},
		"no description":             {func(t *testing.T, stream string) { remove(t, stream+"/meta.inf") }, nil, 1},
		"no checksum of description": {func(t *testing.T, stream string) { remove(t, stream+"/meta.sum") }, nil, 1},
		"a damaged description":      {func(t *testing.T, stream string) { overwrite(t, stream+"/meta.inf", 10, 3) }, nil, 1},
		"an empty description":       {func(t *testing.T, stream string) { cut(t, stream+"/meta.inf", 0) }, nil, 1},
		"damaged consumers": {func(t *testing.T, stream string) {
			folder := stream + "/obs/deliverer"
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(folder+"/meta.inf", []byte("nothing"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, 0},
		"a folder for a file": {func(t *testing.T, stream string) {
			remove(t, stream+"/msgs/1.blk")
			if err := os.Mkdir(stream+"/msgs/1.blk", 0o700); err != nil {
				t.Fatal(err)
			}
		}, numbers(0, 60), 1},
		"a damaged record and a damaged description": {func(t *testing.T, stream string) {
			overwrite(t, stream+"/msgs/1.blk", 5*size+5000, 1)
			overwrite(t, stream+"/meta.inf", 0, 99)
		}, []int{5}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := damaged(t, records)
			c.damage(t, storeDir(dir, "EVENTS"))
			s := open(t, options(dir))
			var want []string
			for n := range records {
				if !slices.Contains(c.lost, n) {
					want = append(want, record(n, nil).Seed)
				}
			}
			add(t, s, record(records, []byte("[]"))) // it can be used as ever
			if got := drain(t, s); !slices.Equal(got, append(want, record(records, nil).Seed)) {
				t.Errorf("%d records there, want %d and a new one:\n%v", len(got), len(want), got)
			}
			st := s.Stats()
			if st.DamagedFiles != c.files {
				t.Errorf("Stats = %+v, want %d damaged files", st, c.files)
			}
			aside, err := filepath.Glob(filepath.Join(dir, "aside", "*"))
			if err != nil || c.files > 0 && len(c.lost) > 0 && len(aside) == 0 {
				t.Errorf("set aside: %v (%v)", aside, err)
			}
			s.Close()
			again := open(t, options(dir))
			if st := again.Stats(); st != (Stats{}) {
				t.Errorf("opened again: %+v, want nothing wrong any more", st)
			}
		})
	}
}

// Delivered records leave marks in the log, of which none may get lost.
func TestOpen_doesNotBringBackDeliveredRecords(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(dir))
	for n := range 60 {
		add(t, s, record(n, noise(10<<10)))
	}
	var want []string
	for n := range 60 {
		d := next(t, s)
		if n%3 == 0 {
			if err := d.Ack(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else if n != 20 {
			want = append(want, d.Record.Seed)
		}
	}
	s.Close()
	overwrite(t, storeDir(dir, "EVENTS")+"/msgs/1.blk", 20*size+5000, 1)
	s = open(t, options(dir))
	if got := drain(t, s); !slices.Equal(got, want) {
		t.Errorf("there are %d records, want %d:\n%v", len(got), len(want), got)
	}
}

func numbers(from, to int) []int {
	var out []int
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func partMessage(s *Spool, id string, n int) *nats.Msg {
	return &nats.Msg{Subject: s.main.partSubject(id, fmt.Sprint(n)), Data: []byte("part")}
}

func TestOpen_startsWithAStreamThatCannotBeRead(t *testing.T) {
	dir := damaged(t, 3)
	remove(t, storeDir(dir, "EVENTS")+"/msgs")
	if err := os.WriteFile(storeDir(dir, "EVENTS")+"/msgs", []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(dir))
	add(t, s, record(7, []byte("[]")))
	if got := drain(t, s); !slices.Equal(got, []string{record(7, nil).Seed}) {
		t.Errorf("there are %v", got)
	}
	if st := s.Stats(); st.DamagedStreams != 1 {
		t.Errorf("Stats = %+v, want one stream set aside", st)
	}
}

// The layout of the server's files is not its interface: this says when it changes.
func TestCheck_knowsTheFilesOfTheServer(t *testing.T) {
	dir := damaged(t, 60)
	data, err := os.ReadFile(storeDir(dir, "EVENTS") + "/msgs/1.blk")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBlock("EVENTS", 1)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for at := 0; at < len(data); {
		n := b.record(data[at:])
		if n == 0 {
			t.Fatalf("no record at %d of %d", at, len(data))
		}
		sizes = append(sizes, n)
		at += n
	}
	if len(sizes) != 60 || slices.Min(sizes) != size || slices.Max(sizes) != size {
		t.Errorf("%d records of %d to %d bytes, want 60 of %d", len(sizes), slices.Min(sizes), slices.Max(sizes), size)
	}
}

func TestNext_keepsWhatCannotBeDecodedAsDeadLetter(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s := open(t, o)
		r := record(1, noise(100))
		r.ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
		h, body := r.encode(nil)
		for name, change := range map[string]func(){
			"fields":  func() { h.Set(headerFields, "%") },
			"sum":     func() { h.Set(headerSum, "0") },
			"size":    func() { h.Set(headerSize, "99") },
			"coding":  func() { h.Set(headerCoding, codingS2) },
			"parts":   func() { h.Set(headerParts, "x") },
			"a part":  func() { h.Set(headerParts, "3") },
			"no data": func() { body = nil },
		} {
			h, body = r.encode(nil)
			change()
			if _, err := s.main.putMessage(t.Context(), s.laneOf(&r), r.ID, 1, h, body); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		add(t, s, record(2, noise(3<<20)))
		if d := next(t, s); d.Record.Seed != record(2, nil).Seed {
			t.Errorf("Next = %s", d.Record.Seed)
		}
		letters, err := s.List(t.Context(), 100)
		if err != nil || len(letters) != 7 || s.Stats().DamagedRecords != 7 {
			t.Fatalf("%d dead letters, %v, %+v, want 7", len(letters), err, s.Stats())
		}
		for _, l := range letters {
			if !l.Damaged || l.Reason == "" {
				t.Errorf("letter %+v, want a damaged one", l)
			}
		}
	})
}

func TestOpen_removesPartsWithoutARecord(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	r := record(1, nil)
	for n := range 3 {
		if _, err := s.main.publish(t.Context(), partMessage(s, "01ARZ3NDEKTSV4RRFFQ69G5FAV", n)); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, record(1, noise(1200<<10)))
	s.Close()
	s = open(t, o)
	if st := s.Stats(); st.Leftovers != 1 {
		t.Errorf("Stats = %+v, want one leftover", st)
	}
	if got := drain(t, s); !slices.Equal(got, []string{r.Seed}) {
		t.Errorf("there are %v", got)
	}
	if b := backlog(t, s); b != (Backlog{}) {
		t.Errorf("Backlog = %+v, want nothing", b)
	}
}

func TestOpen_keepsPartsOfARecordWhoseMessageIsDamaged(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	body := noise(1200 << 10)
	add(t, s, record(1, body))
	s.Close()
	files, err := filepath.Glob(storeDir(o.Dir, "EVENTS") + "/msgs/*.blk")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	last := fmt.Sprintf("%s/msgs/%d.blk", storeDir(o.Dir, "EVENTS"), len(files))
	info, err := os.Stat(last)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, last, int(info.Size())-20, 5)
	s = open(t, o)
	letters, err := s.List(t.Context(), 10)
	if err != nil || len(letters) != 5 {
		t.Fatalf("List = %d letters, %v, want the five parts", len(letters), err)
	}
	var kept []byte
	for _, l := range letters {
		shown, err := s.Show(t.Context(), l.ID)
		if err != nil || !shown.Damaged {
			t.Fatalf("Show = %+v, %v", shown, err)
		}
		kept = append(kept, shown.Record.Body...)
	}
	if len(kept) != len(body) {
		t.Errorf("%d bytes kept, want %d", len(kept), len(body))
	}
}
