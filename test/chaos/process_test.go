package chaos

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is one that the test started, and ends at the latest.
type process struct {
	tb    testing.TB
	name  string
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}
	err   error // of the process; read after ended
}

// startProcess starts a program with exactly that environment. Its standard
// error goes to log, and its standard output to stdout; nil: to log too.
func startProcess(tb testing.TB, name, program string, environ []string, log *output, stdout io.Writer, args ...string) *process {
	tb.Helper()
	p := &process{tb: tb, name: name, cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = tb.TempDir(), environ
	p.cmd.Stdout, p.cmd.Stderr = stdout, log
	if stdout == nil {
		p.cmd.Stdout = log
	}
	endWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	tb.Cleanup(func() {
		if tb.Failed() && p.running() {
			p.cmd.Process.Signal(syscall.SIGQUIT) // a Go program tells what it was doing
			select {
			case <-p.ended:
			case <-time.After(5 * time.Second):
			}
		}
		p.kill()
		if tb.Failed() {
			tb.Logf("%s:\n%s", name, log)
		}
	})
	return p
}

func environ(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, more...)
}

// signal sends a signal to the process, by its id.
func (p *process) signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatalf("%s: signal %s: %v", p.name, s, err)
	}
}

// kill ends the process at once, frozen or not, and waits until it is gone.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		p.cmd.Process.Kill() // or it has just ended
		<-p.ended
	}
}

// wait waits for the end of the process; nil is exit status 0.
func (p *process) wait() error {
	p.tb.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.tb.Fatalf("%s does not end within %s", p.name, patience)
	}
	return p.err
}

// running tells whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// An output is what processes wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
