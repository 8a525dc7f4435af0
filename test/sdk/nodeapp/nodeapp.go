// Package nodeapp starts test/node/app.mjs, the app on the JavaScript SDK, as a
// process of its own for a test and stops it again. What the app does is in its
// source; driving it is left to the tests.
package nodeapp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options configures the app. The SDK gets these variables and no others of the
// test's environment.
type Options struct {
	ID                 string
	BaseURL            string // the gateway's apps listener
	SigningKey         string
	SigningKeyFallback string
	EventKey           string
	Dev                bool // run without verification
	Checkpoint         bool
	Step               time.Duration // what the code of a step takes at least
	Port               int           // 0: a free one
	Linger             bool          // after SIGTERM it goes on to serve connections that are in use
}

func (o Options) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"NODE_ENV=production",
		"APP_ID=" + o.ID,
		"INNGEST_BASE_URL=" + o.BaseURL,
		"INNGEST_EVENT_KEY=" + o.EventKey,
	}
	for name, value := range map[string]string{"INNGEST_SIGNING_KEY": o.SigningKey, "INNGEST_SIGNING_KEY_FALLBACK": o.SigningKeyFallback} {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	if o.Dev {
		env = append(env, "INNGEST_DEV=1")
	}
	if o.Step > 0 {
		env = append(env, "STEP_MS="+strconv.FormatInt(o.Step.Milliseconds(), 10))
	}
	if o.Port > 0 {
		env = append(env, "PORT="+strconv.Itoa(o.Port))
	}
	if o.Linger {
		env = append(env, "LINGER=1")
	}
	if !o.Checkpoint {
		env = append(env, "CHECKPOINTING=0")
	}
	return env
}

// A Step is one execution of a step's code.
type Step struct {
	Run      string `json:"run"`
	Function string `json:"fn"`
	Step     string `json:"step"`
	Attempt  int    `json:"attempt"`
}

// An App is a running Node process. Its methods may be called at any time.
type App struct {
	URL string // of the SDK's handler

	mu          sync.Mutex
	steps       []Step
	connections int
	stderr      bytes.Buffer

	process *os.Process
	read    chan struct{} // closed when it has ended and all that it said is here
}

// End ends the process by a signal, and waits until it has ended.
func (a *App) End(signal os.Signal) error {
	if err := a.process.Signal(signal); err != nil {
		return err
	}
	<-a.read
	return nil
}

// Steps returns the executions of steps so far.
func (a *App) Steps() []Step {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Step(nil), a.steps...)
}

// Connections returns how many connections the app has accepted.
func (a *App) Connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connections
}

// Log returns what the app and its SDK wrote on standard error.
func (a *App) Log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.String()
}

// Write takes the standard error of the process.
func (a *App) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.Write(p)
}

const (
	startWithin = 60 * time.Second // a cold start on a busy machine
	stopWithin  = 10 * time.Second
)

// Start runs the app until the test ends. Node and the installed packages are
// needed: without them the test fails, it is not skipped.
func Start(tb testing.TB, o Options) *App {
	tb.Helper()
	dir, node := installed(tb)
	out, in := io.Pipe()
	a := &App{}
	cmd := exec.Command(node, "app.mjs")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, o.environment(), in, a
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start test/node/app.mjs: %v", err)
	}
	a.process = cmd.Process
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		in.Close()
		exited <- err
	}()
	port, read := make(chan int, 1), make(chan struct{})
	a.read = read
	go func() {
		defer close(read)
		a.listen(out, port)
	}()
	tb.Cleanup(func() {
		stop(tb, cmd, exited)
		<-read
		if tb.Failed() {
			tb.Logf("standard error of test/node/app.mjs:\n%s", a.Log())
		}
	})
	select {
	case p := <-port:
		a.URL = "http://127.0.0.1:" + strconv.Itoa(p) + "/api/inngest"
	case <-read:
		tb.Fatalf("test/node/app.mjs ended before it served:\n%s", a.Log())
	case <-time.After(startWithin):
		tb.Fatalf("test/node/app.mjs does not serve after %v:\n%s", startWithin, a.Log())
	}
	return a
}

// listen takes the app's lines until it ends.
func (a *App) listen(out io.Reader, port chan<- int) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			Port       int `json:"port"`
			Connection int `json:"connection"`
			Step
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // not one of ours
		}
		a.mu.Lock()
		switch {
		case line.Port != 0:
			port <- line.Port
		case line.Connection != 0:
			a.connections = line.Connection
		case line.Run != "":
			a.steps = append(a.steps, line.Step)
		}
		a.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out) // a line too long for the scanner must not block the app
}

// stop ends the process: gently first, an app behind a keep-alive proxy may wait
// for connections that nobody closes.
func stop(tb testing.TB, cmd *exec.Cmd, exited <-chan error) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-exited:
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		<-exited
		tb.Logf("test/node/app.mjs did not end within %v of SIGTERM and was killed", stopWithin)
	}
}

// Send sends one event named name and then count together, with the JavaScript
// SDK in a process of its own, and returns their ids.
func Send(tb testing.TB, o Options, name, data string, count int) (single, many []string) {
	tb.Helper()
	out := output(tb, o, "send.mjs", name, data, strconv.Itoa(count))
	var ids struct{ Single, Many []string }
	if err := json.Unmarshal(out, &ids); err != nil {
		tb.Fatalf("test/node/send.mjs printed %q: %v", out, err)
	}
	return ids.Single, ids.Many
}

// A Message is what a subscriber of a realtime topic got.
type Message struct {
	Channel string
	Topic   string
	Data    struct {
		N    int
		Last bool
	}
}

// Subscribe subscribes to topic news of a channel with the JavaScript SDK in a
// process of its own, which publishes there, too: numbers from 0 that go up by
// one, until the first has arrived and then the last. It returns what arrived.
func Subscribe(tb testing.TB, o Options, channel string) []Message {
	tb.Helper()
	out := output(tb, o, "--experimental-websocket", "realtime.mjs", channel)
	var messages []Message
	if err := json.Unmarshal(out, &messages); err != nil {
		tb.Fatalf("test/node/realtime.mjs printed %q: %v", out, err)
	}
	return messages
}

const endWithin = 2 * time.Minute // a program that ends by itself

// output runs node to its end and returns what it printed.
func output(tb testing.TB, o Options, args ...string) []byte {
	tb.Helper()
	dir, node := installed(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), endWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Dir, cmd.Env = dir, o.environment()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		tb.Fatalf("node %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// installed returns the folder of the Node programs and the path of node.
func installed(tb testing.TB) (dir, node string) {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("the place of package nodeapp is not known")
	}
	dir = filepath.Join(filepath.Dir(file), "..", "..", "node")
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Fatal("the JavaScript SDK needs Node 20 or later on the PATH: install it")
	}
	if version, err := exec.Command(node, "--version").Output(); err != nil || !recent(string(version)) {
		tb.Fatalf("the JavaScript SDK needs Node 20 or later, %s says %q (%v)", node, version, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "inngest")); err != nil {
		tb.Fatalf("the packages of test/node are not installed: run make test, or npm ci in %s", dir)
	}
	return dir, node
}

// recent tells whether a version such as v20.1.0 is one that the SDK runs on.
func recent(version string) bool {
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(version), "v"), ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 20
}
