package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/inngest-gateway/inngest-gateway/config"
)

// listeners are the three sockets of a gateway.
type listeners struct{ inngest, apps, admin net.Listener }

// open opens all of them. After an error some may be open.
func (l *listeners) open(c config.Listen, log *slog.Logger) error {
	for _, one := range []struct {
		setting, address string
		to               *net.Listener
	}{
		{"listen.inngest", c.Inngest, &l.inngest},
		{"listen.apps", c.Apps, &l.apps},
		{"listen.admin", c.Admin, &l.admin},
	} {
		ln, err := listen(one.address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: %w: another process has it, perhaps another gateway; stop that, or set %s (%s) to another address",
				one.setting, err, one.setting, config.VariableOf(one.setting))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", one.setting, err)
		}
		*one.to = ln
	}
	// The listener that Inngest calls has a patience of its own.
	l.apps = &patientListener{Listener: l.apps, log: log.With("listener", "listen.apps")}
	l.admin = &patientListener{Listener: l.admin, log: log.With("listener", "listen.admin")}
	return nil
}

// close closes those that are open.
func (l *listeners) close() error {
	var errs []error
	for _, ln := range []net.Listener{l.inngest, l.apps, l.admin} {
		if ln != nil {
			errs = append(errs, closeListener(ln))
		}
	}
	return errors.Join(errs...)
}

// closeListener closes a listener that may be closed already. A server that is
// shut down before it began to serve does not close it.
func closeListener(ln net.Listener) error {
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
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
	// Nothing is waited for here that a context could end.
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
	switch c, err := net.DialTimeout("unix", path, time.Second); {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s: another process listens there", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: whether another process listens there is not known: %w", path, err)
	}
	return os.Remove(path)
}

// acceptPause is how long accepting rests when the system is short of
// something, file descriptors mostly.
const acceptPause = 50 * time.Millisecond

// tellEvery is how often that is logged.
const tellEvery = 10 * time.Second

// A patientListener goes on accepting after an error that may pass. A server of
// fasthttp takes every error for its end.
type patientListener struct {
	net.Listener
	log    *slog.Logger
	told   time.Time
	untold int
}

func (l *patientListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		var passing interface{ Temporary() bool }
		if err == nil || !errors.As(err, &passing) || !passing.Temporary() {
			return c, err
		}
		l.tell(err)
		<-time.After(acceptPause)
	}
}

// Close may be called again: a server that is shut down closes what may have
// ended before.
func (l *patientListener) Close() error { return closeListener(l.Listener) }

func (l *patientListener) tell(err error) {
	if time.Since(l.told) < tellEvery {
		l.untold++
		return
	}
	l.log.Error("accepting a connection failed", "err", err, "repeats", l.untold)
	l.told, l.untold = time.Now(), 0
}

// urlOf is the URL of a listener for somebody on this host.
func urlOf(ln net.Listener) string {
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return "unix://" + ln.Addr().String()
	}
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	return "http://" + addr.String()
}
