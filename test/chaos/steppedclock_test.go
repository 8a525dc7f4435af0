package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// clockVariable names the file that holds by how many seconds the wall clock of
// a gateway is off.
const clockVariable = "CHAOS_CLOCK"

// A Go program asks the kernel for the time by itself, and the kernel has one
// wall clock for all processes. So a gateway whose clock steps is built with
// another time.Now: its wall clock is off, its monotonic clock is not, as when
// somebody sets the clock of a host.
const (
	readsClock = "\tsec, nsec, mono := runtimeNow()\n" // in time.Now
	steps      = "\tsec += chaosStep.Load()\n"

	stepSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var chaosStep = mapChaosStep()

func mapChaosStep() *atomic.Int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(atomic.Int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return (*atomic.Int64)(unsafe.Pointer(&b[0]))
}
`
)

// steppedBinary is a gateway whose wall clock can be set. Nearly every package
// needs package time, so the first build takes as long as one without a cache:
// 165 s of a processor. Later ones find all of it in the cache.
var steppedBinary = sync.OnceValues(func() (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	overlay, err := writeOverlay(dir)
	if err != nil {
		return "", fmt.Errorf("package time with a clock that steps: %w", err)
	}
	return buildGateway("stepped", "-overlay", overlay)
})

// writeOverlay writes a changed copy of the time package's own file, what is
// added to the package, and a list that tells the compiler of both.
func writeOverlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original := filepath.Join(std, "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(readsClock)); n != 1 {
		return "", fmt.Errorf("%s has the line %q %d times, want once: this version of Go reads the clock in another way; look for it in time.Now, and change the test", original, strings.TrimSpace(readsClock), n)
	}
	changed, added := filepath.Join(dir, "time.go"), filepath.Join(dir, "chaos_step.go")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {
		original:                            changed,
		filepath.Join(std, "chaos_step.go"): added,
	}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{
		changed: bytes.Replace(text, []byte(readsClock), []byte(readsClock+steps), 1),
		added:   []byte(stepSource),
		path:    list,
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// A clock is the wall clock of a gateway: that of the host, set by somebody.
type clock struct {
	path string
	off  *atomic.Int64 // seconds; in the file, whose memory the gateway reads
}

func newClock(tb testing.TB) *clock {
	tb.Helper()
	c := &clock{path: filepath.Join(tb.TempDir(), "clock")}
	if err := os.WriteFile(c.path, make([]byte, 8), 0o600); err != nil {
		tb.Fatal(err)
	}
	f, err := os.OpenFile(c.path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	memory, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { syscall.Munmap(memory) })
	c.off = (*atomic.Int64)(unsafe.Pointer(&memory[0]))
	return c
}

// set sets the clock: how far it is from the right time.
func (c *clock) set(off time.Duration) { c.off.Store(int64(off / time.Second)) }

// newSteppedGateway is newGateway with a clock that can be set.
func newSteppedGateway(tb testing.TB, s *server, apps []*app, more string) *gateway {
	tb.Helper()
	g := newGateway(tb, s, apps, more)
	g.clock = newClock(tb)
	g.binary, g.environ = steppedBinary, append(g.environ, clockVariable+"="+g.clock.path)
	return g
}
