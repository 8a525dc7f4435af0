package pool

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// vanishAfter is how long the system of the other end may acknowledge nothing of
// what it was sent before its host is taken for gone. Systems themselves send
// again for a quarter of an hour. A host that lives acknowledges at once, however
// busy or frozen the app is; in 30 s a network finds another way, or a virtual
// machine has moved.
const vanishAfter = 30 * time.Second

// A host is asked after 15 s of silence while there is nothing to acknowledge,
// and is gone when it has not answered for as long again as vanishAfter.
const (
	askAfter = 15 * time.Second
	askEvery = 5 * time.Second
)

// ErrVanished is why a call ended whose app can no longer be heard: its host lost
// its power, or the network was cut.
var ErrVanished = fmt.Errorf("its host acknowledged nothing for %d s", vanishAfter/time.Second)

// dialer returns what opens connections on the real network.
func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: askAfter, Interval: askEvery, Count: int(vanishAfter / askEvery),
	}}
}

// lost names what the system says of a connection that it gave up because it
// heard nothing; the network may have told it why.
func lost(err error) error {
	if errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return fmt.Errorf("%w: %w", ErrVanished, err)
	}
	return err
}

// A suspect is a connection whose app has been silent for so long that its host
// may be gone.
type suspect struct {
	conn *conn
	use  uint64
}

// endVanished aborts the calls of those whose host is gone. Each is judged by
// itself: one address can be several hosts.
func endVanished(suspects []suspect, after time.Duration) {
	for _, s := range suspects {
		if s.conn.vanished(after) {
			s.conn.abort(s.use, connVanished)
		}
	}
}
