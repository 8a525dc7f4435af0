package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// A process is the command in a process of its own, as [TestMain] installs it.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{}
	err            error // of the process; read after ended
}

// startProcess starts the command with exactly that environment.
func startProcess(dir string, environ []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("gateway", args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, environ
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await waits until one of the outputs matches, and returns the match.
func (p *process) await(pattern *regexp.Regexp) ([]string, error) {
	over := time.After(patience)
	for {
		out, moreOut := p.stdout.read()
		err, moreErr := p.stderr.read()
		for _, text := range []string{out, err} {
			if m := pattern.FindStringSubmatch(text); m != nil {
				return m, nil
			}
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.ended:
			// What it wrote last may have come after the look.
			if m := pattern.FindStringSubmatch(p.stdout.String()); m != nil {
				return m, nil
			}
			if m := pattern.FindStringSubmatch(p.stderr.String()); m != nil {
				return m, nil
			}
			return nil, fmt.Errorf("gateway ended (%v) before it wrote %s\n%s", p.err, pattern, p)
		case <-over:
			return nil, fmt.Errorf("%s did not come within %s\n%s", pattern, patience, p)
		}
	}
}

// end sends a signal, none if it is nil, and waits for the end. The result is
// nil for exit status 0.
func (p *process) end(signal os.Signal) error {
	if signal != nil {
		if err := p.cmd.Process.Signal(signal); err != nil {
			return err
		}
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("gateway did not end within %s\n%s", patience, p), p.cmd.Process.Kill())
	}
}

// kill ends the process if it still runs.
func (p *process) kill() {
	select {
	case <-p.ended:
	default:
		p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *process) String() string {
	return fmt.Sprintf("[stdout]\n%s[stderr]\n%s", &p.stdout, &p.stderr)
}

// An output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced by each write; nil: nobody waits
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(b)
}

// read returns what there is, and a channel that is closed when there is more.
func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.text.String(), o.more
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}
