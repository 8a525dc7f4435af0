package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU returns the processor time that all threads of the process have used, to
// the nanosecond. It grows with a thread's next switch or tick: read it when the
// process is at rest.
func (p *Process) CPU() (time.Duration, error) {
	if err := p.Running(); err != nil {
		return 0, err
	}
	tasks, err := filepath.Glob(p.proc("task/*/schedstat"))
	if err != nil || len(tasks) == 0 {
		return 0, errors.Join(fmt.Errorf("no %s: the kernel's counters are needed", p.proc("task/*/schedstat")), err)
	}
	var total time.Duration
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		used, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(used, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q", path, text)
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// OwnCPU returns the processor time that this process has used.
func OwnCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// PeakRSS returns the most memory that the process ever had resident, in bytes.
func (p *Process) PeakRSS() (int64, error) { return p.status("VmHWM") }

// RSS returns the memory that the process has resident now, in bytes.
func (p *Process) RSS() (int64, error) { return p.status("VmRSS") }

func (p *Process) status(field string) (int64, error) {
	if err := p.Running(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", p.proc("status"), field)
}

// OpenFiles returns how many file descriptors the process has open.
func (p *Process) OpenFiles() (int, error) {
	if err := p.Running(); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(p.proc("fd"))
	return len(entries), err
}

func (p *Process) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}
