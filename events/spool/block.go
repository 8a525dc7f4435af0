package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/highwayhash"
)

// The log files of JetStream, NAME/msgs/N.blk: records one after the other, each
// of length (4 bytes, the highest bit says that there are headers), sequence (8),
// time (8), length of the subject (2), subject, [length of headers (4), headers],
// message, hash (8); little endian. The key of the hash is made of the stream's
// name and N. TestCheck_knowsTheFilesOfTheServer holds this against the server.
const (
	blockHead    = 22
	blockHash    = 8
	blockMinimum = blockHead + blockHash
	blockMaximum = 32 << 20
	headersBit   = 1 << 31
)

// block reads one file.
type block struct {
	hash    hasher
	subject []byte // what the subject of every record of the stream begins with
}

type hasher interface {
	Reset()
	Write([]byte) (int, error)
	Sum([]byte) []byte
}

func newBlock(stream string, index int) (*block, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return nil, err
	}
	return &block{hash: h, subject: []byte(stream + ".")}, nil
}

// record returns the length of the record that data begins with, 0 if it does
// not begin with an intact one.
func (b *block) record(data []byte) int {
	if len(data) < blockMinimum {
		return 0
	}
	length := binary.LittleEndian.Uint32(data)
	headers := length&headersBit != 0
	length &^= headersBit
	if length < blockMinimum || length > blockMaximum || int(length) > len(data) {
		return 0
	}
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	rest := data[blockHead:length]
	from := subject
	if headers {
		from += 4
	}
	if from > len(rest)-blockHash {
		return 0
	}
	b.hash.Reset()
	b.hash.Write(data[4:20])
	b.hash.Write(rest[:subject])
	b.hash.Write(rest[from : len(rest)-blockHash])
	var sum [blockHash]byte
	if !bytes.Equal(b.hash.Sum(sum[:0]), rest[len(rest)-blockHash:]) {
		return 0
	}
	return int(length)
}

// next returns where the first intact record begins behind a damaged one at the
// start of data, len(data) if there is none.
func (b *block) next(data []byte) int {
	if len(data) >= blockMinimum { // the length may be intact
		length := binary.LittleEndian.Uint32(data) &^ headersBit
		if length >= blockMinimum && uint64(length) <= uint64(len(data)) && b.record(data[length:]) > 0 {
			return int(length)
		}
	}
	for at := 1; ; {
		i := bytes.Index(data[min(at+blockHead, len(data)):], b.subject)
		if i < 0 {
			return len(data)
		}
		at += i
		if b.record(data[at:]) > 0 {
			return at
		}
		at++
	}
}

// salvage returns the intact records of a file, and how many gaps there are
// between them.
func (b *block) salvage(data []byte) (intact []byte, gaps int) {
	start := 0 // of the intact stretch that at is in
	for at := 0; at < len(data); {
		if n := b.record(data[at:]); n > 0 {
			at += n
			continue
		}
		gaps++
		intact = append(intact, data[start:at]...)
		at += b.next(data[at:])
		start = at
	}
	if gaps == 0 {
		return data, 0
	}
	return append(intact, data[start:]...), gaps
}

// repair reads all files of a stream that no server has open. It rewrites those
// that are damaged and keeps a copy of each.
func (s *Spool) repair(stream string) error {
	folder := storeDir(s.o.Dir, stream)
	// Who has read what is known by what is left. A damaged consumer could only
	// get in the way.
	if err := os.RemoveAll(filepath.Join(folder, "obs")); err != nil {
		return err
	}
	files, err := os.ReadDir(filepath.Join(folder, "msgs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &streamError{stream, err}
	}
	var indexes []int
	for _, f := range files {
		var index int
		if n, _ := fmt.Sscanf(f.Name(), "%d.blk", &index); n == 1 && f.Name() == fmt.Sprintf("%d.blk", index) {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	for _, index := range indexes {
		if err := s.repairFile(stream, folder, index); err != nil {
			return fmt.Errorf("repair file %d of stream %s: %w", index, stream, err)
		}
	}
	return s.repairMeta(stream, folder)
}

func (s *Spool) repairFile(stream, folder string, index int) error {
	path := filepath.Join(folder, "msgs", fmt.Sprintf("%d.blk", index))
	data, err := os.ReadFile(path)
	if err != nil {
		return s.setFileAside(path, err)
	}
	b, err := newBlock(stream, index)
	if err != nil {
		return err
	}
	intact, gaps := b.salvage(data)
	if gaps == 0 {
		return nil
	}
	copied, err := copyAside(s.o.Dir, path, data, s.o.Now())
	if err != nil {
		return err
	}
	s.stats.damagedFiles.Add(1)
	s.stats.damagedRecords.Add(int64(gaps))
	s.o.Log.Error("spool file damaged, intact records kept", "file", path, "copy", copied,
		"damaged_places", gaps, "lost_bytes", len(data)-len(intact))
	// The server's index describes the old file; without it the files are read.
	if err := os.Remove(filepath.Join(folder, "msgs", "index.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(intact) == 0 {
		if err := os.Remove(path); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	if err := writeSynced(path+".repaired", intact); err != nil {
		return err
	}
	if err := os.Rename(path+".repaired", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// setFileAside moves a file away that the disk does not give back.
func (s *Spool) setFileAside(path string, cause error) error {
	moved, err := moveAside(s.o.Dir, path, s.o.Now())
	if err != nil {
		return errors.Join(cause, err)
	}
	s.stats.damagedFiles.Add(1)
	s.o.Log.Error("spool file unreadable, set aside as a whole", "file", path, "moved_to", moved, "err", cause)
	return nil
}

// repairMeta sets the description of a stream aside when its checksum is wrong:
// the server leaves such a stream out, and creating it again finds its files.
func (s *Spool) repairMeta(stream, folder string) error {
	path := filepath.Join(folder, "meta.inf")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	missing := err != nil
	want, err := os.ReadFile(filepath.Join(folder, "meta.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key := sha256.Sum256([]byte(stream))
	h, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return err
	}
	h.Write(data)
	if !missing && fmt.Sprintf("%x", h.Sum(nil)) == strings.TrimSpace(string(want)) {
		return nil
	}
	s.stats.damagedFiles.Add(1)
	moved := ""
	if !missing {
		if moved, err = moveAside(s.o.Dir, path, s.o.Now()); err != nil {
			return err
		}
	}
	s.o.Log.Error("description of a spool stream damaged, written anew", "file", path, "moved_to", moved, "stream", stream)
	return nil
}

// setStreamAside moves the whole folder of a stream away.
func (s *Spool) setStreamAside(stream string, at time.Time, cause error) error {
	folder := storeDir(s.o.Dir, stream)
	moved, err := moveAside(s.o.Dir, folder, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.stats.damagedStreams.Add(1)
	s.o.Log.Error("spool stream unreadable, set aside as a whole, an empty one is made",
		"stream", stream, "moved_to", moved, "err", cause)
	return nil
}
