package examples

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// needs skips a test where a program is not installed.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

// freePort returns a port that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// start runs a backend until the test ends and returns its port.
func start(t *testing.T, program string, args ...string) (port string) {
	t.Helper()
	port = freePort(t)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PORT="+port)
	cmd.Stderr = testLog{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return port
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not listen: %v", program, err)
		case <-tick.C:
		}
	}
}

// startGo builds a backend in Go and runs it.
func startGo(t *testing.T, dir string) (port string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "backend")
	if out, err := exec.Command("go", "build", "-o", binary, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return start(t, binary)
}

// startScript runs a script for each connection, as socat and inetd do.
func startScript(t *testing.T, script string, environ ...string) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				return
			}
			serving.Go(func() { serveScript(t, conn.(*net.TCPConn), script, environ) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func serveScript(t *testing.T, conn *net.TCPConn, script string, environ []string) {
	defer conn.Close()
	file, err := conn.File()
	if err != nil {
		t.Errorf("connection: %v", err)
		return
	}
	defer file.Close()
	cmd := exec.Command("bash", script)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, testLog{t}
	if err := cmd.Run(); err != nil {
		t.Logf("%s: %v", script, err) // the caller sees what came of it
	}
}

// testLog writes what a process says into the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}
