package inbound

import (
	"net"
	"syscall"
)

// deferAccept makes the kernel hand over a connection only when its request is
// there, or a second has passed: no read that finds nothing, no second wake-up
// (about a twentieth of the CPU of a call on a connection of its own). A drain
// switches it off: then connections are to be accepted before the listener
// closes, whatever they have sent.
func deferAccept(ln net.Listener, on bool) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	seconds := 0
	if on {
		seconds = 1
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, seconds)
	})
}
