package events

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
)

// Records of the journal have one size, so that a damaged one costs no other.
//
//	0  1  kind
//	1  16 digest
//	17 8  milliseconds of the seed
//	25 10 entropy of the seed
//	35 4  number of events
//	39 8  when, Unix milliseconds of a clock that does not step in one process
//	47 4  CRC-32C of what is before
const (
	journalRecord = 51
	journalSuffix = ".seeds"

	// A file begins with the whole table, which may have megabytes: on a full disk
	// not each batch shall write them.
	beginPause = time.Second

	kindAssigned byte = 1
	kindTaken    byte = 2
)

// A journal keeps callers' own seeds in files: an append for each batch that has
// any. The last two files are enough to know what is young enough.
type journal struct {
	dir     string
	window  time.Duration
	records int // of one file

	mu      sync.Mutex
	lock    *os.File // that the files are this process's; nil before the first append
	file    *os.File
	old     string // path of the file before
	opened  time.Time
	count   int    // records in file
	size    int64  // bytes of file that are whole records
	pending []byte // records that may come with the next ones
	written uint64 // appends so far
	broken  bool   // the file is not to be trusted: begin another
	cause   error  // why it is not
	begun   time.Time

	syncing sync.Mutex
	synced  uint64 // appends that are on disk
}

// newJournal makes a journal whose first append begins a file: whoever makes one
// and does not use it has nothing to close.
func newJournal(dir string, window time.Duration, records int) *journal {
	return &journal{dir: dir, window: window, records: records, broken: true}
}

// seedEntry is what is known of a request that came with a seed.
type seedEntry struct {
	seed  inngest.Seed // of its first event
	count int
	taken bool     // Inngest or the spool has all of it
	ids   []string // instead of seed where the events went different ways; never on disk
}

func appendRecord(dst []byte, kind byte, k digest, e seedEntry, at time.Time) []byte {
	from := len(dst)
	dst = append(dst, kind)
	dst = append(dst, k[:]...)
	dst = binary.BigEndian.AppendUint64(dst, e.seed.Millis)
	dst = append(dst, e.seed.Entropy[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.count))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixMilli()))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], crc32.MakeTable(crc32.Castagnoli)))
}

func readRecord(b []byte) (kind byte, k digest, e seedEntry, at time.Time, ok bool) {
	if crc32.Checksum(b[:47], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[47:]) {
		return 0, k, e, at, false
	}
	copy(k[:], b[1:])
	e.seed.Millis = binary.BigEndian.Uint64(b[17:])
	copy(e.seed.Entropy[:], b[25:])
	e.count = int(binary.BigEndian.Uint32(b[35:]))
	return b[0], k, e, time.UnixMilli(int64(binary.BigEndian.Uint64(b[39:]))), true
}

// files returns the paths of the journal's files, the oldest first.
func (j *journal) files() ([]string, error) {
	all, err := os.ReadDir(j.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, f := range all { // in order of their names
		if strings.HasSuffix(f.Name(), journalSuffix) {
			paths = append(paths, filepath.Join(j.dir, f.Name()))
		}
	}
	return paths, err
}

// load reads all files into a table and counts the records that are damaged. Ages
// are measured from the youngest record on: while nobody wrote, somebody may have
// set the clock.
func (j *journal) load(into *recent[seedEntry], now time.Time) (damaged int, err error) {
	paths, err := j.files()
	if err != nil {
		return 0, err
	}
	var records [][]byte
	var youngest time.Time
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return damaged, err
		}
		for ; len(text) >= journalRecord; text = text[journalRecord:] {
			_, _, _, at, ok := readRecord(text)
			if !ok {
				damaged++
				continue
			}
			if at.After(youngest) {
				youngest = at
			}
			records = append(records, text[:journalRecord])
		}
		if len(text) > 0 {
			damaged++
		}
	}
	for _, record := range records {
		kind, k, e, at, _ := readRecord(record)
		switch age := youngest.Sub(at); {
		case age >= j.window:
		case kind == kindTaken:
			into.change(k, func(v *seedEntry) { v.taken = v.taken || v.seed == e.seed })
		default:
			into.put(k, e, now.Add(-age))
		}
	}
	return damaged, nil
}

