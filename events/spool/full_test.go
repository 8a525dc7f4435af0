package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Another process fills the disk while records are stored and removed, and gives
// it back: the store takes records again, and has all that it had acknowledged.
func TestRun_mendsAStoreThatMetAFullDisk(t *testing.T) {
	dir := t.TempDir()
	wrap := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=64m none "$0" && exec "$@"`, dir}
	if text, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("a file system of its own cannot be had here: %v %s", err, text)
	}
	cmd := exec.Command(wrap[0], append(wrap[1:], os.Args[0])...)
	cmd.Env = append(os.Environ(), "SPOOL_TEST_FULL="+filepath.Join(dir, "spool"))
	if text, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(text)) != "well" {
		t.Errorf("the process on the small disk says %v:\n%s", err, text)
	}
}

// fullDisk is the process of TestRun_mendsAStoreThatMetAFullDisk. It says what is
// wrong, or that all is well.
func fullDisk(dir string) {
	o := options(dir)
	o.OpTimeout = time.Second
	f := full{o: o, dir: dir, stored: map[string]bool{}, removed: map[string]bool{}}
	// The first round stores records on the full disk, the second removes and
	// stores some, the third only removes.
	for round := range 3 {
		if err := f.round(context.Background(), round); err != nil { // ends with the process
			fmt.Println("round", round, err)
			os.Exit(1)
		}
	}
	fmt.Println("well")
}

type full struct {
	o               Options
	dir             string
	n               int
	stored, removed map[string]bool // by seed: acknowledged
}

func (f *full) round(ctx context.Context, round int) error {
	s, err := New(f.o)
	if err == nil {
		err = s.Open(ctx)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer func() { stop(); <-ended }()

	for range 50 {
		if err := f.add(ctx, s); err != nil {
			return fmt.Errorf("append: %w", err)
		}
	}
	ballast := filepath.Join(filepath.Dir(f.dir), "ballast")
	if err := fillDisk(ballast); err != nil {
		return err
	}
	for range 40 {
		// What is removed makes no room, and takes some to be noted.
		if round > 0 && f.take(ctx, s) != nil || round < 2 && f.add(ctx, s) != nil {
			break
		}
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	over := time.Now().Add(time.Minute)
	for f.add(ctx, s) != nil {
		if time.Now().After(over) {
			return errors.New("the store does not come back")
		}
	}
	if n := s.Stats().Restarts; round == 0 && n == 0 || n > 3 {
		return fmt.Errorf("the store was started again %d times", n)
	}
	for range 10 {
		if err := errors.Join(f.add(ctx, s), f.take(ctx, s)); err != nil {
			return fmt.Errorf("after the restart: %w", err)
		}
	}
	return f.check(ctx, s)
}

// add stores a record, and remembers it if it was acknowledged.
func (f *full) add(ctx context.Context, s *Spool) error {
	f.n++
	err := s.Append(ctx, record(f.n, noise(3000)))
	if err == nil {
		f.stored[record(f.n, nil).Seed] = true
	}
	return err
}

// take removes the oldest record.
func (f *full) take(ctx context.Context, s *Spool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	d, err := nextOf(ctx, s)
	if err != nil {
		return err
	}
	f.removed[d.Record.Seed] = true // with an error nobody knows
	return d.Ack(ctx)
}

// check compares what is there with what was acknowledged, now and after the
// next Open.
func (f *full) check(ctx context.Context, s *Spool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	there := map[string]bool{}
	for {
		b, err := s.Backlog(ctx)
		if err != nil {
			return err
		}
		if b.Records == 0 {
			break
		}
		d, err := nextOf(ctx, s)
		if err != nil {
			return fmt.Errorf("%d records do not come: %w", b.Records, err)
		}
		there[d.Record.Seed] = true
		if err := d.Ack(ctx); err != nil {
			return err
		}
	}
	var lost []string
	for seed := range f.stored {
		if !there[seed] && !f.removed[seed] {
			lost = append(lost, seed)
		}
		f.removed[seed] = true
	}
	slices.Sort(lost)
	if len(lost) > 0 {
		return fmt.Errorf("%d acknowledged records are lost: %q", len(lost), lost)
	}
	return nil
}

// fillDisk takes all that is left of a disk.
func fillDisk(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		err = nil
	}
	return nil
}
