//go:build linux && (amd64 || arm64) && race

package inbound

import "syscall"

// The race detector takes what was sent before something was received for
// ordered; it learns of it from these functions only.

func rawRead(fd uintptr, p []byte) (int, syscall.Errno) { return errnoOf(syscall.Read(int(fd), p)) }

func rawSend(fd uintptr, p []byte, _ int) (int, syscall.Errno) {
	return errnoOf(syscall.Write(int(fd), p))
}

func errnoOf(n int, err error) (int, syscall.Errno) {
	if err == nil {
		return n, 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return n, errno
	}
	return n, syscall.EIO
}
