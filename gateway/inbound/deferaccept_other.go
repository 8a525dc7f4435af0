//go:build !linux

package inbound

import "net"

// deferAccept exists on Linux only.
func deferAccept(net.Listener, bool) {}
