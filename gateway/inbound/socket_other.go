//go:build !linux || !(amd64 || arm64)

package inbound

const rawSupported = false

func (s *socket) tryRead(uintptr) bool  { return true }
func (s *socket) tryWrite(uintptr) bool { return true }

// hungUp cannot tell without peeking.
func (s *socket) hungUp() bool { return false }
