//go:build !linux

package signature

import (
	"testing"
	"time"
)

// cpuTime returns wall-clock time where a thread's own time is not to be had.
func cpuTime(*testing.B) time.Duration { return time.Duration(time.Now().UnixNano()) }
