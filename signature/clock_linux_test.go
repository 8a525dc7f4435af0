package signature

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns what the calling thread has used of a processor: on a busy
// machine wall-clock time measures the neighbours too.
func cpuTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
