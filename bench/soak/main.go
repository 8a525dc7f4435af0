// Command soak loads a gateway for long while its app is stopped, killed and
// started again, and judges by counts: every call gets the app's answer or a
// documented refusal, none reaches the app twice, memory stays within bounds,
// and when the load is gone so is everything that it needed. bench/README.md
// says what is counted.
//
// It plays the app itself, in a process of its own; the calls are package load's,
// the processes package rig's. It times nothing: that is for cmd/bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/app"
	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

func main() {
	played, err := rig.Play(roles())
	if !played {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

// stepTime is what the app takes for a call, so that there is always one in it
// when it goes.
const stepTime = 2 * time.Millisecond

func roles() map[string]rig.Role {
	return map[string]rig.Role{"app": func(ctx context.Context, ln net.Listener, args []string) error {
		// Each line is one write: what a killed app had begun is in it too.
		journal, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer journal.Close()
		return app.Serve(ctx, ln, app.Options{Journal: journal, Delay: stepTime})
	}}
}

// settings are what the command line says.
type settings struct {
	length  time.Duration
	up      time.Duration // of the app, in the middle
	down    time.Duration
	callers int
	memory  int // MiB, limits.memory of the gateway
	seed    uint64
	binary  string // of the gateway; empty: build one
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	f.DurationVar(&s.length, "for", 10*time.Minute, "how long the gateway is loaded")
	f.DurationVar(&s.up, "up", 12*time.Second, "how long the app stays, about; longer than the breaker takes to close")
	f.DurationVar(&s.down, "down", 2*time.Second, "how long the app is away, about")
	f.IntVar(&s.callers, "callers", 32, "calls at once")
	f.IntVar(&s.memory, "memory", 128, "limits.memory in MiB")
	f.Uint64Var(&s.seed, "seed", 1, "of the times and the order of stops and kills")
	f.StringVar(&s.binary, "gateway", "", "binary of the gateway; one is built without it")
	if err := f.Parse(args); err != nil {
		return err
	}
	if s.length <= 0 || s.up <= 0 || s.down < 0 || s.callers < 1 || s.memory < 1 || f.NArg() > 0 {
		return errors.New("-for, -up, -callers and -memory must be positive, -down not negative, and nothing else is taken")
	}
	dir, err := os.MkdirTemp("", "gateway-soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if s.binary == "" {
		if s.binary, err = rig.BuildGateway(ctx, dir); err != nil {
			return err
		}
	}
	return soak(ctx, s, dir, out)
}
