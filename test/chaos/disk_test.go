package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The disk is full while Inngest is away: what is acknowledged is kept, what
// does not fit is refused, and when Inngest is back and there is room again, so
// is the gateway.
func TestEvents_surviveAFullDisk(t *testing.T) {
	const events, size = 1500, 20 << 10 // twice what fits beside what is kept free
	s := newServer(t)
	newSink(t, s)
	g := newGateway(t, s, nil, "events: {"+quick+"}")
	g.wrap = ownDisk(t, g.state, "80m")
	g.start()
	until(t, "an open spool", func() bool { return g.backlog() == 0 })
	s.goAway()
	b := send(t, g.apps, 16, events, size)
	until(t, "refusals", func() bool { return b.met("503 spool_full") >= 100 })
	if b.count() >= events {
		t.Fatal("all of the events fit: nothing was tested")
	}
	s.comeBack()
	b.wait()
	b.settled(s, g.backlog)
	b.judge(s)
}

// Another process takes all of the disk, what is kept free too, while the spool is
// drained, and later gives it back. The gateway goes on without a restart and has
// all that it had acknowledged.
func TestEvents_surviveADiskThatAnotherProcessFills(t *testing.T) {
	const events = 3000
	s := newServer(t)
	newSink(t, s)
	g := newGateway(t, s, nil, "events: {"+quick+"}")
	g.wrap = ownDisk(t, g.state, "120m")
	g.start()
	until(t, "an open spool", func() bool { return g.backlog() == 0 })
	s.goAway()
	b := send(t, g.apps, 16, events, 2<<10)
	b.until(events / 2)
	free := g.fillDisk()
	s.comeBack()
	until(t, "a store in trouble", func() bool { return strings.Contains(g.log.String(), "Critical write error") })
	free()
	b.wait()
	b.settled(s, g.backlog)
	b.judge(s)
	// The count is taken over from the spool now and then.
	until(t, "a store that was put right", func() bool {
		return g.metric("inngest_gateway_deliver_spool_incidents_total", `incident="restart"`) > 0
	})
}

// fillDisk takes all that is left of the gateway's own disk, as another process
// does, until the function returned is called.
func (g *gateway) fillDisk() (free func()) {
	g.tb.Helper()
	// The file system is in the gateway's namespace alone.
	path := filepath.Join(fmt.Sprintf("/proc/%d/root", g.process.cmd.Process.Pid), g.state, "ballast")
	f, err := os.Create(path)
	if err != nil {
		g.tb.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			g.tb.Fatal(err)
		}
		err = nil
	}
	return func() {
		g.tb.Helper()
		if err := os.Remove(path); err != nil {
			g.tb.Fatal(err)
		}
	}
}

// ownDisk is the command that runs another one with a folder on a file system of
// that size, which goes with it. That needs a user namespace.
func ownDisk(t *testing.T, dir, size string) []string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wrap := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o size=` + size + ` none "$0" && exec "$@"`, dir}
	if text, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("a file system of its own cannot be had here: %v %s", err, text)
	}
	return wrap
}

// The gateway's spool is damaged while it is down. It starts, every record that
// is whole arrives, and what is lost is counted and set aside.
func TestEvents_surviveADamagedSpool(t *testing.T) {
	for name, c := range map[string]struct {
		damage  func(t *testing.T, path string)
		records int // that are lost at most
	}{
		"one bit is flipped": {func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b })
		}, 1},
		"a part is overwritten": {func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { clear(b[len(b)/3 : len(b)/3+64]); return b })
		}, 2},
		"the end is cut off": {func(t *testing.T, path string) {
			change(t, path, func(b []byte) []byte { return b[:len(b)-10] })
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const events = 1000
			s := newServer(t)
			newSink(t, s)
			g := newGateway(t, s, nil, "events: {batch: {max_events: 20}, spool: {mode: durable}, "+quick+"}")
			g.start()
			s.goAway()
			b := send(t, g.apps, 32, events, 500)
			b.wait()
			g.kill()
			path := largest(t, g.state, ".blk")
			c.damage(t, path)
			g.start()
			s.comeBack()
			// One after the other: when the last one is there, so are all before.
			last := send(t, g.apps, 1, 1, 10)
			last.wait()
			last.settled(s, g.backlog)

			b.judgeThere(s)
			lost := map[string]bool{}
			for _, name := range b.missing(s) {
				lost[b.acked[name][:19]] = true // the part of an id that all events of a record share
			}
			if len(lost) == 0 || len(lost) > c.records {
				t.Errorf("events of %d records are lost, want 1 to %d", len(lost), c.records)
			}
			until(t, "a damage that is counted", func() bool { return g.metric("inngest_gateway_deliver_spool_incidents_total") > 0 })
			if !strings.Contains(g.log.String(), filepath.Base(path)) {
				t.Errorf("the log does not name %s", path)
			}
			if !exists(t, g.state, "aside") {
				t.Error("nothing is set aside")
			}
		})
	}
}

func change(t *testing.T, path string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// largest returns the largest file in a folder, and those in it, with that end.
func largest(t *testing.T, dir, suffix string) (path string) {
	t.Helper()
	size := int64(-1)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, suffix) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			path, size = p, info.Size()
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatalf("no file %s in %s: %v", suffix, dir, err)
	}
	return path
}

// exists tells whether a folder, or one in it, has a file of that name that
// holds anything.
func exists(t *testing.T, dir, name string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			inside, readErr := os.ReadDir(p)
			found, err = found || len(inside) > 0, errors.Join(err, readErr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
