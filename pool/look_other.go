//go:build !unix

package pool

import "syscall"

// newSocketLooker has no way to look here: connections are used once.
func newSocketLooker(syscall.RawConn) looker { return nil }
