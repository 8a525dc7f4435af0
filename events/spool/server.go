package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"
)

// maxPayload fits the largest batch: bodies are bounded well below it.
const maxPayload = 8 << 20

// embedded is the NATS server of this process. Nobody can connect to it from
// outside. It can be started again beneath its clients, who connect anew.
type embedded struct {
	dir     string
	payload int32
	wait    time.Duration // for its start
	log     logger

	mu     sync.Mutex
	server *server.Server // nil while there is none
}

// storeDir is where the server keeps the stream.
func storeDir(dir, stream string) string {
	return filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams", stream)
}

// lockDir keeps other processes out: two servers on one folder destroy it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another process: %w", dir, err), f.Close())
	}
	return f, nil
}

// start starts a server. None may run.
func (e *embedded) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName:             "spool",
		DontListen:             true,
		NoSigs:                 true, // or it takes SIGTERM from us
		JetStream:              true,
		StoreDir:               e.dir,
		SyncAlways:             true, // the default syncs every two minutes
		MaxPayload:             e.payload,
		MaxPending:             64 << 20,
		JetStreamMaxMemory:     64 << 20,
		JetStreamMaxStore:      math.MaxInt64 / 4, // the bound is ours: Options.MaxBytes
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	s.SetLoggerV2(e.log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(e.wait) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return fmt.Errorf("embedded NATS server in %s did not start within %v", e.dir, e.wait)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
	return nil
}

// stop ends the server, if there is one. When it returns, nobody has the files
// open.
func (e *embedded) stop() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// running tells whether there is a server with JetStream, which stops itself
// where it may not write.
func (e *embedded) running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server != nil && e.server.JetStreamEnabled()
}

// InProcessConn connects a client to the server that there is now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if s == nil {
		return nil, errors.New("the embedded NATS server is being started again")
	}
	return s.InProcessConn()
}

// logger passes the server's lines on. Notices are debugging to us. Errors are
// worth a look at the store.
type logger struct {
	log     *slog.Logger
	trouble *atomic.Bool
}

func (l logger) line(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "nats server", "text", fmt.Sprintf(format, v...)) // it has no context
}

func (l logger) failure(format string, v []any) {
	l.trouble.Store(true)
	l.line(slog.LevelError, format, v)
}

func (l logger) Noticef(format string, v ...any) { l.line(slog.LevelDebug, format, v) }
func (l logger) Warnf(format string, v ...any)   { l.line(slog.LevelWarn, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.failure(format, v) }
func (l logger) Fatalf(format string, v ...any)  { l.failure(format, v) }
func (l logger) Debugf(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l logger) Tracef(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }

// moveAside moves a folder or file of the store to Dir/aside. Nothing there is
// ever overwritten.
func moveAside(dir, path string, at time.Time) (string, error) {
	to, err := asidePath(dir, path, at)
	if err != nil {
		return "", err
	}
	if err := os.Rename(path, to); err != nil {
		return "", err
	}
	return to, nil
}

// copyAside writes data, which was read from path, to Dir/aside.
func copyAside(dir, path string, data []byte, at time.Time) (string, error) {
	to, err := asidePath(dir, path, at)
	if err != nil {
		return "", err
	}
	return to, writeSynced(to, data)
}

// asidePath returns a name that is free.
func asidePath(dir, path string, at time.Time) (string, error) {
	aside := filepath.Join(dir, "aside")
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams"), path)
	if err != nil {
		return "", err
	}
	base := at.UTC().Format("20060102T150405") + "-" + flat(rel)
	for n := 0; ; n++ {
		to := filepath.Join(aside, base)
		if n > 0 {
			to += fmt.Sprintf(".%d", n)
		}
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			return to, nil
		} else if err != nil {
			return "", err
		}
	}
}

// flat makes one name of a path.
func flat(path string) string {
	out := []rune(filepath.ToSlash(path))
	for i, r := range out {
		if r == '/' {
			out[i] = '-'
		}
	}
	return string(out)
}

// writeSynced writes a file and its name to disk.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
