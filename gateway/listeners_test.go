package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inngest-gateway/inngest-gateway/inngest"
	"github.com/inngest-gateway/inngest-gateway/signature"
	"github.com/inngest-gateway/inngest-gateway/test/recorded"
)

func TestRun_saysWhichAddressIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for setting, variable := range map[string]string{
		"inngest": "GATEWAY_LISTEN__INNGEST", "apps": "GATEWAY_LISTEN__APPS", "admin": "GATEWAY_LISTEN__ADMIN",
	} {
		t.Run(setting, func(t *testing.T) {
			s := sources(t, oneApp("http://127.0.0.1:1", "http://127.0.0.1:1", ""), "INNGEST_SIGNING_KEY="+recorded.SigningKey)
			s.Env = append(s.Env, variable+"="+taken.Addr().String())
			log := &watchedLog{}
			g, err := New(Options{Config: loadFrom(t, s), Version: "test", LogTo: log})
			if err != nil {
				t.Fatal(err)
			}
			err = g.Run(context.Background())
			if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), "listen."+setting+": ") || !strings.Contains(err.Error(), variable) {
				t.Errorf("Run = %v, want the setting listen.%s and the variable %s", err, setting, variable)
			}
			if strings.ContainsRune(err.Error(), '\n') || log.String() != "" {
				t.Errorf("told as %q and logged as %q, want one line, and the caller's to tell", err, log)
			}
			if errors.As(err, new(*LoggedError)) {
				t.Error("the error says that it was logged")
			}
			for _, ln := range []net.Listener{g.listeners.inngest, g.listeners.apps} { // those opened before
				if ln == nil {
					continue
				}
				if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
					c.Close()
					t.Errorf("%s still listens", ln.Addr())
				}
			}
		})
	}
}

func TestRun_drainsWhenAListenerEnds(t *testing.T) {
	for name, of := range map[string]func(*listeners) net.Listener{
		"listen.inngest": func(l *listeners) net.Listener { return l.inngest },
		"listen.apps":    func(l *listeners) net.Listener { return l.apps },
		"listen.admin":   func(l *listeners) net.Listener { return l.admin },
	} {
		t.Run(name, func(t *testing.T) {
			app := newSlowApp(t)
			r := start(t, load(t, oneApp(serveHTTP(t, answerStep), app.url, "")))
			answers := r.callInBackground(t)
			await(t, "the call at the app", app.arrived)
			if err := of(&r.listeners).Close(); err != nil {
				t.Fatal(err)
			}
			if name != "listen.inngest" { // that one has not ended before its calls
				r.log.await(t, "gateway cannot go on")
			}
			close(app.release)
			if got := await(t, "the answer", answers); got.status != http.StatusPartialContent {
				t.Errorf("running call = %d %s", got.status, got.body)
			}
			await(t, "the end of the gateway", r.ended)
			if !errors.As(r.err, new(*LoggedError)) || r.err.Error() != name+": ended by itself" {
				t.Errorf("Run = %v", r.err)
			}
			if got := r.log.lines(`"level":"ERROR"`); len(got) != 1 {
				t.Errorf("error lines = %q, want one", got)
			}
		})
	}
}

// leftSocket makes the socket file of a process that was killed.
func leftSocket(tb testing.TB, path string) {
	tb.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
}

