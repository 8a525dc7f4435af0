package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// listeners are the three sockets of a gateway.
type listeners struct{ inngest, apps, admin net.Listener }

// open opens all of them. After an error some may be open.
func (l *listeners) open(c config.Listen) error {
	for _, one := range []struct {
		setting, address string
		to               *net.Listener
	}{
		{"listen.inngest", c.Inngest, &l.inngest},
		{"listen.apps", c.Apps, &l.apps},
		{"listen.admin", c.Admin, &l.admin},
	} {
		ln, err := listen(one.address)
		if err != nil {
			return fmt.Errorf("%s: %w", one.setting, err)
		}
		*one.to = ln
	}
	return nil
}

// close closes those that are open.
func (l *listeners) close() error {
	var errs []error
	for _, ln := range []net.Listener{l.inngest, l.apps, l.admin} {
		if ln != nil {
			errs = append(errs, ln.Close())
		}
	}
	return errors.Join(errs...)
}

func listen(at string) (net.Listener, error) {
	network, address := config.NetworkAddress(at)
	if network == "unix" {
		if err := removeDeadSocket(address); err != nil {
			return nil, err
		}
	}
	// Peers that vanished are noticed after 15 s and three unanswered probes.
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return lc.Listen(context.Background(), network, address)
}

// removeDeadSocket removes the socket that a process left behind which was
// killed. One that somebody still answers on is left alone.
func removeDeadSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("%s: another process listens there", path)
	}
	return os.Remove(path)
}
