//go:build !linux

package pool

import "time"

// vanished cannot be told here. The system ends a connection whose host does not
// answer, after 45 s or, where it was sent something, after minutes.
func (c *conn) vanished(time.Duration) bool { return false }