// begin starts a file with everything that a table knows, and removes the
// others when it is on disk.
func (j *journal) begin(from *recent[seedEntry], now time.Time) error {
	j.begun = time.Now()
	var all []byte
	from.each(now, func(k digest, e seedEntry, at time.Time) {
		if e.ids != nil {
			return
		}
		all = appendRecord(all, kindAssigned, k, e, at)
		if e.taken {
			all = appendRecord(all, kindTaken, k, e, at)
		}
	})
	others, err := j.files()
	if err != nil {
		return err
	}
	if err := j.create(now); err != nil {
		return err
	}
	j.old, j.broken, j.pending = "", true, nil
	err = j.write(all)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// It is tried again and again: files must not pile up.
		name := j.file.Name()
		err = errors.Join(err, j.file.Close(), os.Remove(name))
		j.file = nil
		return err
	}
	j.broken = false
	for _, path := range others {
		if path != j.file.Name() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// create makes a new file the current one.
func (j *journal) create(now time.Time) error {
	var path string
	for n := 0; ; n++ { // a clock may stand still or go back
		path = filepath.Join(j.dir, fmt.Sprintf("%020d-%04d%s", now.UnixNano(), n, journalSuffix))
		if _, err := os.Stat(path); err != nil {
			break
		}
	}
	f, err := createSynced(path)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.old = j.file.Name()
		_ = j.file.Close() // everything of it that counts is synced or given up
	}
	j.file, j.opened, j.count, j.size = f, now, 0, 0
	return nil
}

// append writes records, and those that waited to come along. The file is begun
// anew from the table when it cannot be trusted, and another one is started when
// it is old or long.
func (j *journal) append(records []byte, from *recent[seedEntry], now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return j.again(from, now)
	}
	if j.count >= j.records || now.Sub(j.opened) >= j.window {
		if err := j.rotate(now); err != nil {
			return j.fail(err)
		}
	}
	if err := j.write(slices.Concat(j.pending, records)); err != nil {
		return j.fail(err)
	}
	j.pending = j.pending[:0]
	j.written++
	return nil
}

// again begins a file in place of one that is not to be trusted, but not sooner
// than beginPause after it did so before. The table has all records already.
func (j *journal) again(from *recent[seedEntry], now time.Time) error {
	if err := j.own(from, now); err != nil {
		return fmt.Errorf("remember seeds: %w", err)
	}
	if j.cause != nil && time.Since(j.begun) < beginPause {
		return j.cause
	}
	err := j.begin(from, now)
	switch {
	case j.broken:
		return j.fail(err)
	case err != nil: // old files are still there, which harm nobody
		return fmt.Errorf("remember seeds: %w", err)
	}
	j.written++
	return nil
}

// fail notes that the file is not to be trusted.
func (j *journal) fail(err error) error {
	j.broken, j.cause = true, fmt.Errorf("remember seeds: %w", err)
	return j.cause
}

func (j *journal) write(records []byte) error {
	n, err := j.file.Write(records)
	if err != nil {
		// Half a record would shift all that follow.
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(n)
	j.count += n / journalRecord
	return nil
}

// rotate begins an empty file and removes the one before the last: what is in
// that is too old, or too many are younger.
func (j *journal) rotate(now time.Time) error {
	if err := j.file.Sync(); err != nil {
		return err
	}
	gone := j.old
	if err := j.create(now); err != nil {
		return err
	}
	if gone == "" {
		return nil
	}
	return os.Remove(gone)
}

// later notes a record that need not be on disk but is worth it.
func (j *journal) later(record []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.pending) < 1000*journalRecord {
		j.pending = append(j.pending, record...)
	}
}

// sync returns when everything that was appended before is on disk. Those who
// come while another one syncs share the next one.
func (j *journal) sync() error {
	j.mu.Lock()
	want := j.written
	j.mu.Unlock()
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if j.synced >= want {
		return nil
	}
	j.mu.Lock()
	upTo, f, broken, cause := j.written, j.file, j.broken, j.cause
	j.mu.Unlock()
	if broken {
		return cmp.Or(cause, errors.New("remember seeds: the journal was not written"))
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // one that was rotated away is synced
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.fail(err)
	}
	j.synced = upTo
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return j.disown()
	}
	err := j.write(j.pending)
	err = errors.Join(err, j.file.Sync(), j.file.Close(), j.disown())
	j.file, j.broken, j.cause = nil, true, nil
	return err
}
