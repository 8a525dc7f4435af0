package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
)

// roleVariable names the role that a process plays for its parent.
const roleVariable = "GATEWAY_BENCH_ROLE"

// greeting precedes the address on standard output.
const greeting = "listening on "

// A Role is one of the other processes that a command plays itself: it serves on
// the listener until ctx ends.
type Role func(ctx context.Context, ln net.Listener, args []string) error

// Play plays the role that this process was started for and tells whether there
// was one. It belongs at the very start of a command.
func Play(roles map[string]Role) (played bool, err error) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		return false, nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// A parent that is gone, however it went, leaves nothing behind.
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	ln, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		return true, err
	}
	fmt.Println(greeting + ln.Addr().String())
	return true, role(ctx, ln, os.Args[2:])
}

// StartRole starts this program again in a role, listening at address.
func StartRole(role, address string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return Start(role, []string{roleVariable + "=" + role}, self, append([]string{address}, args...)...)
}
