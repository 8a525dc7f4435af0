// Package chaos breaks things around a gateway that runs as a process of its
// own, as it does in production: processes are killed and frozen, connections
// hang, Inngest goes away. Judged is by counts, of runs, attempts, executions of
// steps and events; what a time should be is for the benchmarks and soaks.
package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen: much longer than it
// takes, for a machine that is busy.
const patience = time.Minute

// roleVariable has the test binary run as a process that tests kill.
const roleVariable = "CHAOS_ROLE"

// binaryVariable names a gateway that has been built.
const binaryVariable = "CHAOS_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == roleApp {
		runApp()
		return
	}
	code := m.Run()
	if dir, err := buildDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var (
	buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "gateway-chaos") })

	// gatewayBinary is the command, built for the tests of this process.
	gatewayBinary = sync.OnceValues(func() (string, error) {
		if built := os.Getenv(binaryVariable); built != "" {
			return built, nil
		}
		return buildGateway("gateway")
	})
)

// buildGateway builds the command with further flags.
func buildGateway(name string, flags ...string) (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false", "-o", out}, flags...), "./cmd/gateway")...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, text)
	}
	return out, nil
}

// freeAddress returns an address on loopback that nobody listens at. It is taken
// from below the ports that connections get by themselves, so that it is still
// free when a process that was killed comes back to it.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	return freeAddressOf(tb, "127.0.0.1")
}

// freeAddressOf is freeAddress for a host that has this address here.
func freeAddressOf(tb testing.TB, host string) string {
	tb.Helper()
	// A process that is started meanwhile has a copy of the listener for a moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for range 1000 {
		address := fmt.Sprintf("%s:%d", host, 20_000+nextPort.Add(1)%12_000)
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		ln.Close()
		return address
	}
	tb.Fatal("no port is free")
	return ""
}

// nextPort counts the ports that were tried: none is given twice.
var nextPort = func() *atomic.Int64 {
	first := new(atomic.Int64)
	first.Store(rand.Int64N(12_000))
	return first
}()

// serve runs a server until the test ends.
func serve(tb testing.TB, server *http.Server, ln net.Listener) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(ln)
	}()
	tb.Cleanup(func() {
		server.Close()
		<-served
	})
}

// until asks again and again until a condition holds that nothing tells of.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-over.C:
			tb.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// bounded is a context that ends with the test's patience.
func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}
