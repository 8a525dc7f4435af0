package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is one that Start started.
type Process struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.Closer
	output  *tail
	greeted chan string   // the address of its listener
	ended   chan struct{} // closed when it is gone
}

// Start runs a program with exactly the environment env. Its end is for Stop.
func Start(name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{
		name:    name,
		cmd:     exec.Command(program, args...),
		output:  &tail{},
		greeted: make(chan string, 1),
		ended:   make(chan struct{}),
	}
	p.cmd.Env = env
	p.cmd.Stderr = p.output
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go p.attend(stdout)
	return p, nil
}

// attend reads standard output to its end and waits for the process.
func (p *Process) attend(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), greeting); ok {
			select {
			case p.greeted <- address:
			default:
			}
			continue
		}
		fmt.Fprintln(p.output, lines.Text())
	}
	// How it ended does not matter to who stopped it; who did not sees ended.
	_ = p.cmd.Wait()
	close(p.ended)
}

// Address waits for a process in a role to tell where it listens.
func (p *Process) Address(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case address := <-p.greeted:
		return address, nil
	case <-p.ended:
		return "", p.gone()
	case <-ctx.Done():
		return "", fmt.Errorf("%s does not say where it listens: %w", p.name, ctx.Err())
	}
}

// startLimit is the time that a process has to be there.
const startLimit = 20 * time.Second

// Running returns an error if the process has ended.
func (p *Process) Running() error {
	select {
	case <-p.ended:
		return p.gone()
	default:
		return nil
	}
}

func (p *Process) gone() error {
	return fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, p.output)
}

// Output returns the last lines that the process wrote.
func (p *Process) Output() string { return p.output.String() }

// Stop asks the process to end, and ends it if it takes longer than limit. It
// returns when the process is gone.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(limit):
	}
	err := p.Kill()
	return errors.Join(fmt.Errorf("%s did not end within %s of SIGTERM", p.name, limit), err)
}

// Kill ends the process without asking and returns when it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.kept))
}