// socketDir returns a folder whose sockets have short paths: they may have 107
// bytes.
func socketDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestRun_listensOnUnixSockets(t *testing.T) {
	dir := socketDir(t)
	events := make(chan string, 1)
	server := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			events <- r.URL.Path
			io.WriteString(w, `{"ids":["1"],"status":200}`)
		}
	})
	listen := fmt.Sprintf(`listen: {inngest: "unix://%[1]s/inngest", apps: "unix://%[1]s/apps", admin: "unix://%[1]s/admin"}`, dir)
	for _, name := range []string{"inngest", "apps", "admin"} {
		leftSocket(t, filepath.Join(dir, name))
	}
	r := start(t, load(t, oneApp(server, serveHTTP(t, answerStep), listen)))

	to := func(name string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, name))
		}
	}
	call := recorded.One(t, 5).Request
	key, err := signature.ParseKey(recorded.SigningKey)
	if err != nil {
		t.Fatal(err)
	}
	signed := http.Header{inngest.HeaderSignature: {signature.Sign(key, call.Body, time.Now())}}
	got, err := ask(to("inngest"), http.MethodPost, "http://gateway/api/inngest", signed, string(call.Body))
	if err != nil || got.status != http.StatusPartialContent {
		t.Errorf("call = %d %s, %v", got.status, got.body, err)
	}
	got, err = ask(to("apps"), http.MethodPost, "http://gateway/e/"+recorded.EventKey, nil, `{"name":"a"}`)
	if err != nil || got.status != http.StatusOK {
		t.Errorf("event = %d %s, %v", got.status, got.body, err)
	} else if path := await(t, "the event at the server", events); path != "/e/"+recorded.EventKey {
		t.Errorf("event came to %s", path)
	}
	got, err = ask(to("admin"), http.MethodGet, "http://gateway/readyz", nil, "")
	if err != nil || got.status != http.StatusOK {
		t.Errorf("readyz = %d %s, %v", got.status, got.body, err)
	}

	if err := r.stop(t); err != nil {
		t.Errorf("Run = %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("sockets left behind = %v, %v", left, err)
	}
}

func TestListen_leavesWhatItMustNotTake(t *testing.T) {
	dir := socketDir(t)
	inUse, file := filepath.Join(dir, "in-use"), filepath.Join(dir, "file")
	live, err := net.Listen("unix", inUse)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"another process listens": {inUse, "another process listens there"},
		"no socket":               {file, "is no socket"},
		"no folder":               {filepath.Join(dir, "none", "socket"), "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := listen("unix://" + c.path)
			if err == nil {
				ln.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("listen = %v, want %q", err, c.want)
			}
		})
	}
	if c, err := net.Dial("unix", inUse); err != nil {
		t.Errorf("the socket in use is gone: %v", err)
	} else {
		c.Close()
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is %q, %v", text, err)
	}
	leftSocket(t, filepath.Join(dir, "dead"))
	ln, err := listen("unix://" + filepath.Join(dir, "dead"))
	if err != nil {
		t.Fatalf("listen where a killed process did = %v", err)
	}
	ln.Close()
	if _, err := os.Lstat(filepath.Join(dir, "dead")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the closed listener left its socket: %v", err)
	}
}

// scriptedListener accepts what it was told.
type scriptedListener struct {
	net.Listener
	results []error
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	err := l.results[0]
	l.results = l.results[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

func TestPatientListener_outlastsWhatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &watchedLog{}
		inner := &scriptedListener{}
		for range 300 { // for 15 s
			inner.results = append(inner.results, os.NewSyscallError("accept4", syscall.EMFILE))
		}
		inner.results = append(inner.results, nil, os.NewSyscallError("accept4", syscall.EBADF), net.ErrClosed)
		l := &patientListener{Listener: inner, log: slog.New(slog.NewTextHandler(log, nil))}

		began := time.Now()
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("Accept = %v", err)
		}
		c.Close()
		if took := time.Since(began); took != 300*acceptPause {
			t.Errorf("Accept took %v, want %v", took, 300*acceptPause)
		}
		if got := log.lines("too many open files"); len(got) != 2 || !strings.Contains(got[1], "repeats=199") {
			t.Errorf("log = %q, want two lines, the second with the number of those left out", got)
		}
		for _, want := range []error{syscall.EBADF, net.ErrClosed} {
			if _, err := l.Accept(); !errors.Is(err, want) {
				t.Errorf("Accept = %v, want %v", err, want)
			}
		}
	})
}
